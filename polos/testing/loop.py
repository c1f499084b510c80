"""An event loop whose time jumps to the next timer when everything is at rest. Runs no engine.

It stands still between the commands of a test, passes as real time does while a body works in a thread or waits for
real IO, and jumps otherwise.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

from polos.clock import Clock, SystemClock

_LOOK_EVERY = 0.02
"""Seconds after which real work is looked at again."""


class _JumpingSelector(selectors.DefaultSelector):
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        return self.loop.idle(timeout, super().select)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own.

    Attributes:
        horizon: the instant (of `time`) up to which it may jump; None: it stands still.
        works: tells whether real work is under way: threads, or IO that a body waits for.
    """

    def __init__(self) -> None:
        self._now = 1_000.0
        self._real = SystemClock()
        self.horizon: float | None = None
        self.works: Callable[[], bool] = lambda: False
        self._rest: asyncio.Future[None] | None = None
        self._threads = 0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Returns the virtual instant, in seconds."""
        return self._now

    def jump_to(self, instant: float) -> None:
        """Moves the time on, where nothing is due before."""
        self._now = max(self._now, instant)

    def rest(self) -> asyncio.Future[None]:
        """Returns what is done when nothing is left to happen before the horizon."""
        if self._rest is None or self._rest.done():
            self._rest = self.create_future()
        return self._rest

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # passed on as it is
        """Runs `func` on a thread; the loop counts it as work."""
        self._threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: object) -> None:
        self._threads -= 1

    def idle(self, timeout: float | None, select: Callable[[float | None], Any]) -> Any:
        """Decides what happens when no callback is ready: real work goes on, time jumps, or everything is at rest."""
        if self._threads or self.works():
            began = self._real.monotonic()
            events = select(_LOOK_EVERY if timeout is None else min(timeout, _LOOK_EVERY))
            if not events:  # what takes no longer than a glance takes no time at all: tests stay exact
                self._now += self._real.monotonic() - began
            return events
        if timeout is not None and self.horizon is not None and self._now + timeout <= self.horizon:
            self._now += timeout
            return []
        if self._rest is not None and not self._rest.done():
            self._rest.set_result(None)
            return []
        return select(None)  # until the test asks for something


class VirtualClock(Clock):
    """The loop's time as wall time. `start`: microseconds since the epoch, when the loop began."""

    def __init__(self, loop: VirtualLoop, start: int) -> None:
        self._loop = loop
        self._start = start
        self._began = loop.time()

    def now(self) -> int:
        return self._start + round((self._loop.time() - self._began) * 1_000_000)

    def monotonic(self) -> float:
        return self._loop.time()

    def instant_of(self, now: int) -> float:
        """Returns the loop's time of a wall time."""
        return self._began + (now - self._start) / 1_000_000
