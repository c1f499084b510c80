"""How long an execution may run, and how long its code may clear up once it is stopped (S8.4, S8.5). Writes nothing itself."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable

import orjson

from polos.clock import Clock
from polos.core.durations import SECOND
from polos.core.model import Entry

CLEARS_UP_FOR = 30 * SECOND
"""Microseconds of running time that a stopped execution's code has left."""


class RunningTime:
    """The running time of one execution, waits not counted; lives on the worker's loop.

    Args:
        limit: microseconds that it may run; None: for ever.
        on_over: called when they are over.
        on_cleared: called when a stopped execution has had its time to clear up.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, limit: int | None, on_over: Callable[[], None],
        on_cleared: Callable[[], None],
    ) -> None:  # fmt: skip
        self._loop, self._clock, self._limit = loop, clock, limit
        self._on_over, self._on_cleared = on_over, on_cleared
        self._ran_for = 0
        self._since: float | None = None
        self._clears_until: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, ran_for: int) -> None:
        """A lease begins; `ran_for` microseconds have been used before."""
        self._ran_for, self._since = ran_for, self._clock.monotonic()
        self._arm()

    def rest(self) -> None:
        """The lease has ended."""
        self._since = None
        self._disarm()

    def stopped(self, entry: Entry) -> None:
        """The code has been told to stop: from that outcome on it has so long."""
        used = orjson.loads(entry.request or "{}").get("ran_for", 0)
        self._clears_until = used + CLEARS_UP_FOR
        self._limit = None
        self._arm()

    def _arm(self) -> None:
        self._disarm()
        until = self._limit if self._clears_until is None else self._clears_until
        if until is None or self._since is None:
            return
        used = self._ran_for + round((self._clock.monotonic() - self._since) * SECOND)
        left = max(0.0, (until - used) / SECOND)
        self._timer = self._loop.call_later(left, self._over, context=contextvars.Context())

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._timer = None
        if self._clears_until is not None:
            self._on_cleared()
        else:
            self._on_over()
