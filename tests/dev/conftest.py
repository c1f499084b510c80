"""Dev servers for tests, gone with their processes at the end of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dev.place import FLOW, Dev

Start = Callable[..., Dev]


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Start]:
    """Starts `polos dev` in a project of the test's own."""
    started: list[Dev] = []

    def start(*options: str, flow: str = FLOW) -> Dev:
        started.append(Dev(tmp_path / "shop", *options, flow=flow))
        return started[-1]

    yield start
    for one in started:
        one.close()
