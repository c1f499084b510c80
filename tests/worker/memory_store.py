"""One execution in memory behind the `WorkerStore` port: for these tests only, and no model of a real store's speed.

Commits are applied in groups, after seeded delays; answers come after another delay, so that timers and events
may complete a wait in between. After every outcome it keeps a snapshot of what a crash would leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polos.core.codec import encode
from polos.core.manifest import WorkerInfo
from polos.core.model import Entry, Execution, FailedAttempt, Kind, Outcome, PendingWait, Stored
from polos.core.ops import (
    Await,
    Block,
    CloseWait,
    CommitAnswer,
    Expire,
    Finish,
    Lease,
    Logs,
    Op,
    Park,
    Publish,
    Record,
    Release,
    RetryAt,
    SaveState,
    StepStarted,
)
from polos.core.status import Status
from polos.core.waits import matches, topic_channel
from polos.errors import LeaseLost
from polos.ports import Claim, ClaimRequest
from tests.worker.virtual import Dice


@dataclass(frozen=True)
class Snapshot:
    """What a crash leaves after the outcome `seq`."""

    seq: int
    entries: tuple[Entry, ...] = ()
    pending: tuple[PendingWait, ...] = ()
    attempts: tuple[FailedAttempt, ...] = ()
    events: tuple[tuple[str, Stored], ...] = ()
    seen: frozenset[int] = frozenset()
    matchers: tuple[tuple[str, str | None], ...] = ()


class MemoryStore:
    """A store of one execution."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], int],
        dice: Dice,
        snapshot: Snapshot | None = None,
        *,
        execution_id: str = "exec_1",
        lag: float = 0.02,
    ) -> None:
        snapshot = snapshot or Snapshot(0)
        self.loop, self._now, self._dice, self._lag = loop, now, dice, lag
        self.entries: list[Entry] = list(snapshot.entries)
        self.pending: dict[str, PendingWait] = {wait.key: wait for wait in snapshot.pending}
        self.matchers: dict[str, str | None] = dict(snapshot.matchers)
        self.attempts: list[FailedAttempt] = list(snapshot.attempts)
        self.events: list[tuple[str, Stored]] = list(snapshot.events)
        self.seen: set[int] = set(snapshot.seen)
        self.snapshots: list[Snapshot] = []
        self.ops: list[Op] = []
        self.faults: list[str] = []
        self.execution = Execution(
            number=1, id=execution_id, workflow_id="w", status=Status.QUEUED, created_at=0, root_id=execution_id,
            root_workflow_id="w", seq=snapshot.seq,
        )  # fmt: skip
        self.epoch = 0
        self.end: Finish | Block | None = None
        self.queued = asyncio.Event()
        self.queued.set()
        self._waiting: list[tuple[asyncio.Future[CommitAnswer], Lease, int, Sequence[Op], int]] = []
        self._group_due = False
        self._answers: dict[tuple[int, int], CommitAnswer] = {}
        self._callbacks: list[Callable[[int], None]] = []
        for wait in list(self.pending.values()):
            self._arm(wait)

    # ── claims ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def status(self) -> Status:
        return self.execution.status

    def _set(self, status: Status) -> None:
        self.execution = replace(self.execution, status=status, seq=len(self.entries))
        (self.queued.set if status is Status.QUEUED else self.queued.clear)()

    def take(self, held_seq: int = 0) -> Claim:
        """Claims the execution, which must be queued."""
        assert self.status is Status.QUEUED, self.status
        self.epoch += 1
        self._set(Status.RUNNING)
        return Claim(
            lease=Lease(execution=1, epoch=self.epoch, worker_id="wrk"),
            execution=replace(self.execution, epoch=self.epoch),
            entries=tuple(entry for entry in self.entries if entry.seq > held_seq),
            pending=tuple(self.pending.values()),
            attempts=tuple(self.attempts),
        )

    lease_seconds: float | None = None

    def renew(self) -> bool | None:
        return None

    async def hello(self, worker: WorkerInfo, holding: Mapping[int, int]) -> None: ...

    async def claim(self, request: ClaimRequest, wait: float) -> list[Claim]:
        await self.queued.wait()
        return [self.take(request.held.get(1, 0))]

    def on_question(self, worker_id: str, callback: Any) -> Any:
        return lambda: None

    async def retire(self, worker_id: str) -> None: ...
    async def goodbye(self, worker_id: str) -> None: ...

    def on_outcome(self, worker_id: str, callback: Callable[[int], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    # ── commits ──────────────────────────────────────────────────────────────────────────────────────

    def commit(self, lease: Lease, number: int, ops: Sequence[Op], since: int) -> asyncio.Future[CommitAnswer]:
        future: asyncio.Future[CommitAnswer] = self.loop.create_future()
        self._waiting.append((future, lease, number, ops, since))
        if not self._group_due:
            self._group_due = True
            self.loop.call_later(self._delay(), self._apply_group)
        return future

    def _delay(self) -> float:
        return self._lag * self._dice.random() ** 2

    def _apply_group(self) -> None:
        self._group_due = False
        group, self._waiting = self._waiting, []
        for future, lease, number, ops, since in group:
            try:
                answer = self._apply(lease, number, ops, since)
            except LeaseLost as lost:
                self.loop.call_later(self._delay(), _fail, future, lost)
                continue
            self.loop.call_later(self._delay(), _settle, future, answer)

    def _apply(self, lease: Lease, number: int, ops: Sequence[Op], since: int) -> CommitAnswer:
        known = self._answers.get((lease.epoch, number))
        if known is not None:
            return known
        if lease.epoch != self.epoch or self.status is not Status.RUNNING:
            raise LeaseLost("another claim holds the execution")
        parked = False
        for op in ops:
            self.ops.append(op)
            parked = self._apply_one(op) or parked
        answer = CommitAnswer(outcomes=tuple(e for e in self.entries if e.seq > since), parked=parked)
        self._answers[lease.epoch, number] = answer
        return answer

    def _apply_one(self, op: Op) -> bool:
        match op:
            case Record():
                self.pending.pop(op.key, None)
                self._append(
                    Entry(
                        key=op.key, kind=op.kind, outcome=op.outcome, seq=0, after=op.after, attempt=op.attempt,
                        value=op.value, failure=op.failure, site=op.site,
                    )
                )  # fmt: skip
            case Await():
                if op.key in self.pending or any(e.key == op.key for e in self.entries):
                    self.faults.append(f"{op.key} is awaited twice")
                    return False
                wait = PendingWait(
                    key=op.key, kind=op.kind, after=op.after, channel=op.channel, deadline=op.deadline, site=op.site
                )
                self.pending[op.key] = wait
                self.matchers[op.key] = op.match
                self._arm(wait)
                self._match_events()
            case CloseWait():
                self.pending.pop(op.key, None)
            case RetryAt():
                self.attempts.append(op.failed)
                if op.parks:
                    wait = PendingWait(key=op.failed.key, kind=Kind.RETRY, after=op.after, deadline=op.failed.due_at)
                    self.pending[op.failed.key] = wait
                    self._arm(wait)
            case Publish():
                self._append(
                    Entry(
                        key=op.key, kind=Kind.PUBLISH, outcome=Outcome.COMPLETED, seq=0, after=op.after, value=encode(0)
                    )
                )
                self.publish(op.topic or "own", op.data)
            case Park():
                if any(key not in self.pending for key in op.on):
                    return False
                self._set(Status.WAITING)
                return True
            case Release():
                self._set(Status.QUEUED)
            case Block() | Finish():
                self.end = op
                self._set(Status.BLOCKED if isinstance(op, Block) else Status(op.outcome.value))
            case Expire():
                self.stop(Outcome.TIMED_OUT)
            case StepStarted() | Logs() | SaveState():
                pass
            case _:
                raise NotImplementedError(op)
        return False

    def _append(self, entry: Entry) -> None:
        if any(known.key == entry.key for known in self.entries):
            self.faults.append(f"{entry.key} is recorded twice")
            return
        self.entries.append(replace(entry, seq=len(self.entries) + 1))
        self.snapshots.append(
            Snapshot(
                len(self.entries), tuple(self.entries), tuple(self.pending.values()), tuple(self.attempts),
                tuple(self.events), frozenset(self.seen), tuple(self.matchers.items()),
            )
        )  # fmt: skip

    # ── the engine's part ────────────────────────────────────────────────────────────────────────────

    def publish(self, topic: str, data: Stored) -> None:
        """Publishes an event and completes what waits for it."""
        self.events.append((topic, data))
        self._match_events()

    def stop(self, outcome: Outcome = Outcome.CANCELLED) -> None:
        """Records the stop of the execution, once."""
        if self.end is None and not any(entry.kind is Kind.STOP for entry in self.entries):
            seq = len(self.entries)
            self._append(
                Entry(key="polos:stop", kind=Kind.STOP, outcome=outcome, seq=0, after=seq, request='{"ran_for":0}')
            )
            self._wake()

    def _match_events(self) -> None:
        for wait in list(self.pending.values()):
            for position, (topic, data) in enumerate(self.events):
                if (
                    wait.channel == topic_channel(topic)
                    and position not in self.seen
                    and matches(self.matchers.get(wait.key), data.text)
                ):
                    self.seen.add(position)
                    self._complete(wait, Outcome.COMPLETED, data)
                    break

    def _arm(self, wait: PendingWait) -> None:
        if wait.deadline is not None:
            delay = max(0, wait.deadline - self._now()) / 1_000_000
            self.loop.call_later(delay, self._due, wait)

    def _due(self, wait: PendingWait) -> None:
        if self.pending.get(wait.key) is not wait or self.end is not None:
            return
        if wait.kind is Kind.RETRY:
            del self.pending[wait.key]
            self._wake()
        elif wait.kind in (Kind.SLEEP, Kind.TIMER):
            self._complete(wait, Outcome.COMPLETED, encode(None))
        else:
            self._complete(wait, Outcome.TIMED_OUT, None)

    def _complete(self, wait: PendingWait, outcome: Outcome, value: Stored | None) -> None:
        del self.pending[wait.key]
        self._append(Entry(key=wait.key, kind=wait.kind, outcome=outcome, seq=0, after=wait.after, value=value))
        self._wake()

    def _wake(self) -> None:
        if self.status is Status.WAITING:
            self._set(Status.QUEUED)
        elif self.status is Status.RUNNING:
            for callback in self._callbacks:
                self.loop.call_soon(callback, 1)


def _settle(future: asyncio.Future[Any], answer: CommitAnswer) -> None:
    if not future.done():
        future.set_result(answer)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
