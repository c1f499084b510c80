"""The leases of workers in other processes (S8.2): renewed by them, ended by silence or by their socket. Runs no worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from polos.clock import Clock
from polos.ports import EngineStore

LOOK_EVERY = 1.0
SLEPT = 10.0
"""Seconds that the owner's own clock may jump between two looks; beyond, it slept, and everybody else with it."""


class Leases:
    """Implements the wire's `LeaseBook` on the owner's loop and monotonic clock."""

    def __init__(self, store: EngineStore, clock: Clock, seconds: float, on_given_up: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._on_given_up = on_given_up
        self._until: dict[str, float] = {}
        self._connections: dict[str, int] = {}
        self._dead: list[str] = []
        self._look = asyncio.Event()

    @property
    def alive(self) -> frozenset[str]:
        """The workers that hold a lease."""
        return frozenset(self._until)

    def attached(self, worker_id: str, again: bool = False) -> None:
        """A worker says hello; `again`: on a connection on which it has done so before."""
        if not again:
            self._connections[worker_id] = self._connections.get(worker_id, 0) + 1
        self._until[worker_id] = self._clock.monotonic() + self._seconds
        if worker_id in self._dead:
            self._dead.remove(worker_id)

    def detached(self, worker_id: str) -> None:
        """A worker's connection has ended without a goodbye: what it held is free at once."""
        if self._parted(worker_id) and self._until.pop(worker_id, None) is not None:
            self._dead.append(worker_id)
            self._look.set()

    def left(self, worker_id: str) -> None:
        """A worker has said goodbye; it holds nothing."""
        self._parted(worker_id)
        self._until.pop(worker_id, None)

    def _parted(self, worker_id: str) -> bool:
        """Counts a connection out; True when it was the worker's last."""
        left = self._connections.get(worker_id, 0) - 1
        if left > 0:
            self._connections[worker_id] = left
            return False
        self._connections.pop(worker_id, None)
        return True

    def renewed(self, worker_id: str) -> bool:
        """Renews a lease; False when the worker was given up meanwhile."""
        if worker_id not in self._until:
            return False
        self._until[worker_id] = self._clock.monotonic() + self._seconds
        return True

    def is_alive(self, worker_id: str) -> bool:
        """Tells whether a worker holds a lease."""
        return worker_id in self._until

    async def keep(self) -> None:
        """Gives up who is dead or silent, until cancelled."""
        looked = self._clock.monotonic()
        while True:
            self._look.clear()
            now = self._clock.monotonic()
            if now - looked > SLEPT:
                for worker_id in self._until:  # a laptop slept: nobody could renew
                    self._until[worker_id] = now + self._seconds
            looked = now
            for worker_id in [one for one, until in self._until.items() if until < now]:
                del self._until[worker_id]
                self._on_given_up(worker_id)
                self._dead.append(worker_id)
            while self._dead:
                await self._store.bury(self._dead.pop())
            try:
                async with asyncio.timeout(LOOK_EVERY):  # (wait_for of 3.11 may swallow a cancel)
                    await self._look.wait()
            except TimeoutError:
                pass
