"""Whom a queue admits (S7.4). Counts nothing itself: takes what runs and who waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """An execution in line. `is_mine`: the worker that asks may take it now; else it waits for another one."""

    number: int
    placed_at: int
    is_mine: bool


@dataclass(frozen=True, slots=True)
class Line:
    """Those of one queue and concurrency key that wait, first come first; `limit` None: no limit."""

    limit: int | None
    running: int
    waiting: Sequence[Waiting]


def free_places(limit: int | None, running: int) -> int | None:
    """Returns how many more a line may run; None: any number."""
    return None if limit is None else max(0, limit - running)


def admitted(line: Line) -> list[Waiting]:
    """Returns those of a line that the worker may take.

    Whoever came first keeps a place also while it waits for another worker, so that nobody passes it.
    """
    free = free_places(line.limit, line.running)
    front = line.waiting if free is None else line.waiting[:free]
    return [one for one in front if one.is_mine]
