"""`python -m benchmarks profile`: where a workload's time goes. cProfile makes small functions look dearer."""

from __future__ import annotations

import pstats
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.peer import HOME, ROOT

STEPS = {"W1": 10_000, "W2": 1_000, "W3": 1_000, "W4": 200, "W7": 1_000}


def profile(workload: str, durability: str, lines: int, order: str) -> None:
    """Prints the dearest functions of one workload, in microseconds a step (W4, W7: an execution)."""
    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="profile-") as name:
        out = Path(name) / "stats"
        side = [sys.executable, "-m", "benchmarks.polos_side", workload, "--durability", durability]
        options = ["--database", str(Path(name) / "db.sqlite"), "--profile", str(out)]
        subprocess.run([*side, *options], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        stats = pstats.Stats(str(out))
    steps = STEPS[workload]
    rows = [
        (own / steps * 1e6, total / steps * 1e6, calls / steps, _place(where))
        for where, (_, calls, own, total, _callers) in stats.stats.items()  # type: ignore[attr-defined]
    ]
    rows.sort(key=lambda row: -row[0 if order == "own" else 1])
    spent = sum(row[0] for row in rows)
    print(f"{workload}: {spent:,.0f} us a step under cProfile")
    print(f"{'own us':>8} {'all us':>8} {'calls':>6}  function")
    for own, total, calls, place in rows[:lines]:
        print(f"{own:8.1f} {total:8.1f} {calls:6.2f}  {place}")


def _place(where: tuple[str, int, str]) -> str:
    file, line, function = where
    if file == "~":
        return function
    path = Path(file)
    short = path.relative_to(ROOT) if path.is_relative_to(ROOT) and ".venv" not in path.parts else path.name
    return f"{short}:{line} {function}"
