"""The pytest plugin: the fixture `polos_env`. Imports nothing of the engine before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from polos.testing.env import PolosEnv


@pytest.fixture
def polos_env(tmp_path: Path) -> Iterator[PolosEnv]:
    """An engine for this test alone, on a temporary database, with a clock that jumps: see `polos.testing.PolosEnv`."""
    from polos.testing.env import PolosEnv

    with PolosEnv(folder=tmp_path) as env:
        yield env
