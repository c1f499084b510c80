"""An import that stands still is said, with its line; one that does not is not."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from polos.worker import slow


def test_the_line_at_which_it_stands_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "AFTER", 0.01)
    came, said = threading.Event(), list[str]()

    def say(text: str) -> None:
        said.append(text)
        came.set()

    module = tmp_path / "still.py"
    module.write_text("x = 1\nwait(10)\n")
    with slow.watched_import(say):
        exec(compile(module.read_text(), str(module), "exec"), {"wait": came.wait, "__name__": "still"})
    assert len(said) == 1 and f"{module}:2 in <module>" in said[0]


def test_one_that_ends_is_no_matter() -> None:
    said: list[str] = []
    before = threading.active_count()
    with slow.watched_import(said.append):
        pass
    assert said == [] and threading.active_count() <= before + 1
