"""The words that explanations share: processes, times, values, commands. Explains nothing."""

from __future__ import annotations

import json
from typing import Any

from polos.core.durations import show_duration
from polos.core.manifest import WorkerInfo
from polos.core.standing import Facts


def cancelling(number: int) -> tuple[str, str]:
    """Returns the command that ends an execution, and what it does."""
    return (f"polos cancel {number}", "ends it")


def process(worker: WorkerInfo) -> str:
    """Names the process of a worker."""
    return f"process {worker.pid}" + (f" of {worker.project}" if worker.project else "")


def ago(facts: Facts, at: int | None) -> str:
    """Says how long ago an instant is, seen from the facts."""
    return "some time ago" if at is None else f"{show_duration(max(0, facts.now - at))} ago"


def left(facts: Facts, deadline: int | None) -> str:
    """Says how long there is until a deadline."""
    return "no time" if deadline is None else show_duration(max(0, deadline - facts.now))


def short(value: Any) -> str:
    """Returns a value as one short line of JSON."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:40] + "…"
