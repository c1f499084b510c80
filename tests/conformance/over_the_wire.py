"""A store as another process has it: an owner with its socket, and everything asked of it through connections. Tests nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from polos.clock import Clock
from polos.core.manifest import WorkerInfo
from polos.core.model import Execution, NewEvent, NewExecution, Published, Started, Stored
from polos.core.ops import CommitAnswer, Lease, Op
from polos.engine.leases import Leases
from polos.ports import Checker, Claim, ClaimRequest
from polos.store import open_reader
from polos.store.sqlite.store import SqliteStore
from polos.wire.address import socket_path
from polos.wire.calls import Role
from polos.wire.remote import Remote
from polos.wire.server import WireServer

FACTS = {"pid": 1, "command": "a test", "version": "0", "lease_seconds": 30.0}


class WatchedStore(SqliteStore):
    """A store that tells which transactions have reached it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, clock, "relaxed")
        self.submitted: list[str] = []
        self._more = asyncio.Event()

    def _submit(self, factory: Any, name: str) -> asyncio.Future[Any]:
        self.submitted.append(name)
        self._more.set()
        return super()._submit(factory, name)

    async def until_submitted(self, *names: str) -> None:
        """Returns once the newest transactions are of these names, in any order."""
        while sorted(self.submitted[-len(names) :]) != sorted(names):
            self._more.clear()
            await self._more.wait()


class OwnerSide:
    """A store, its leases and its socket, on the loop that opens it."""

    def __init__(self, path: Path, clock: Clock, *, lease_seconds: float = 30.0, keeps: bool = True) -> None:
        self.path = path
        self.socket = socket_path(path.resolve())
        self.yields = 0
        self.given_up: list[str] = []
        self.store = WatchedStore(path, clock)
        self.leases = Leases(self.store, clock, lease_seconds, self._gave_up)
        facts = {**FACTS, "lease_seconds": lease_seconds}
        self.server = WireServer(self.store, self.leases, self.socket, facts, self._yield)
        self._keeps = keeps
        self._keeper: asyncio.Task[None] | None = None

    def _yield(self) -> None:
        self.yields += 1

    def _gave_up(self, worker_id: str) -> None:
        self.given_up.append(worker_id)
        self.server.gave_up(worker_id)

    async def open(self) -> None:
        await self.store.open()
        await self.server.start()
        if self._keeps:
            self._keeper = asyncio.create_task(self.leases.keep())

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self.server.close()
        await self.store.close()

    async def connect(self, role: Role = Role.WORKER) -> Remote:
        return await Remote.connect(self.socket, role)


def worker(id: str, **facts: Any) -> WorkerInfo:
    """A worker that has said nothing of what it can run, so that it takes nothing from others."""
    return WorkerInfo(**{"id": id, "pid": 1, "project": "test", "complete": False, "claims": "own", **facts})


class WireStore:
    """Implements `Store` over connections: one a worker id, greeted when it is first used, and one for callers.

    What only reads goes to the file, and what the engine's services do goes to the owner's own store.
    """

    lease_seconds: float | None = 30.0

    def __init__(self, owner: OwnerSide, caller: Remote) -> None:
        self.owner = owner
        self._caller = caller
        self._workers: dict[str, Remote] = {}
        self._followed: list[Remote] = []
        self._reader = open_reader(f"sqlite:///{owner.path}")
        for name in (
            "search",
            "journal",
            "waits",
            "attempts",
            "events",
            "logs",
            "counts",
            "workers",
            "superseded",
            "lives",
            "provenance",
            "schedules",
            "queues",
            "declared",
            "place_in_line",
        ):
            setattr(self, name, getattr(self._reader, name))
        for name in (
            "take_over",
            "bury",
            "fire_due",
            "on_due",
            "wake_watchers",
            "care",
            "hold",
            "release",
            "on_appended",
        ):
            setattr(self, name, getattr(owner.store, name))

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> WireStore:
        owner = OwnerSide(path, clock)
        await owner.open()
        return cls(owner, await owner.connect())

    async def close(self) -> None:
        await self._reader.close()
        for remote in [self._caller, *self._workers.values()]:
            remote.close()
        await self.owner.close()

    def renew(self) -> bool | None:
        return None

    async def _of(self, worker_id: str) -> Remote:
        remote = self._workers.get(worker_id)
        if remote is None:
            remote = self._workers[worker_id] = await self.owner.connect()
            await remote.hello(worker(worker_id), {})
        return remote

    # ── callers ──────────────────────────────────────────────────────────────────────────────────────

    async def get(self, execution_id: str) -> Execution | None:
        return await self._caller.get(execution_id)

    async def find(self, reference: str) -> list[Execution]:
        return await self._caller.find(reference)

    async def start(self, executions: Sequence[NewExecution]) -> list[Started]:
        return await self._caller.start(executions)

    async def publish(self, events: Sequence[NewEvent]) -> list[Published]:
        published = await self._caller.publish(events)
        for remote in self._followed:  # news came before the publish was answered, and on another connection
            await remote.find("absent")
        return published

    async def resume(self, execution_id: str, step_key: str, data: Stored, answer_id: str) -> None:
        await self._caller.resume(execution_id, step_key, data, answer_id)

    def __getattr__(self, name: str) -> Any:
        if name in (
            "cancel",
            "retry",
            "fork",
            "put_schedule",
            "change_schedule",
            "trigger_schedule",
            "backfill_schedule",
            "check_input",
        ):
            return getattr(self._caller, name)
        raise AttributeError(name)

    def changed(self, execution_id: str) -> asyncio.Future[None]:
        return self._caller.changed(execution_id)

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────

    async def hello(self, info: WorkerInfo, holding: Mapping[int, int]) -> None:
        if info.id not in self._workers:
            self._workers[info.id] = await self.owner.connect()
        await self._workers[info.id].hello(info, holding)

    async def claim(self, request: ClaimRequest, wait: float) -> list[Claim]:
        return await (await self._of(request.worker_id)).claim(request, wait)

    def commit(self, lease: Lease, number: int, ops: Sequence[Op], since: int) -> asyncio.Future[CommitAnswer]:
        return self._workers.get(lease.worker_id, self._caller).commit(lease, number, ops, since)

    def on_outcome(self, worker_id: str, callback: Callable[[int], None]) -> Callable[[], None]:
        remote = self._workers[worker_id]
        self._followed.append(remote)
        return remote.on_outcome(worker_id, callback)

    def on_question(self, worker_id: str, callback: Checker) -> Callable[[], None]:
        return self._workers[worker_id].on_question(worker_id, callback)

    async def retire(self, worker_id: str) -> None:
        await (await self._of(worker_id)).retire(worker_id)

    async def goodbye(self, worker_id: str) -> None:
        await (await self._of(worker_id)).goodbye(worker_id)
