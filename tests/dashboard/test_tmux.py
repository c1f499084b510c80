"""The dashboard in a real terminal, keyboard only, from a form to a comparison. Skipped, and said, without tmux."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed: apt-get install tmux")


class Terminal:
    """A command in tmux."""

    def __init__(self, folder: Path, socket: str) -> None:
        self._folder, self._socket = folder, socket

    def tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-L", self._socket, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, command: str, env: dict[str, str]) -> None:
        environment = " ".join(f"{name}='{value}'" for name, value in env.items())
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", "120", "-y", "36", "-c", str(self._folder),
                  f"env -u COLUMNS -u LINES {environment} {command}; echo it ended with $?; sleep 100")  # fmt: skip

    @property
    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", "t")

    def until(self, *texts: str, gone: str = "") -> None:
        deadline = time.monotonic() + 30
        while not all(text in self.screen for text in texts) or (gone and gone in self.screen):
            assert time.monotonic() < deadline, f"never showed {texts}:\n{self.screen}"
            time.sleep(0.05)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", "-t", "t", key)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-t", "t", "-l", text)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    socket = f"polos-test-{os.getpid()}"
    yield Terminal(tmp_path, socket)
    subprocess.run(["tmux", "-L", socket, "kill-server"], capture_output=True)


def test_a_session_from_a_form_to_a_comparison(tmp_path: Path, terminal: Terminal) -> None:
    shell = Shell(tmp_path)
    assert shell.polos("init", ".", "--template", "approval").code == 0
    editor = tmp_path / "editor.sh"
    editor.write_text("#!/bin/sh\nsed -i 's/5000/99/' \"$1\"\n")
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    env = {
        "EDITOR": str(editor),
        "TERM": "screen-16color",
        "POLOS_PORT": "0",
        "POLOS_DURABILITY": "relaxed",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    terminal.start(f"{sys.executable} -m polos_cli dev", env)
    terminal.until("d dashboard", "code")
    terminal.keys("d")
    terminal.until("no executions yet")
    terminal.keys("2")
    terminal.until("Asks before it buys.")
    terminal.keys("Enter")
    terminal.until("Start approval", "Item")
    terminal.type("Laptop\t1200")  # in one burst: what follows the tab is the next field's
    terminal.until('"amount":1200')
    terminal.keys("Enter")
    terminal.until("started 1 (approval)")
    terminal.keys("1")
    terminal.until("◌", "await_approval", "asks for an answer", "░")  # the timeline waits
    terminal.keys("a")
    terminal.until("approval 1 asks", "budget: 5000", "(•) no")
    terminal.keys("y")
    terminal.until("(•) yes")
    terminal.keys("C-s")
    terminal.until("it completed", "✓ 1 completed")
    terminal.keys("Enter", "j", "j")
    terminal.until("await_approval → data")
    terminal.keys("f")
    terminal.until("Fork 1 (approval) at 'await_approval'", "keeps         look_up_budget")
    terminal.keys("e")
    terminal.until('edits         look_up_budget: {"item":"Laptop","budget":99}')
    terminal.keys("y")
    terminal.until("execution 2 is a fork of 1")
    terminal.keys("BTab", "g")  # an escape, and g at once, would be alt+g
    terminal.until("approval 2  waiting")
    terminal.keys("a")
    terminal.until("budget: 99")
    terminal.keys("y")
    terminal.until("(•) yes")
    terminal.keys("C-s")
    terminal.until("✓ 2 completed")
    terminal.keys("d")
    terminal.until("Compare 2 with which execution?")
    terminal.keys("Enter")
    terminal.until(".budget  5000 → 99", "exit code 0")
    terminal.keys("Escape")
    terminal.until(gone="exit code 0")
    terminal.keys("q")
    terminal.until("approval #2", "completed in")  # the dev server's own lines again
    terminal.keys("C-c")
    terminal.until("it ended with 0")
