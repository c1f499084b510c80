"""The seams of the house: what stores offer. Holds no behaviour."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

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

if TYPE_CHECKING:
    from asyncio import Future


ScheduleChange: TypeAlias = Literal["pause", "resume", "delete"]
Checker: TypeAlias = Callable[[str, Stored], Awaitable[Stored]]
"""Returns the payload of a workflow (by id) as it is stored, or raises `InvalidInput`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A payload that a worker is asked about over the wire."""

    number: int
    workflow_id: str
    payload: Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a claim brings: the execution under its new lease, and every outcome after `since`, which the worker has.

    With them it knows all up to the execution's `seq`, which may be that of a superseded one (S9.4).

    `is_held`: the worker had the execution in memory when it asked, so that pending waits are left out.
    """

    lease: Lease
    execution: Execution
    entries: tuple[Entry, ...]
    since: int = 0
    is_held: bool = False
    pending: tuple[PendingWait, ...] = ()
    attempts: tuple[FailedAttempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """Who asks for work.

    Attributes:
        held: hot executions, with the last `seq` known of each.
        root_ids: only these trees.
        only_rest: of workflows that another worker has for all, only what was started beside this one.
        runs_suspect: one that may bring its worker down is running: no second one (S8.3).
    """

    worker_id: str
    workflow_ids: frozenset[str]
    limit: int
    held: Mapping[int, int] = field(default_factory=dict)
    root_ids: frozenset[str] | None = None
    only_rest: bool = False
    runs_suspect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """Which executions a listing shows, newest first. `before` is a number: the listing goes on below it.

    `with_values`: False, and inputs, results and states are left out, however large they are.
    """

    statuses: frozenset[Status] = frozenset()
    workflow_id: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    since: int | None = None
    until: int | None = None
    before: int | None = None
    limit: int = 100
    with_values: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events a listing shows, oldest first; `newest`: the last `limit` of them. `prefix` ends without its ``*``.

    `before_position`: the listing ends below it. `budget`: characters of data behind which it ends, with one event at
    least; None: it is as long as it is.
    """

    topic: str | None = None
    prefix: str | None = None
    after_position: int = 0
    before_position: int | None = None
    after_sequence: int = 0
    since: int | None = None
    until: int | None = None
    lifecycle: bool = True
    newest: bool = False
    limit: int = 500
    budget: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which captured lines a listing shows, oldest first. `level` is the lowest shown."""

    execution_id: str | None = None
    workflow_id: str | None = None
    step_key: str | None = None
    level: str | None = None
    after_position: int = 0
    since: int | None = None
    until: int | None = None
    limit: int = 1000


class ReadStore(Protocol):
    """All that only reads; works beside any owner."""

    async def get(self, execution_id: str) -> Execution | None: ...
    async def find(self, reference: str) -> list[Execution]:
        """Returns the executions that answer to a number, an id, the end of an id, ``last`` or ``last:WORKFLOW``."""
        ...

    async def search(self, wanted: ExecutionFilter) -> list[Execution]: ...
    async def journal(self, execution_id: str) -> list[Entry]: ...
    async def waits(self, execution_id: str) -> list[PendingWait]: ...
    async def attempts(self, execution_id: str) -> list[FailedAttempt]: ...
    async def events(self, wanted: EventFilter) -> list[Event]: ...
    async def logs(self, wanted: LogFilter) -> list[tuple[int, str, LogLine]]:
        """Returns (position, execution id, line)."""
        ...

    async def counts(self) -> dict[Status, int]: ...
    async def workers(self) -> list[WorkerInfo]: ...
    async def superseded(self, execution_id: str) -> list[tuple[int, Entry]]:
        """Returns what retries took back, with the life that it belongs to (from 1), in order (S9.4)."""
        ...

    async def lives(self, execution_id: str) -> list[Life]: ...
    async def provenance(self, execution_id: str) -> Provenance | None:
        """Returns where a fork comes from; None: it is none."""
        ...

    async def schedules(self) -> list[Schedule]: ...
    async def queues(self) -> list[QueueState]: ...
    async def declared(self) -> list[Declared]:
        """Returns the workflows that the newest manifests have, by id."""
        ...

    async def place_in_line(self, execution_id: str) -> int:
        """Returns how many wait before a queued execution in its line (S7.4)."""
        ...

    async def close(self) -> None: ...


class ClientStore(ReadStore, Protocol):
    """What callers may change."""

    async def start(self, executions: Sequence[NewExecution]) -> list[Started]:
        """Starts all or none. Raises `IdempotencyConflict`."""
        ...

    async def publish(self, events: Sequence[NewEvent]) -> list[Published]: ...
    async def resume(self, execution_id: str, step_key: str, data: Stored, answer_id: str) -> None:
        """Answers a suspend. Raises `AlreadyResumed`, `ExecutionEnded`, `UnknownExecution`."""
        ...

    async def check_input(self, workflow_id: str, payload: Stored) -> Stored | None:
        """Returns a payload as its workflow stores it, checked by a worker that has its code; None: nobody could say.

        Raises:
            InvalidInput: it does not fit.
        """
        ...

    async def cancel(self, execution_id: str) -> Stopped:
        """Cancels an execution and its children (S8.4). Raises `ExecutionEnded`, `UnknownExecution`."""
        ...

    async def retry(self, execution_id: str) -> Retried:
        """Reopens one that has failed, was cancelled or is blocked (S9.4). Raises `ExecutionEnded`, `UsageError`."""
        ...

    async def fork(self, request: ForkRequest) -> Started:
        """Starts a new execution with a part of another one's history (S9.4). Raises `UnknownExecution`, `UsageError`."""
        ...

    async def put_schedule(self, rule: ScheduleRule, schedule_id: str) -> str:
        """Makes a schedule, or changes the one of that workflow and key; returns its id. Raises `UsageError`."""
        ...

    async def change_schedule(self, schedule_id: str, change: ScheduleChange) -> None:
        """Raises `UsageError`: there is none, or the code declares it and it cannot be deleted."""
        ...

    async def trigger_schedule(self, schedule_id: str, execution_id: str) -> Started:
        """Starts its workflow now; `execution_id` is chosen by the caller."""
        ...

    async def backfill_schedule(self, schedule_id: str, since: int, until: int) -> list[int]:
        """Starts an execution for each past slot in ``[since, until)`` that has none; returns their numbers."""
        ...

    def changed(self, execution_id: str) -> Awaitable[None]:
        """Returns when the execution may have changed; callers look for themselves and bound the time."""
        ...


class WorkerStore(Protocol):
    """What workers may change; all under a lease (R6)."""

    @property
    def lease_seconds(self) -> float | None:
        """How long a silent worker keeps what it runs; None: here no lease needs renewal (S8.2)."""
        ...

    def renew(self) -> bool | None:
        """Renews the worker's lease, blocking, from any thread; False when it was given up, None when it needs none.

        Raises:
            OwnerLost: nobody answered.
        """
        ...

    async def hello(self, worker: WorkerInfo, holding: Mapping[int, int]) -> None:
        """Introduces a worker, or what has changed of it.

        Args:
            holding: the epoch of each execution that it holds, by number: whatever else the store has as held by
                it is queued again, since the claim's answer never arrived.
        """
        ...

    async def claim(self, request: ClaimRequest, wait: float) -> list[Claim]:
        """Returns work as soon as there is some, or nothing after `wait` seconds."""
        ...

    def commit(self, lease: Lease, number: int, ops: Sequence[Op], since: int) -> Future[CommitAnswer]:
        """Writes `ops` in one transaction and answers every outcome after `since`; repeating a number repeats its answer."""
        ...

    def on_outcome(self, worker_id: str, callback: Callable[[int], None]) -> Callable[[], None]:
        """Calls `callback` with the number of an execution that got an outcome from elsewhere; returns the way to stop."""
        ...

    def on_question(self, worker_id: str, callback: Checker) -> Callable[[], None]:
        """Calls `callback` with payloads that others want to know whether they fit; returns the way to stop."""
        ...

    async def retire(self, worker_id: str) -> None:
        """Notes that a worker ends what it runs and takes nothing more."""
        ...

    async def goodbye(self, worker_id: str) -> None: ...


class EngineStore(Protocol):
    """What the engine's services do on their own."""

    async def take_over(self, keep: Collection[str] = ()) -> int:
        """Queues every execution that a worker other than these held; returns how many."""
        ...

    async def bury(self, worker_id: str) -> int:
        """Gives a worker up, and queues what it held; returns how many executions that were."""
        ...

    async def fire_due(self, with_schedules: bool = True) -> int | None:
        """Completes and starts what is due and returns the instant of the next, in microseconds."""
        ...

    def on_due(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Calls `callback` with instants at which something will be due; returns the way to stop."""
        ...

    def on_appended(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` whenever the event log may have grown, durably; returns the way to stop."""
        ...

    async def hold(self, held: Sequence[tuple[str, str]], code: str) -> list[str]:
        """Blocks executions (id, reason) that do not fit that code and that nobody runs; returns which it has (S8.3)."""
        ...

    async def release(self, execution_ids: Sequence[str]) -> list[str]:
        """Queues those of these executions that are blocked; returns which were."""
        ...

    def check_ownership(self) -> None:
        """Raises `StoreUnavailable` when the store may belong to another process by now."""
        ...

    def on_broken(self, callback: Callable[[BaseException], None]) -> None:
        """Calls `callback` with what has made the store unwritable for good."""
        ...

    def wake_watchers(self) -> None:
        """Lets everybody who watches an execution look again: the engine goes on in another process."""
        ...

    async def care(self) -> None:
        """Does the store's housekeeping when it is idle."""
        ...


class Store(ClientStore, WorkerStore, EngineStore, Protocol):
    """A whole store."""


class EventStream(Protocol):
    """Events by cursor."""

    def __aiter__(self) -> AsyncIterator[Event]: ...
