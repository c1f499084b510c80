"""What the sides share: their command line, their answers, their timings. Imports neither engine."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

MARK = "@@bench "
HUNG, READY, STEP = "hung", "ready", "step"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parses a side's command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", help="W1 W2 W3 W4 W7, W1-attached and so on, or W5-first and W5-again")
    parser.add_argument("--database", required=True)
    parser.add_argument("--durability", choices=("full", "relaxed"), default="full")
    parser.add_argument("--journal", choices=("default", "wal"), default="default", help="dbos: its SQLite journal")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--profile", metavar="FILE", help="polos: writes cProfile's statistics")
    return parser.parse_args(argv)


def answer(**facts: Any) -> None:
    """Prints one line for the runner; unbuffered, past any capturing of stdout."""
    os.write(1, (MARK + json.dumps(facts) + "\n").encode())


def stamp(name: str) -> None:
    """Prints an instant on the clock that all processes of this machine share."""
    answer(stamp=name, at=time.monotonic())


def units(workload: str, count: int) -> int:
    """Returns how many steps a workload has (W4: calls; W7: children)."""
    return {"W1": count * 10, "W4": calls_of(count)}.get(workload, count)


def calls_of(count: int) -> int:
    """Returns how many calls W4 makes."""
    return max(20, count // 5)


def percentile(values: list[float], share: float) -> float:
    """Returns the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    """Returns the seconds that `work` takes."""
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


async def latencies(call: Callable[[], Awaitable[Any]], count: int) -> list[float]:
    """Returns the seconds of each of `count` calls, one after another."""
    found = []
    for _ in range(count):
        start = time.perf_counter()
        await call()
        found.append(time.perf_counter() - start)
    return found


def step_figures(stamps: list[float]) -> dict[str, float]:
    """Returns the figures of sequential steps from the instants at which each was answered."""
    gaps = [b - a for a, b in itertools.pairwise(stamps)]
    total = stamps[-1] - stamps[0]
    return {
        "steps_per_s": len(gaps) / total, "step_p50_ms": percentile(gaps, 0.5) * 1000,
        "step_p99_ms": percentile(gaps, 0.99) * 1000, "step_mean_ms": total / len(gaps) * 1000,
    }  # fmt: skip
