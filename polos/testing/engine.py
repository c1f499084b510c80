"""The engine under a test: store, worker and timekeeper on a virtual loop and a thread of their own. Takes no test's calls."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polos.authoring.registry import Registry
from polos.client.inside import LoopAccess, forget_local, publish_local
from polos.clock import SystemRng, TimeOrderedIds
from polos.core.model import Execution
from polos.engine.timekeeper import Timekeeper
from polos.ports import Store
from polos.store import open_store
from polos.testing.faults import Faults, FaultyStore
from polos.testing.loop import VirtualClock, VirtualLoop
from polos.worker.capture import Capture
from polos.worker.loop import route
from polos.worker.worker import LocalWorker

FOR_EVER = float("inf")


class Engine:
    """One engine, from `start` to `stop`; `crash` ends its worker as the end of the process would."""

    def __init__(
        self, path: Path, loop: VirtualLoop, clock: VirtualClock, registry: Registry, code: Callable[[], str],
        on_warning: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.path, self.loop, self.clock, self.registry = path, loop, clock, registry
        self._code = code
        self._on_warning = on_warning
        self._capture = Capture(True)
        self._tasks: list[asyncio.Task[None]] = []
        self._store: Store | None = None
        self._worker: LocalWorker | None = None
        self._timekeeper: Timekeeper | None = None
        self._access: LoopAccess | None = None
        self._rng = SystemRng(0)
        self._crashing = False
        self.faults = Faults(self.crash)
        self.broken: BaseException | None = None
        route(loop)
        loop.works = self._works

    @property
    def store(self) -> Store:
        """The store; only while started."""
        assert self._store is not None, "the engine is started first"
        return self._store

    @property
    def access(self) -> LoopAccess:
        """The way to the store from any loop."""
        assert self._access is not None, "the engine is started first"
        return self._access

    async def start(self) -> None:
        """Opens the database and lets a worker claim."""
        self._store = await open_store(f"sqlite:///{self.path}", self.clock, "relaxed")
        await self._store.take_over()
        self._access = LoopAccess(self._store, self.loop)
        publish_local(self.path, self._access)
        self._capture.install()
        self._timekeeper = Timekeeper(self._store, self.clock, look_every=None)
        self._serve(self._timekeeper.keep())
        self._begin()

    def _begin(self) -> None:
        store: Any = FaultyStore(self.store, self.faults, self.crash)
        self._worker = LocalWorker(
            store, self.registry, clock=self.clock, ids=TimeOrderedIds(), rng=self._rng, project="test", complete=True,
            on_fault=self._failed, on_warning=self._on_warning, code=self._code(), interpose=self._interpose,
            has_pulse=False, claim_wait=FOR_EVER,
        )  # fmt: skip
        self._serve(self._worker.work())

    def _interpose(self, execution: Execution, call: Any) -> Any:
        return self.faults.interpose(execution, call)

    def _serve(self, service: Any) -> None:
        task = self.loop.create_task(service)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failed(task.exception() or RuntimeError("a service of the engine ended"))

    def _failed(self, error: BaseException) -> None:
        self.broken = self.broken or error

    def _works(self) -> bool:
        """Tells whether real work is under way: threads, reads, or a body that waits for real IO."""
        worker, store = self._worker, self._store
        if store is not None and getattr(store, "is_reading", False):
            return True
        if worker is None:
            return False
        if worker.pool.is_busy:
            return True
        return len(self.loop._selector.get_map()) > 1 and worker.runs_bodies  # type: ignore[attr-defined]  # ours

    def capture_again(self) -> None:
        """Captures what is printed from now on, whatever streams there are."""
        self._capture.renew()

    async def introduce(self) -> None:
        """Tells of workflows that were declared since."""
        if self._worker is not None:
            await self._worker.introduce()

    def fire_schedules(self, wanted: bool) -> None:
        """Lets schedules start executions, or not."""
        assert self._timekeeper is not None
        self._timekeeper.with_schedules = wanted
        self._timekeeper.look()

    def crash(self) -> None:
        """Lets the worker die, and another one take over what it held."""
        if self._crashing or self._worker is None:
            return
        self._crashing = True
        self.loop.call_soon(self._die)

    def _die(self) -> None:
        dead = self._worker
        assert dead is not None
        dead.die()
        self._worker = None
        task = self._tasks.pop()  # the worker's: started last
        task.cancel()
        self._serve(self._go_on(dead.id))

    async def _go_on(self, dead: str) -> None:
        await self.store.bury(dead)
        self._tasks.pop()  # this one
        self._crashing = False
        self._begin()

    async def stop(self) -> None:
        """Gives everything back and closes the database."""
        self.loop.horizon = math.inf  # what clears up may sleep
        if self._access is not None:
            forget_local(self.path, self._access)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._worker is not None:
            await self._worker.stop(grace=0)
            self._worker.pool.close()
        self._capture.remove()
        if self._access is not None:
            self._access.end()
        if self._store is not None:
            await self._store.close()
        self._worker = self._store = self._access = None
