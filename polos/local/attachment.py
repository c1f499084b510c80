"""A store that outlives its owner: this process's own while it owns the file, another's over the wire while that one does.

Whoever holds it works on through an owner's death: commits that were not answered are made again (a repeated one
gives its first answer, S8.1), and everything else is asked again. Decides nothing about executions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from polos.clock import Clock
from polos.core.model import (
    Entry,
    Event,
    Execution,
    FailedAttempt,
    LogLine,
    NewEvent,
    NewExecution,
    PendingWait,
    Published,
    Started,
    Stored,
    WorkerInfo,
)
from polos.core.ops import CommitAnswer, Lease, Op
from polos.core.status import Status
from polos.errors import DatabaseInUse, OwnerLost, PolosError, StoreUnavailable
from polos.local.owner import Owner
from polos.ports import Claim, ClaimRequest, EventFilter, ExecutionFilter, LogFilter, ReadStore, Store
from polos.settings import database_path
from polos.store import open_reader, owner_of
from polos.wire.calls import Role
from polos.wire.remote import Remote
from polos.wire.renewal import Renewal

T = TypeVar("T")
log = logging.getLogger(__name__)
PATIENCE = 10.0
"""Seconds that a process which starts waits for an owner that holds the lock and does not answer."""
_AGAIN = 0.02
Backend: TypeAlias = "Store | Remote"


class AttachedWorker(Protocol):
    """The worker that goes on through a change of owner."""

    id: str

    def introduction(self) -> tuple[WorkerInfo, Mapping[int, int]]:
        """Returns who it is, and the epoch of each execution that it holds."""
        ...

    def attached(self, holding: Mapping[int, int]) -> None:
        """It has said hello to another owner; of these executions it may have missed news."""
        ...


@dataclass(slots=True, eq=False)
class _Unanswered:
    """A commit whose answer has not come: made again with the next owner."""

    lease: Lease
    number: int
    ops: Sequence[Op]
    since: int
    future: asyncio.Future[CommitAnswer]


class Attachment:
    """Implements `ClientStore` and `WorkerStore` on one loop, from `open` to `close`."""

    def __init__(
        self, url: str, clock: Clock, *, durability: Literal["full", "relaxed"], lease_seconds: float, is_heir: bool,
        on_fault: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._url, self._clock, self._durability = url, clock, durability
        self._path = database_path(url).resolve()
        self._own_lease_seconds = lease_seconds
        self._is_heir = is_heir
        self._on_fault = on_fault
        self._reader: ReadStore = open_reader(url)
        self._backend: Backend | None = None
        self._is_attached = asyncio.Event()
        self._attaching: asyncio.Task[None] | None = None
        self._claiming: set[asyncio.Task[list[Claim]]] = set()
        self._unanswered: dict[int, _Unanswered] = {}
        self._asked = 0
        self._renewal: Renewal | None = None
        self._hearing: tuple[str, Callable[[int], None]] | None = None
        self._forget: Callable[[], None] | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self.owner: Owner | None = None
        self.worker: AttachedWorker | None = None
        self.commit: Callable[[Lease, int, Sequence[Op], int], asyncio.Future[CommitAnswer]] = self._commit_remotely

    @property
    def remote(self) -> Remote | None:
        """The connection to another owner, while there is one."""
        return self._backend if isinstance(self._backend, Remote) else None

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Becomes the owner, or attaches to the one that is there.

        Raises:
            DatabaseInUse: a process holds the file and does not answer.
            StoreUnavailable, WireVersionMismatch: the database cannot be had.
        """
        await self._attach(self._clock.monotonic() + PATIENCE)

    async def _attach(self, deadline: float | None) -> None:
        pause = _AGAIN
        while self._backend is None:
            try:
                await self._become_owner()
                return
            except DatabaseInUse as error:
                in_use = error
            try:
                await self._become_guest()
                return
            except OwnerLost as error:
                if deadline is not None and self._clock.monotonic() > deadline:
                    raise _silent(in_use, error) from error
            await asyncio.sleep(pause)
            pause = min(0.5, pause * 1.5)

    async def _become_owner(self) -> None:
        owner = Owner(
            self._url, self._clock, durability=self._durability, lease_seconds=self._own_lease_seconds,
            on_yield=self._yield_soon, on_fault=self._on_fault,
        )  # fmt: skip
        own = frozenset() if self.worker is None else frozenset({self.worker.id})
        await owner.open(own)
        self.owner = owner
        self._renewal = None
        await self._settle(owner.store)

    async def _become_guest(self) -> None:
        holder = owner_of(self._path)
        if holder is None or "socket" not in holder:
            raise OwnerLost("the owner of the database has no socket yet")
        from pathlib import Path

        path = Path(holder["socket"])
        remote = await Remote.connect(path, Role.WORKER)
        if self._is_heir:
            await asyncio.wait([remote.call("yield")])
            await asyncio.wait([remote.lost], timeout=PATIENCE)
            remote.close()
            raise OwnerLost("the owner was asked to let the database go")
        if self.worker is not None:
            self._renewal = Renewal(path, self.worker.id)
        try:
            await self._settle(remote)
        except BaseException:
            remote.close()
            raise
        remote.lost.add_done_callback(self._owner_gone)

    async def _settle(self, backend: Backend) -> None:
        """Shows what is held, makes commits again that were not answered, and lets everybody go on."""
        holding: Mapping[int, int] = {}
        if self.worker is not None:
            info, holding = self.worker.introduction()
            await backend.hello(info, holding)
        self._backend = backend
        if self._hearing is not None:
            self._forget = backend.on_outcome(*self._hearing)
        if self.owner is not None:
            self.commit = self.owner.store.commit
        for waiting in list(self._unanswered.values()):
            self._make(waiting)
        self._is_attached.set()
        if self.worker is not None:
            self.worker.attached(holding)

    def _owner_gone(self, _: object) -> None:
        if self._closed or self.remote is None:
            return
        self._detach()
        self._attaching = self._loop.create_task(self._attach_again())

    def _detach(self) -> None:
        self._backend = None
        self._is_attached.clear()
        self.commit = self._commit_remotely
        if self._forget is not None:
            self._forget()
            self._forget = None

    async def _attach_again(self) -> None:
        try:
            await self._attach(None)
        except PolosError as error:
            self._on_fault(error)
            for waiting in list(self._unanswered.values()):
                if not waiting.future.done():
                    waiting.future.set_exception(error)
            self._unanswered.clear()

    def _yield_soon(self) -> None:
        if self._attaching is None or self._attaching.done():
            self._attaching = self._loop.create_task(self._yield())

    async def _yield(self) -> None:
        """Lets another process have the file, and goes on as its guest."""
        owner, self.owner = self.owner, None
        if owner is None:
            return
        self._detach()
        for claiming in list(self._claiming):
            claiming.cancel()
        await asyncio.sleep(0)
        owner.store.wake_watchers()  # type: ignore[attr-defined]  # only a file has an owner
        await owner.close()
        await asyncio.sleep(5 * _AGAIN)  # whoever asked comes first
        await self._attach_again()

    async def _there(self) -> Backend:
        while self._backend is None:
            if self._closed:
                raise StoreUnavailable("the engine was stopped", hint="the execution goes on when an engine runs again")
            await self._is_attached.wait()
        return self._backend

    async def _asked_again(self, call: Callable[[Any], Awaitable[T]]) -> T:
        """Calls, and calls again where the owner has changed under the call: all calls here may be repeated."""
        while True:
            backend = await self._there()
            try:
                return await call(backend)
            except StoreUnavailable:
                if self._closed or self._backend is backend:
                    if isinstance(backend, Remote) and backend.is_lost and not self._closed:
                        await asyncio.sleep(0)  # its end is about to be told
                        continue
                    raise

    async def close(self) -> None:
        """Leaves the owner, or lets the file go."""
        self._closed = True
        self._is_attached.set()
        if self._attaching is not None:
            self._attaching.cancel()
            await asyncio.gather(self._attaching, return_exceptions=True)
        backend = self._backend
        self._detach()
        self._is_attached.set()
        if isinstance(backend, Remote):
            backend.close()
        owner, self.owner = self.owner, None
        if owner is not None:
            await owner.close()
        await self._reader.close()

    # ── ClientStore ──────────────────────────────────────────────────────────────────────────────────

    async def start(self, executions: Sequence[NewExecution]) -> list[Started]:
        return await self._asked_again(lambda store: store.start(executions))

    async def publish(self, events: Sequence[NewEvent]) -> list[Published]:
        return await self._asked_again(lambda store: store.publish(events))

    async def resume(self, execution_id: str, step_key: str, data: Stored, answer_id: str) -> None:
        await self._asked_again(lambda store: store.resume(execution_id, step_key, data, answer_id))

    async def get(self, execution_id: str) -> Execution | None:
        return await self._asked_again(lambda store: store.get(execution_id))

    async def find(self, reference: str) -> list[Execution]:
        return await self._asked_again(lambda store: store.find(reference))

    async def requeue_blocked(self) -> int:
        """See `EngineStore`."""
        return await self._asked_again(lambda store: store.requeue_blocked())

    def changed(self, execution_id: str) -> Awaitable[None]:
        if self.owner is not None and self._backend is not None:
            return self._backend.changed(execution_id)
        return self._changed_there(execution_id)

    def _changed_there(self, execution_id: str) -> asyncio.Future[None]:
        looked: asyncio.Future[None] = self._loop.create_future()
        if self._backend is None:
            self._loop.call_later(0.1, _settled, looked)
            return looked
        watching = self._backend.changed(execution_id)
        assert isinstance(watching, asyncio.Future)

        def came(done: asyncio.Future[None]) -> None:
            if not done.cancelled():
                done.exception()  # retrieved: an owner's end is a reason to look, too
            _settled(looked)

        watching.add_done_callback(came)
        looked.add_done_callback(lambda done: watching.cancel() and None if done.cancelled() else None)
        return looked

    # ── ReadStore: the file's own, whoever owns it ───────────────────────────────────────────────────

    def _read(self) -> ReadStore:
        return self._reader if self.owner is None else self.owner.store

    async def search(self, wanted: ExecutionFilter) -> list[Execution]:
        return await self._read().search(wanted)

    async def journal(self, execution_id: str) -> list[Entry]:
        return await self._read().journal(execution_id)

    async def waits(self, execution_id: str) -> list[PendingWait]:
        return await self._read().waits(execution_id)

    async def attempts(self, execution_id: str) -> list[FailedAttempt]:
        return await self._read().attempts(execution_id)

    async def events(self, wanted: EventFilter) -> list[Event]:
        return await self._read().events(wanted)

    async def logs(self, wanted: LogFilter) -> list[tuple[int, str, LogLine]]:
        return await self._read().logs(wanted)

    async def counts(self) -> dict[Status, int]:
        return await self._read().counts()

    async def workers(self) -> list[WorkerInfo]:
        return await self._read().workers()

    # ── WorkerStore ──────────────────────────────────────────────────────────────────────────────────

    @property
    def lease_seconds(self) -> float | None:
        return None if self.remote is None else float(self.remote.facts["lease_seconds"])

    def renew(self) -> bool | None:
        renewal = self._renewal
        if renewal is None:
            if self._is_attached.is_set():
                return None
            raise OwnerLost("there is no owner now")
        return renewal.renew()

    async def hello(self, worker: WorkerInfo, holding: Mapping[int, int]) -> None:
        if self._renewal is None and (remote := self.remote) is not None:
            holder = owner_of(self._path) or {}
            if "socket" in holder:
                from pathlib import Path

                self._renewal = Renewal(Path(holder["socket"]), worker.id)
            del remote
        await self._asked_again(lambda store: store.hello(worker, holding))

    async def claim(self, request: ClaimRequest, wait: float) -> list[Claim]:
        while True:
            backend = await self._there()
            claiming = self._loop.create_task(backend.claim(request, wait))
            self._claiming.add(claiming)
            try:
                return await claiming
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                continue  # the owner changes
            except StoreUnavailable:
                if self._closed or (self._backend is backend and not isinstance(backend, Remote)):
                    raise
                await asyncio.sleep(0)
            finally:
                claiming.cancel()
                self._claiming.discard(claiming)

    def _commit_remotely(
        self, lease: Lease, number: int, ops: Sequence[Op], since: int
    ) -> asyncio.Future[CommitAnswer]:
        waiting = _Unanswered(lease, number, ops, since, self._loop.create_future())
        if self._closed:
            waiting.future.set_exception(StoreUnavailable("the engine was stopped"))
            return waiting.future
        self._asked += 1
        self._unanswered[self._asked] = waiting
        asked = self._asked
        waiting.future.add_done_callback(lambda _: self._unanswered.pop(asked, None) and None)
        if self._backend is not None:
            self._make(waiting)
        return waiting.future

    def _make(self, waiting: _Unanswered) -> None:
        backend = self._backend
        assert backend is not None
        made = backend.commit(waiting.lease, waiting.number, waiting.ops, waiting.since)

        def answered(done: asyncio.Future[CommitAnswer]) -> None:
            if waiting.future.done() or done.cancelled():
                return
            error = done.exception()
            if error is None:
                waiting.future.set_result(done.result())
            elif not isinstance(error, OwnerLost) or self._closed:  # else the next owner is asked
                waiting.future.set_exception(error)

        made.add_done_callback(answered)

    def on_outcome(self, worker_id: str, callback: Callable[[int], None]) -> Callable[[], None]:
        self._hearing = (worker_id, callback)
        if self._backend is not None:
            self._forget = self._backend.on_outcome(worker_id, callback)

        def forget() -> None:
            self._hearing = None
            if self._forget is not None:
                self._forget()
                self._forget = None

        return forget

    async def goodbye(self, worker_id: str) -> None:
        self.worker = None
        backend = self._backend
        if backend is not None:
            await backend.goodbye(worker_id)
        if self._renewal is not None:
            renewal, self._renewal = self._renewal, None
            renewal.close()


def _settled(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _silent(in_use: DatabaseInUse, lost: OwnerLost) -> DatabaseInUse:
    """Returns the error for an owner that holds the file and does not answer."""
    return DatabaseInUse(
        f"{in_use.message}, which does not answer ({lost.message})",
        hint=in_use.hint,
        pid=in_use.pid,
        process=in_use.process,
        brief=False,
    )
