"""The owner of a database: its store, the engine's services, and the socket for everybody else. Runs no workflow."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Literal

from polos import __version__
from polos.clock import Clock
from polos.engine.leases import Leases
from polos.engine.timekeeper import Timekeeper
from polos.errors import StoreUnavailable
from polos.ports import Store
from polos.settings import database_path
from polos.store import open_store, process_facts
from polos.wire.address import own_folder, socket_path
from polos.wire.server import WireServer

SHOWN_WITHIN = 2.0
"""Seconds that workers of an owner before have to show what they hold, before it is taken over."""
LOCK_EVERY = 1.0


class Owner:
    """Owns the file from `open` to `close`, on the loop that opens it.

    Args:
        on_yield: called when another process asks for the ownership.
        on_fault: called with what ended one of the services.
        with_schedules: schedules fire.
        facts: what it says of itself to whoever connects, beside who it is.
    """

    def __init__(
        self, url: str, clock: Clock, *, durability: Literal["full", "relaxed"], lease_seconds: float,
        on_yield: Callable[[], None], on_fault: Callable[[BaseException], None], with_schedules: bool = True,
        facts: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._url, self._clock, self._durability = url, clock, durability
        self._lease_seconds = lease_seconds
        self._on_yield, self._on_fault = on_yield, on_fault
        self.with_schedules = with_schedules
        self._facts = dict(facts or {})
        self._services: list[asyncio.Task[None]] = []
        self._server: WireServer | None = None
        self._leases: Leases | None = None
        self._store: Store | None = None
        self.taken_over = 0

    @property
    def store(self) -> Store:
        """The store; only while open."""
        assert self._store is not None, "the owner is not open"
        return self._store

    async def open(self, own: frozenset[str]) -> None:
        """Takes the file, and what dead workers held, and begins to serve; `own`: this process's workers that go on.

        Raises:
            DatabaseInUse, StoreUnavailable: the database cannot be had.
        """
        database = database_path(self._url).resolve()
        socket = socket_path(database)
        self._store = await open_store(self._url, self._clock, self._durability, socket=socket)
        try:
            leases = self._leases = Leases(self._store, self._clock, self._lease_seconds, self._gave_up)
            facts = {**process_facts(), "version": __version__, "lease_seconds": self._lease_seconds,
                     "schedules": self.with_schedules, **self._facts}  # fmt: skip
            self._server = WireServer(self._store, leases, socket, facts, self._on_yield)
            here = [w for w in await self._store.workers() if w.ended_at is None]
            alive = {w.id for w in here if w.id in own or (w.pid != os.getpid() and _is_alive(w.pid))}
            self.taken_over = await self._store.take_over(alive)
            try:
                if socket.parent != database.parent:
                    own_folder(socket.parent)
                await self._server.start()
            except OSError as error:
                raise StoreUnavailable(
                    f"{socket} cannot be made: {error.strerror}", hint="check the folder's permissions"
                ) from error
        except BaseException:  # a cancel, too: nothing stays half open
            await self.close()
            raise
        self._store.on_broken(self._on_fault)
        self.timekeeper = Timekeeper(self._store, self._clock)
        self.timekeeper.with_schedules = self.with_schedules
        self._serve("timekeeper", self.timekeeper.keep())
        self._serve("leases", leases.keep())
        self._serve("socket", self._server.keep())
        self._serve("lock", self._keep_lock())
        if alive - own:
            self._serve("take-over", self._bury_the_rest(alive - own, leases))

    def fire_schedules(self, wanted: bool) -> None:
        """Fires schedules, or none any more; says so to whoever connects."""
        self.with_schedules = self.timekeeper.with_schedules = wanted
        if self._server is not None:
            self._server.facts["schedules"] = wanted
        self.timekeeper.look()

    async def _keep_lock(self) -> None:
        """Ends this owner when its lock's file is gone: better loudly than beside another one."""
        while True:
            await asyncio.sleep(LOCK_EVERY)
            self.store.check_ownership()

    async def _bury_the_rest(self, alive: set[str], leases: Leases) -> None:
        """Workers that were alive and have not come back have lost their leases (S8.2)."""
        await asyncio.sleep(SHOWN_WITHIN)
        for worker_id in alive - leases.alive:
            self.taken_over += await self.store.bury(worker_id)

    def _serve(self, name: str, service: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(service, name=f"polos-{name}")
        task.add_done_callback(self._ended)
        self._services.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fault(error)

    def _gave_up(self, worker_id: str) -> None:
        if self._server is not None:
            self._server.gave_up(worker_id)

    async def close(self, moves_on: bool = False) -> None:
        """Ends the services and the socket, makes durable what was taken, and lets the file go.

        Args:
            moves_on: the engine goes on in another process, so that whoever watches is only to look again.
        """
        for service in self._services:
            service.cancel()
        await asyncio.gather(*self._services, return_exceptions=True)
        if self._server is not None:
            await self._server.close()
        if self._store is not None:
            if moves_on:
                self._store.wake_watchers()
            await self._store.close()


def _is_alive(pid: int) -> bool:
    """Tells whether a process of this user has that number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError, OverflowError):
        return False
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True  # a system without /proc
    return told.rpartition(")")[2].split()[:1] != ["Z"]  # dead, and not yet collected by its parent
