"""Fires what is due, and keeps house when idle. Decides nothing: asks the store what is due."""

from __future__ import annotations

import asyncio

from polos.clock import Clock
from polos.ports import EngineStore

LOOK_AGAIN = 1.0
"""Seconds after which the clock is looked at again, whatever was said: wall clocks jump."""
CARE_EVERY = 2.0


class Timekeeper:
    """Wakes at the next due instant, as told by the store's answers and hints."""

    def __init__(self, store: EngineStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
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
                due = await self._store.fire_due()
                if due is not None:
                    self._due(due)  # beside what was told while it was asked, which it may not know
                await self._rest()
                if self._clock.monotonic() - cared > CARE_EVERY:
                    cared = self._clock.monotonic()
                    await self._store.care()
        finally:
            forget()

    async def _rest(self) -> None:
        """Sleeps until the next instant; nothing is asked of the store while nothing is due."""
        while True:
            left = LOOK_AGAIN if self._next is None else (self._next - self._clock.now()) / 1_000_000
            if left <= 0:
                return
            try:
                async with asyncio.timeout(min(left, LOOK_AGAIN)):  # (wait_for of 3.11 may swallow a cancel)
                    await self._sooner.wait()
                self._sooner.clear()
            except TimeoutError:
                if self._next is None:
                    await self._store.care()

    def _due(self, at: int) -> None:
        if self._next is None or at < self._next:
            self._next = at
            self._sooner.set()
