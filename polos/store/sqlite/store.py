"""The store over one SQLite file: owns it, writes through the committer, reads beside it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from polos import crashpoints
from polos.clock import Clock
from polos.core.forks import ForkRequest
from polos.core.manifest import ScheduleRule, WorkerInfo
from polos.core.model import Execution, NewEvent, NewExecution, Published, Retried, Started, Stopped, Stored
from polos.core.ops import CommitAnswer, Lease, Op, Release
from polos.core.status import TERMINAL
from polos.errors import StoreUnavailable
from polos.ports import Checker, Claim, ClaimRequest, ScheduleChange
from polos.store.questions import Questions
from polos.store.sql import (
    answers,
    claiming,
    due,
    events,
    executions,
    forking,
    holding,
    retrying,
    schedules,
    stopping,
    workers,
)
from polos.store.sql.commit import Commit
from polos.store.sql.tx import Appended, Changed, Due, Hint, Queued, Tx
from polos.store.sqlite.committer import Committer, Durability
from polos.store.sqlite.opening import open_writer
from polos.store.sqlite.ownership import Ownership
from polos.store.sqlite.reader import SqliteReader
from polos.store.sqlite.watching import Watchers

T = TypeVar("T")
CHECKPOINT_ABOVE = 8 << 20
CHECKPOINT_AT_ONCE_ABOVE = 64 << 20


class SqliteStore(SqliteReader):
    """Implements `Store`. Lives on one loop; the file is owned from `open` to `close`."""

    def __init__(
        self, path: Path, clock: Clock, durability: Durability = "full", for_one_call: bool = False,
        socket: Path | None = None,
    ) -> None:  # fmt: skip
        super().__init__(path)
        self._clock = clock
        self._durability = durability
        self._for_one_call = for_one_call
        self._ownership = Ownership(path, clock, for_one_call, socket)
        self._writer: sqlite3.Connection | None = None
        self._committer: Committer | None = None
        self._work = asyncio.Event()
        self._when_broken: Callable[[BaseException], None] | None = None
        self._queued = 0  # how often something was queued
        self._turn = claiming.Turn()
        # By worker: what it asked for when it last got less than it could take.
        self._found_less: dict[str, object] = {}
        self._watchers = Watchers()
        self._on_outcome: dict[str, Callable[[int], None]] = {}
        self._on_due: set[Callable[[int], None]] = set()
        self._questions = Questions()
        self._on_appended: set[Callable[[], None]] = set()

    async def open(self) -> None:
        """Takes the file and brings its schema up to date. Raises `DatabaseInUse`, `StoreUnavailable`."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(
                f"{self._path} cannot be made: {error.strerror}", hint="check the path and its permissions"
            ) from error
        self._ownership.acquire()
        try:
            self._writer = open_writer(self._path, self._clock)
            wal = self._path.with_name(self._path.name + "-wal")
            try:
                self._sync_what_was_left(wal)
            except sqlite3.Error as error:
                raise StoreUnavailable(
                    f"{self._path} cannot be written: {error}", hint="check its permissions, and its folder's"
                ) from error
            self._committer = Committer(
                self._writer, wal, self._durability, self._tell, self._broke, self._something_is_queued,
                with_helper=not self._for_one_call and wal.exists(),
            )  # fmt: skip
        except BaseException:  # a cancel, too: nothing stays half open
            self._ownership.release()
            raise

    def _sync_what_was_left(self, wal: Path) -> None:
        """Makes durable what an owner that died may have committed and not synced, before anything is answered (S9.5).

        A commit in `synchronous=FULL` syncs the whole log; it also makes the log, which the helper opens.
        """
        assert self._writer is not None
        is_new = not wal.exists() or not wal.stat().st_size
        if (is_new and self._for_one_call) or (not is_new and self._durability == "relaxed"):
            return
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        self._writer.execute(f"PRAGMA user_version = {(version + 1) % (1 << 30)}")

    async def close(self) -> None:
        await super().close()
        if self._committer is not None:
            await self._committer.flush()
            self._committer.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._ownership.release()
        self._watchers.refuse()

    def wake_watchers(self) -> None:
        """Lets everybody who watches an execution look again: the store is about to move to another process."""
        self._watchers.wake()

    @property
    def committer(self) -> Committer:
        """The committer; only while open."""
        assert self._committer is not None, "the store is not open"
        return self._committer

    def check_ownership(self) -> None:
        """Raises `StoreUnavailable` when the file may belong to another process by now."""
        self._ownership.check()

    def on_broken(self, callback: Callable[[BaseException], None]) -> None:
        """Calls `callback` with what has made the file unwritable for good."""
        self._when_broken = callback

    def _broke(self, error: BaseException) -> None:
        if self._when_broken is not None:
            self._when_broken(error)

    def _submit(self, factory: Callable[[], Tx[T]], name: str) -> asyncio.Future[T]:
        return self.committer.submit(factory, name)

    def _tell(self, hints: list[Hint]) -> None:
        """Brings hints to whoever waits for them; after the sync, never before."""
        for hint in hints:
            if isinstance(hint, Queued):
                self._something_is_queued()
            elif isinstance(hint, Changed):
                if hint.outcome and hint.worker_id in self._on_outcome:
                    self._on_outcome[hint.worker_id](hint.number)
                if hint.id is not None:
                    self._watchers.tell(hint.id)
            elif isinstance(hint, Due):
                for callback in self._on_due:
                    callback(hint.at)
            elif isinstance(hint, Appended):
                for appended in self._on_appended:
                    appended()

    def _something_is_queued(self) -> None:
        self._queued += 1
        self._work.set()

    # ── ClientStore ──────────────────────────────────────────────────────────────────────────────────

    async def start(self, new: Sequence[NewExecution]) -> list[Started]:
        return await self._submit(lambda: executions.start(new, self._clock.now()), "start")

    async def publish(self, new: Sequence[NewEvent]) -> list[Published]:
        return await self._submit(lambda: events.publish(new, self._clock.now()), "publish")

    async def resume(self, execution_id: str, step_key: str, data: Stored, answer_id: str) -> None:
        await self._submit(lambda: answers.resume(execution_id, step_key, data, answer_id, self._clock.now()), "resume")

    async def check_input(self, workflow_id: str, payload: Stored) -> Stored | None:
        return await self._questions.check(workflow_id, payload)

    async def cancel(self, execution_id: str) -> Stopped:
        return await self._submit(lambda: stopping.cancel(execution_id, self._clock.now()), "cancel")

    async def retry(self, execution_id: str) -> Retried:
        return await self._submit(lambda: retrying.retry(execution_id, self._clock.now()), "retry")

    async def fork(self, request: ForkRequest) -> Started:
        return await self._submit(lambda: forking.fork(request, self._clock.now()), "fork")

    async def put_schedule(self, rule: ScheduleRule, schedule_id: str) -> str:
        return await self._submit(lambda: schedules.put(rule, schedule_id, self._clock.now()), "put_schedule")

    async def change_schedule(self, schedule_id: str, change: ScheduleChange) -> None:
        await self._submit(lambda: schedules.change(schedule_id, change, self._clock.now()), "change_schedule")

    async def trigger_schedule(self, schedule_id: str, execution_id: str) -> Started:
        return await self._submit(
            lambda: schedules.trigger(schedule_id, execution_id, self._clock.now()), "trigger_schedule"
        )

    async def backfill_schedule(self, schedule_id: str, since: int, until: int) -> list[int]:
        return await self._submit(
            lambda: schedules.backfill(schedule_id, since, until, self._clock.now()), "backfill_schedule"
        )

    def changed(self, execution_id: str) -> asyncio.Future[None]:
        return self._watchers.watch(execution_id, is_over=self._closed)

    async def get(self, execution_id: str) -> Execution | None:
        found = await super().get(execution_id)
        await self._until_durable([found] if found else [])
        return found

    async def find(self, reference: str) -> list[Execution]:
        found = await super().find(reference)
        await self._until_durable(found)
        return found

    async def _until_durable(self, found: Sequence[Execution]) -> None:
        """Holds back an end that readers can see and a power cut could still take away (S9.5)."""
        for execution in found:
            while execution.status in TERMINAL and self.committer.is_unsynced(execution.id):
                await asyncio.wait({self.changed(execution.id)}, timeout=1.0)
                if self.committer.broken is not None:
                    raise StoreUnavailable(
                        f"the end of {execution.id} could not be made durable"
                    ) from self.committer.broken

    # ── WorkerStore ──────────────────────────────────────────────────────────────────────────────────

    lease_seconds: float | None = None

    def renew(self) -> bool | None:
        return None

    async def hello(self, worker: WorkerInfo, holding: Mapping[int, int]) -> None:
        await self._submit(lambda: workers.hello(worker, holding, self._clock.now()), "hello")
        self._questions.introduced(worker.id, () if worker.claims in ("own", "none") else worker.workflow_ids)

    async def claim(self, request: ClaimRequest, wait: float) -> list[Claim]:
        deadline = self._clock.monotonic() + wait
        wants = (request.workflow_ids, request.root_ids, request.runs_suspect)
        while True:
            asked = (self._queued, wants)
            if self._found_less.get(request.worker_id) != asked:  # else there is nothing new since the last look
                self._work.clear()
                claims = await self._claim(request)
                if len(claims) < request.limit:
                    self._found_less[request.worker_id] = asked
                if claims:
                    return claims
            left = deadline - self._clock.monotonic()
            if left <= 0:
                self._found_less.pop(request.worker_id, None)
                return []
            try:
                async with asyncio.timeout(
                    None if left == float("inf") else left
                ):  # (wait_for of 3.11 may swallow a cancel)
                    await self._work.wait()
            except TimeoutError:
                continue  # one last look

    async def _claim(self, request: ClaimRequest) -> list[Claim]:
        taking = self._submit(lambda: claiming.claim(request, self._clock.now(), self._turn), "claim")
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(self._give_back)
            raise

    def _give_back(self, taking: asyncio.Future[list[Claim]]) -> None:
        """A claim whose caller has gone is given back, so that nothing is held by nobody."""
        if taking.cancelled() or taking.exception() is not None or self._committer is None:
            return
        for claim in taking.result():
            self.commit(claim.lease, 1, [Release()], claim.execution.seq).add_done_callback(_retrieved)

    def commit(self, lease: Lease, number: int, ops: Sequence[Op], since: int) -> asyncio.Future[CommitAnswer]:
        name = "commit"
        if crashpoints.installed:
            name = ",".join(dict.fromkeys(type(op).__name__ for op in ops)) or "fetch"
        return self._submit(lambda: Commit(lease, number, ops, since, self._clock.now()).apply(), name)

    def on_outcome(self, worker_id: str, callback: Callable[[int], None]) -> Callable[[], None]:
        self._on_outcome[worker_id] = callback

        def forget() -> None:
            if self._on_outcome.get(worker_id) is callback:  # else it has come back on another connection
                del self._on_outcome[worker_id]

        return forget

    def on_question(self, worker_id: str, callback: Checker) -> Callable[[], None]:
        return self._questions.add(worker_id, callback)

    async def goodbye(self, worker_id: str) -> None:
        self._questions.left(worker_id)
        await self._submit(lambda: workers.goodbye(worker_id, self._clock.now()), "goodbye")

    async def retire(self, worker_id: str) -> None:
        self._questions.left(worker_id)
        await self._submit(lambda: workers.retire(worker_id), "retire")

    # ── EngineStore ──────────────────────────────────────────────────────────────────────────────────

    async def take_over(self, keep: Collection[str] = ()) -> int:
        return await self._submit(lambda: workers.take_over(self._clock.now(), keep), "take_over")

    async def bury(self, worker_id: str) -> int:
        return await self._submit(lambda: workers.bury(worker_id, self._clock.now()), "bury")

    async def fire_due(self, with_schedules: bool = True) -> int | None:
        return await self._submit(lambda: due.fire_due(self._clock.now(), with_schedules), "fire_due")

    def on_due(self, callback: Callable[[int], None]) -> Callable[[], None]:
        self._on_due.add(callback)
        return lambda: self._on_due.discard(callback)

    def on_appended(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._on_appended.add(callback)
        return lambda: self._on_appended.discard(callback)

    async def hold(self, held: Sequence[tuple[str, str]], code: str) -> list[str]:
        return await self._submit(lambda: holding.hold(held, code, self._clock.now()), "hold")

    async def release(self, execution_ids: Sequence[str]) -> list[str]:
        return await self._submit(lambda: holding.release(execution_ids, self._clock.now()), "release")

    async def care(self) -> None:
        wal = self._path.with_name(self._path.name + "-wal")
        size = await asyncio.to_thread(_size, wal)
        committer = self.committer
        if size > CHECKPOINT_AT_ONCE_ABOVE or (size > CHECKPOINT_ABOVE and committer.is_idle):
            await committer.checkpoint()


def _retrieved(done: asyncio.Future[CommitAnswer]) -> None:
    if not done.cancelled():
        done.exception()  # nobody waits for it; an execution not given back is taken over at the next start


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
