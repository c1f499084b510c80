"""Fires what is due, and keeps house when idle. Decides nothing: asks the store what is due."""

from __future__ import annotations

import asyncio

from polos.clock import Clock
from polos.ports import EngineStore

LOOK_AGAIN = 1.0
"""Seconds after which the clock is looked at again, whatever was said: wall clocks jump."""
CARE_EVERY = 2.0


class Timekeeper:
    """Wakes at the next due instant, as told by the store's answers and hints.

    Args:
        look_every: seconds after which it looks again, whatever was said; None: it is told (a test's clock never jumps
            behind its back), and nothing is to be cared for.

    Attributes:
        with_schedules: schedules fire; where it is not looked by itself, only when wanted.
    """

    def __init__(self, store: EngineStore, clock: Clock, look_every: float | None = LOOK_AGAIN) -> None:
        self._store = store
        self._clock = clock
        self._look_every = look_every
        self.with_schedules = look_every is not None
        self._next: int | None = None
        self._sooner = asyncio.Event()

    async def keep(self) -> None:
        """Fires until cancelled."""
        forget = self._store.on_due(self._due)
        cared = self._clock.monotonic()
        try:
            while True:
                self._sooner.clear()
                self._next = None
                due = await self._store.fire_due(self.with_schedules)
                if due is not None:
                    self._due(due)  # beside what was told while it was asked, which it may not know
                await self._rest()
                if self._look_every is not None and self._clock.monotonic() - cared > CARE_EVERY:
                    cared = self._clock.monotonic()
                    await self._store.care()
        finally:
            forget()

    async def _rest(self) -> None:
        """Sleeps until the next instant; nothing is asked of the store while nothing is due."""
        while True:
            left = self._look_every if self._next is None else (self._next - self._clock.now()) / 1_000_000
            if left is not None and left <= 0:
                return
            if left is not None and self._look_every is not None:
                left = min(left, self._look_every)
            try:
                async with asyncio.timeout(left):  # (wait_for of 3.11 may swallow a cancel)
                    await self._sooner.wait()
                self._sooner.clear()
            except TimeoutError:
                if self._next is None:
                    await self._store.care()

    def look(self) -> None:
        """Looks now at what is due."""
        self._due(self._clock.now())

    def _due(self, at: int) -> None:
        if self._next is None or at < self._next:
            self._next = at
            self._sooner.set()
