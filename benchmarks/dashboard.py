"""`dashboard`: the dashboard in a real terminal over many executions, and beside an engine under a steady load."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import statistics
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any

STORED = 100_000
PAGES = 60
FILTERS = 10
ROWS, COLUMNS = 40, 140
LIVE = 300.0
ALONE = 60.0
PER_SECOND = 50
"""Executions of ten steps."""
_LOAD = [sys.executable, "-m", "benchmarks.dashboard_load"]
_STEERING = re.compile(r"\x1b\[[0-9;:?<>=]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]")


class _Screen:
    """`polos dashboard` on a pseudo-terminal."""

    def __init__(self, database: Path) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("polos")), "dashboard", "--database", f"sqlite:///{database}"],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)},
        )  # fmt: skip
        os.close(theirs)
        self._seen = ""
        self._grown = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                return
            with self._grown:
                self._seen = (self._seen + data.decode("utf-8", "replace"))[-400_000:]
                self._grown.notify_all()

    def send(self, keys: str) -> float:
        """Types, and returns when; what was seen before is forgotten."""
        with self._grown:
            self._seen = ""
        now = time.perf_counter()
        os.write(self._ours, keys.encode())
        return now

    def until(self, text: str, since: float, seconds: float = 30.0) -> float:
        """Returns after how many milliseconds a text was shown."""
        deadline = time.monotonic() + seconds
        with self._grown:
            while text not in _STEERING.sub("", self._seen):
                if not self._grown.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    self.process.kill()
                    raise RuntimeError(f"the dashboard never showed {text!r}")
        return (time.perf_counter() - since) * 1000

    def memory(self) -> dict[str, float]:
        """Returns how much it has, and had at most, in MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = {name: int(kib) / 1024 for name, kib in re.findall(r"^(VmHWM|VmRSS):\s+(\d+) kB", text, re.MULTILINE)}
        return {"most": found["VmHWM"], "now": found["VmRSS"]}

    def cpu(self) -> float:
        """Returns the processor time it has taken, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        os.write(self._ours, b"q")
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._ours)


def dashboard(folder: Path, scale: float) -> dict[str, float]:
    """Returns milliseconds, megabytes and percents."""
    database = folder / "polos.db"
    stored = max(2_500, round(STORED * scale))
    _load(database, "store", str(stored))
    figures = _many(database, stored)
    return figures | _live(database, scale)


def _load(database: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run([*_LOAD, str(database), *words], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _many(database: Path, stored: int) -> dict[str, float]:
    opened = []
    for _ in range(5):
        screen = _Screen(database)
        opened.append(screen.until(f"{stored} ", screen.began))
        screen.close()
    screen = _Screen(database)
    screen.until(f"{stored} ", screen.began)
    step = ROWS - 5  # the head's two lines, the heading, the keys, and one line that stays
    pages = [screen.until(f"{stored - step * page} ", screen.send("\x1b[6~")) for page in range(1, PAGES + 1)]
    filters = []
    for turn in range(FILTERS):
        word = ("failed", "completed")[turn % 2]
        screen.send("/")
        time.sleep(0.2)
        screen.send("\x15")
        time.sleep(0.1)
        screen.send(word)
        time.sleep(0.1)
        filters.append(screen.until(f"only {word}", screen.send("\r")))
    time.sleep(2.0)
    began, at = screen.cpu(), time.monotonic()
    time.sleep(5.0)
    idle = (screen.cpu() - began) / (time.monotonic() - at) * 100
    memory = screen.memory()
    screen.close()
    return {
        "open_ms": statistics.median(opened), "page_p50_ms": statistics.median(pages), "page_most_ms": max(pages),
        "filter_p50_ms": statistics.median(filters), "memory_mb": memory["most"], "idle_percent": idle,
    }  # fmt: skip


def _live(database: Path, scale: float) -> dict[str, float]:
    """Runs the load alone, beside the dashboard, and alone again."""
    alone = [_load(database, "run", str(ALONE * scale))]
    screen = _Screen(database)
    screen.until("completed", screen.began)
    load = subprocess.Popen([*_LOAD, str(database), "run", str(LIVE * scale)], stdout=subprocess.PIPE, text=True)
    time.sleep(LIVE * scale / 5)
    before, cpu = screen.memory()["now"], screen.cpu()
    at = time.monotonic()
    said, _ = load.communicate()
    beside = json.loads(said.splitlines()[-1])
    used = (screen.cpu() - cpu) / (time.monotonic() - at) * 100
    screen.until(f"{beside['last']} ", time.perf_counter(), 5.0)  # it has followed to the end
    after = screen.memory()["now"]
    screen.close()
    alone.append(_load(database, "run", str(ALONE * scale)))
    return {
        "live_memory_growth_mb": after - before, "live_cpu_percent": used, "live_steps_per_s": beside["steps_per_s"],
        **{f"slower_{name}": (beside[name] / statistics.mean(one[name] for one in alone) - 1) * 100
           for name in ("cpu_us", "p50_ms")},
    }  # fmt: skip
