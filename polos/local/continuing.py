"""A store that outlives its owner: whoever holds it works on through a change of owners. Decides nothing about executions.

Commits that were not answered are made again (a repeated one gives its first answer, S8.1); all other calls may be
repeated, and are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from polos.clock import Clock
from polos.core.forks import ForkRequest, Provenance
from polos.core.manifest import Declared, QueueState, Schedule, ScheduleRule, WorkerInfo
from polos.core.model import (
    Entry,
    Event,
    Execution,
    FailedAttempt,
    Life,
    LogLine,
    NewEvent,
    NewExecution,
    PendingWait,
    Published,
    Retried,
    Started,
    Stopped,
    Stored,
)
from polos.core.ops import CommitAnswer, Lease, Op
from polos.core.status import Status
from polos.errors import StoreUnavailable
from polos.local.attachment import Attachment, Backend
from polos.local.commits import Commits
from polos.local.owner import Owner
from polos.ports import Checker, Claim, ClaimRequest, EventFilter, ExecutionFilter, LogFilter, ReadStore, ScheduleChange
from polos.store import open_reader
from polos.wire.remote import Remote

T = TypeVar("T")
_LOOK_AGAIN = 0.1
GOES_WITHIN = 5.0
"""Seconds within which an owner that can write no more ends its connections."""
GOODBYE_WITHIN = 1.0


class ContinuingStore:
    """Implements `ClientStore` and `WorkerStore` on one loop, from `open` to `close`."""

    def __init__(
        self, url: str, clock: Clock, *, durability: Literal["full", "relaxed"], lease_seconds: float, is_heir: bool,
        on_fault: Callable[[BaseException], None], may_own: bool = True,
    ) -> None:  # fmt: skip
        self.attachment = Attachment(
            url, clock, durability=durability, lease_seconds=lease_seconds, is_heir=is_heir, on_settled=self._settled,
            on_left=self._left, on_fault=self._failed, may_own=may_own,
        )  # fmt: skip
        self._on_fault = on_fault
        self._reader: ReadStore = open_reader(url)
        self._claiming: set[asyncio.Task[list[Claim]]] = set()
        self._commits = Commits(self.attachment)
        self._hearing: tuple[str, Callable[[int], None]] | None = None
        self._asking: tuple[str, Checker] | None = None
        self._forget: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        # While this process is the owner, its store's own: nothing stands between a worker and its commits.
        self.commit: Callable[[Lease, int, Sequence[Op], int], asyncio.Future[CommitAnswer]] = self._commit

    @property
    def owner(self) -> Owner | None:
        """The owner, while it is this process."""
        return self.attachment.owner

    @property
    def remote(self) -> Remote | None:
        """The connection to the owner, while it is another process."""
        return self.attachment.remote

    async def open(self) -> None:
        """See `Attachment.open`."""
        await self.attachment.open()

    async def close(self) -> None:
        """Leaves the owner, or lets the file go."""
        await self.attachment.close()
        await self._reader.close()

    # ── a change of owners ───────────────────────────────────────────────────────────────────────────

    def _settled(self, backend: Backend) -> None:
        if self._hearing is not None:
            self._forget.append(backend.on_outcome(*self._hearing))
        if self._asking is not None:
            self._forget.append(backend.on_question(*self._asking))
        if not isinstance(backend, Remote):
            self.commit = backend.commit
        self._commits.make_again(backend)

    def _left(self) -> None:
        self.commit = self._commit
        self._forget_all()
        for claiming in list(self._claiming):
            claiming.cancel()

    def _failed(self, error: BaseException) -> None:
        self._on_fault(error)
        self._commits.refuse(error)

    async def _ask(self, call: Callable[[Any], Awaitable[T]]) -> T:
        """Calls, and calls again where the owner has changed under the call."""
        while True:
            backend = await self.attachment.there()
            try:
                return await call(backend)
            except StoreUnavailable:
                if not await self._has_changed(backend):
                    raise

    async def _has_changed(self, backend: Backend) -> bool:
        """Tells whether the call is to be made again: its owner has gone, or goes because it can write no more."""
        if self.attachment.is_closed:
            return False
        if isinstance(backend, Remote):
            await asyncio.wait({backend.lost}, timeout=GOES_WITHIN)
            return backend.is_lost
        return backend is not self.attachment.backend

    # ── ClientStore ──────────────────────────────────────────────────────────────────────────────────

    async def start(self, executions: Sequence[NewExecution]) -> list[Started]:
        return await self._ask(lambda store: store.start(executions))

    async def publish(self, events: Sequence[NewEvent]) -> list[Published]:
        return await self._ask(lambda store: store.publish(events))

    async def resume(self, execution_id: str, step_key: str, data: Stored, answer_id: str) -> None:
        await self._ask(lambda store: store.resume(execution_id, step_key, data, answer_id))

    async def get(self, execution_id: str) -> Execution | None:
        return await self._ask(lambda store: store.get(execution_id))

    async def find(self, reference: str) -> list[Execution]:
        return await self._ask(lambda store: store.find(reference))

    async def check_input(self, workflow_id: str, payload: Stored) -> Stored | None:
        return await self._ask(lambda store: store.check_input(workflow_id, payload))

    async def cancel(self, execution_id: str) -> Stopped:
        return await self._ask(lambda store: store.cancel(execution_id))

    async def retry(self, execution_id: str) -> Retried:
        return await self._ask(lambda store: store.retry(execution_id))

    async def fork(self, request: ForkRequest) -> Started:
        return await self._ask(lambda store: store.fork(request))

    async def put_schedule(self, rule: ScheduleRule, schedule_id: str) -> str:
        return await self._ask(lambda store: store.put_schedule(rule, schedule_id))

    async def change_schedule(self, schedule_id: str, change: ScheduleChange) -> None:
        await self._ask(lambda store: store.change_schedule(schedule_id, change))

    async def trigger_schedule(self, schedule_id: str, execution_id: str) -> Started:
        return await self._ask(lambda store: store.trigger_schedule(schedule_id, execution_id))

    async def backfill_schedule(self, schedule_id: str, since: int, until: int) -> list[int]:
        return await self._ask(lambda store: store.backfill_schedule(schedule_id, since, until))

    def changed(self, execution_id: str) -> Awaitable[None]:
        backend = self.attachment.backend
        if backend is not None and not isinstance(backend, Remote):
            return backend.changed(execution_id)
        looked: asyncio.Future[None] = self._loop.create_future()
        if backend is None:
            self._loop.call_later(_LOOK_AGAIN, _done, looked)
            return looked
        watching = backend.changed(execution_id)

        def came(done: asyncio.Future[None]) -> None:
            if not done.cancelled():
                done.exception()  # retrieved: an owner's end is a reason to look, too
            _done(looked)

        def given_up(done: asyncio.Future[None]) -> None:
            if done.cancelled():
                watching.cancel()

        watching.add_done_callback(came)
        looked.add_done_callback(given_up)
        return looked

    # ── ReadStore: the file itself, whoever owns it ──────────────────────────────────────────────────

    def _file(self) -> ReadStore:
        owner = self.attachment.owner
        return self._reader if owner is None else owner.store

    async def search(self, wanted: ExecutionFilter) -> list[Execution]:
        return await self._file().search(wanted)

    async def journal(self, execution_id: str) -> list[Entry]:
        return await self._file().journal(execution_id)

    async def waits(self, execution_id: str) -> list[PendingWait]:
        return await self._file().waits(execution_id)

    async def attempts(self, execution_id: str) -> list[FailedAttempt]:
        return await self._file().attempts(execution_id)

    async def events(self, wanted: EventFilter) -> list[Event]:
        return await self._file().events(wanted)

    async def logs(self, wanted: LogFilter) -> list[tuple[int, str, LogLine]]:
        return await self._file().logs(wanted)

    async def counts(self) -> dict[Status, int]:
        return await self._file().counts()

    async def workers(self) -> list[WorkerInfo]:
        return await self._file().workers()

    async def superseded(self, execution_id: str) -> list[tuple[int, Entry]]:
        return await self._file().superseded(execution_id)

    async def lives(self, execution_id: str) -> list[Life]:
        return await self._file().lives(execution_id)

    async def provenance(self, execution_id: str) -> Provenance | None:
        return await self._file().provenance(execution_id)

    async def schedules(self) -> list[Schedule]:
        return await self._file().schedules()

    async def queues(self) -> list[QueueState]:
        return await self._file().queues()

    async def declared(self) -> list[Declared]:
        return await self._file().declared()

    async def place_in_line(self, execution_id: str) -> int:
        return await self._file().place_in_line(execution_id)

    # ── WorkerStore ──────────────────────────────────────────────────────────────────────────────────

    @property
    def lease_seconds(self) -> float | None:
        return self.attachment.lease_seconds

    def renew(self) -> bool | None:
        return self.attachment.renew()

    async def hello(self, worker: WorkerInfo, holding: Mapping[int, int]) -> None:
        await self._ask(lambda store: store.hello(worker, holding))

    async def claim(self, request: ClaimRequest, wait: float) -> list[Claim]:
        while True:
            backend = await self.attachment.there()
            claiming = self._loop.create_task(backend.claim(request, wait))
            self._claiming.add(claiming)
            try:
                return await claiming
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
            except StoreUnavailable:
                if not await self._has_changed(backend):
                    raise
            finally:
                claiming.cancel()
                self._claiming.discard(claiming)
            await asyncio.sleep(0)  # the owner changes

    def _commit(self, lease: Lease, number: int, ops: Sequence[Op], since: int) -> asyncio.Future[CommitAnswer]:
        return self._commits.take(lease, number, ops, since)

    def on_outcome(self, worker_id: str, callback: Callable[[int], None]) -> Callable[[], None]:
        self._hearing = (worker_id, callback)
        if self.attachment.backend is not None:
            self._forget.append(self.attachment.backend.on_outcome(worker_id, callback))

        def forget() -> None:
            self._hearing = None
            self._forget_all()

        return forget

    def on_question(self, worker_id: str, callback: Checker) -> Callable[[], None]:
        self._asking = (worker_id, callback)
        if self.attachment.backend is not None:
            self._forget.append(self.attachment.backend.on_question(worker_id, callback))

        def forget() -> None:
            self._asking = None
            self._forget_all()

        return forget

    def _forget_all(self) -> None:
        for forget in self._forget:
            forget()
        self._forget.clear()

    async def retire(self, worker_id: str) -> None:
        await self._ask(lambda store: store.retire(worker_id))

    async def goodbye(self, worker_id: str) -> None:
        self.attachment.worker = None
        backend = self.attachment.backend
        try:
            if backend is not None:
                async with asyncio.timeout(GOODBYE_WITHIN if isinstance(backend, Remote) else None):
                    await backend.goodbye(worker_id)
        except TimeoutError:
            pass  # an owner that does not answer sees the end of the connection
        finally:
            self.attachment.end_renewals()


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
