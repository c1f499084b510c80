"""A database of the test's own, and engines on it: `Polos`, as users have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polos import Polos, Workflow
from tests.conformance import looping

runner = looping.runner
pytest_pyfunc_call = looping.call

Engine = Callable[..., Polos]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/polos.db"


@pytest.fixture
def engine(url: str) -> Engine:
    """Makes an engine on the test's database that runs these workflows; one after the other, they are restarts."""

    def make(*workflows: Workflow, **options: Any) -> Polos:
        return Polos(url, workflows=workflows, **{"durability": "relaxed", "echo": False, **options})

    return make


@pytest.fixture(autouse=True)
def _no_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("POLOS_URL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
