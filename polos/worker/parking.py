"""When a session may give its lease up: everything open is a wait that the store knows (S1.10). Writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from polos.core.durations import SECOND
from polos.worker.loop import OrderedTask, foreign_wait
from polos.worker.request import Request, RequestFuture

PARK_TIMERS_ABOVE = SECOND
"""Microseconds: an open asyncio timer that fires sooner keeps its execution from parking."""


@dataclass(frozen=True, slots=True)
class Parking:
    """What to park on; `timers` are asyncio's own, to be made durable first."""

    on: tuple[str, ...]
    timers: tuple[Request, ...]


def parking_of(open_requests: Collection[Request], tasks: Iterable[OrderedTask[Any]], now: int) -> Parking | None:
    """Returns what the execution can be parked on, or None while it must stay.

    It stays while an outcome is on its way to the code, while only asyncio's timers are open or one fires within a
    second, and while a task waits on something that is not recorded, which would move the code without a lease.
    """
    if not open_requests or any(r.recorded for r in open_requests):
        return None
    timers = tuple(r for r in open_requests if r.timer is not None and not r.pending)
    if not all(r.pending for r in open_requests if r.timer is None):
        return None
    if timers and (len(timers) == len(open_requests) or min(r.timer_due for r in timers) - now < PARK_TIMERS_ABOVE):
        return None
    if any(foreign_wait(task, RequestFuture) for task in tasks if not task.done()):
        return None
    return Parking(tuple(r.key for r in open_requests), timers)
