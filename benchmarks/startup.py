"""W8: how long a fresh process takes to import, and to print its help."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from pathlib import Path

RUNS = 10
_POLOS = "import polos; polos.workflow; polos.WorkflowContext"
_DBOS = "import dbos; dbos.DBOS.workflow; dbos.DBOS.step"


def startup(side: str, python: Path, folder: Path, runs: int = RUNS) -> dict[str, float]:
    """Returns the medians of `runs` fresh processes each, interleaved, after one that warms the cache."""
    program = python.with_name(side)
    commands = {
        "bare_ms": [str(python), "-c", "pass"],
        "import_ms": [str(python), "-c", _POLOS if side == "polos" else _DBOS],
        "help_ms": [str(program), "--help"],
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True, env=_environment())
            if turn:
                found[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(values) for name, values in found.items()}


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
