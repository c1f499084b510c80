"""Draws the pictures of the documentation from real runs in a real terminal: python docs/pictures/draw.py

Needs tmux. Makes a project in a temporary folder, runs `polos dev`, `polos run` and `polos dashboard` in it, and writes what
the terminal shows as SVG files beside this one.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

HERE = Path(__file__).parent
POLOS = Path(sys.executable).with_name("polos")


class Terminal:
    """A command of polos in a terminal of its own."""

    def __init__(self, folder: Path, command: str, columns: int, rows: int) -> None:
        self._name, self._columns = f"polos-picture-{os.getpid()}", columns
        _tmux("new-session", "-d", "-s", self._name, "-x", str(columns), "-y", str(rows), "-c", str(folder),
              f"{POLOS} {command}; sleep 60")  # fmt: skip

    def until(self, *texts: str) -> None:
        """Waits until all of these are on the screen."""
        for _ in range(200):
            seen = self.seen()
            if all(text in seen for text in texts):
                return
            time.sleep(0.1)
        raise RuntimeError(f"never showed {texts}:\n{self.seen()}")

    def seen(self, *options: str) -> str:
        return _tmux("capture-pane", "-p", "-t", self._name, *options)

    def keys(self, *keys: str) -> None:
        for key in keys:
            _tmux("send-keys", "-t", self._name, key)
            time.sleep(0.3)

    def draw(self, name: str, title: str) -> None:
        """Writes what is on the screen as a picture."""
        console = Console(record=True, width=self._columns, file=io.StringIO(), color_system="truecolor")
        console.print(Text.from_ansi(self.seen("-e").rstrip("\n")), end="", no_wrap=True, overflow="crop")
        picture = console.export_svg(title=title, theme=MONOKAI, unique_id=name)
        picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # fonts of the reader's machine
        (HERE / f"{name}.svg").write_text(
            picture.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")
        )

    def close(self) -> None:
        _tmux("kill-session", "-t", self._name)


def _tmux(*words: str) -> str:
    done = subprocess.run(["tmux", "-L", "polos-pictures", *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"tmux {words[0]}: {done.stderr}")
    return done.stdout


def _polos(folder: Path, *words: str) -> None:
    subprocess.run([POLOS, *words], cwd=folder, check=True, capture_output=True, env={**os.environ, "POLOS_URL": ""})


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="polos-pictures-") as made:
        folder = Path(made) / "shop"
        (folder / "workflows").mkdir(parents=True)
        (folder / "pyproject.toml").write_text('[tool.polos]\nname = "shop"\n')
        shutil.copy(HERE / "shop.py", folder / "workflows" / "shop.py")
        _run(folder)
        server = subprocess.Popen(
            [POLOS, "dev", "--port", "0"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            time.sleep(2)
            _dashboard(folder)
        finally:
            server.terminate()
            server.wait(20)


def _run(folder: Path) -> None:
    terminal = Terminal(folder, "run order order_id=A1 amount:=1200", 92, 27)
    terminal.until("approve?")
    terminal.keys("y", "Enter")
    terminal.until("shipped")
    time.sleep(0.5)
    terminal.draw("run", "polos run order order_id=A1 amount:=1200")
    terminal.close()


def _dashboard(folder: Path) -> None:
    for number, words in enumerate(
        (["order", "order_id=B2", "amount:=40"], ["stock_report", '"monday"'], ["order", "order_id=C3", "amount:=75"])
    ):
        _polos(folder, "invoke", *words)
        time.sleep(0.5 if number else 1.0)
    terminal = Terminal(folder, "dashboard", 132, 34)
    terminal.until("waiting", "failed")
    time.sleep(3.0)
    terminal.keys("G", "k", "k")  # the order that waits for an answer
    terminal.until("asks for an answer")
    terminal.keys("Enter", "j", "j")
    terminal.until("charge → value")
    terminal.draw("dashboard", "polos dashboard")
    terminal.keys("h", "h", "h", "h", "h")
    terminal.until("esc goes back to now")
    terminal.draw("dashboard-past", "polos dashboard: back in time")
    terminal.keys("Escape", "Escape", "2", "j", "Enter")
    terminal.until("Start order")
    terminal.keys("D", "4", "Tab", "9", "0")
    terminal.until('"amount":90')
    terminal.draw("dashboard-form", "polos dashboard: start a workflow from its form")
    terminal.close()


if __name__ == "__main__":
    main()
