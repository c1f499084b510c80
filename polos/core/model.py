"""The records of the system as frozen values: what stores keep and the kernel decides over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from zlib import crc32

from polos.core.status import Status
from polos.errors import CorruptRecord


class Kind(StrEnum):
    """What sort of step an entry records."""

    RUN = "run"
    VALUE = "value"
    SLEEP = "sleep"
    EVENT = "event"
    SUSPEND = "suspend"
    RESUME = "resume"
    PUBLISH = "publish"
    INVOKE = "invoke"
    CHILD = "child"
    TIMER = "timer"  # asyncio's own timers (S1.6)
    RETRY = "retry"  # a wait only: the delay before the next attempt; never an entry
    STOP = "stop"  # the execution was cancelled, or has run for too long (S8.4, S8.5); nothing asks for it


class Ending(StrEnum):
    """What ends an execution before its code does."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"


class Outcome(StrEnum):
    """How a step ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Stored:
    """A value as it is stored: strict JSON text, the types JSON has not, and a checksum of both (S3.1, S3.4)."""

    text: str
    shape: str | None = None

    @property
    def checksum(self) -> int:
        """CRC-32 of the text and the shape."""
        sum_ = crc32(self.text.encode())
        return crc32(self.shape.encode(), sum_) if self.shape else sum_


def verified(text: str, shape: str | None, checksum: int, what: str) -> Stored:
    """Returns the value read from a store.

    Raises:
        CorruptRecord: it does not match its checksum.
    """
    stored = Stored(text, shape)
    if stored.checksum != checksum:
        raise CorruptRecord(
            f"{what} does not match its checksum: the stored value was changed or damaged",
            hint="restore the database from a backup; `polos logs` and `polos events` still show what happened",
        )
    return stored


NULL = Stored("null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An exception as a record (S1.4)."""

    type_name: str
    message: str
    traceback_text: str = ""
    non_retryable: bool = False


@dataclass(slots=True, kw_only=True)  # frozen, its making would take four times as long, once a step
class Entry:
    """A row of the journal: the one outcome of one step.

    `after` is the `seq` of the last outcome delivered at its request; `code` the identity of the code that made it (empty:
    the engine did, for a wait).
    """

    key: str
    kind: Kind
    outcome: Outcome
    seq: int
    after: int
    attempt: int = 1
    value: Stored | None = None
    failure: Failure | None = None
    request: str | None = None
    event: int | None = None
    site: str = ""
    arguments: str | None = None
    code: str = ""
    started_at: int = 0
    ended_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingWait:
    """A wait that has no outcome yet: what would complete it is (channel, deadline)."""

    key: str
    kind: Kind
    after: int
    channel: str | None = None
    deadline: int | None = None
    request: str | None = None
    site: str = ""
    started_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """An attempt that failed and was, or will be, followed by another."""

    key: str
    attempt: int
    failure: Failure
    started_at: int
    ended_at: int
    due_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One run of a workflow, as its row says.

    Attributes:
        ran_for: microseconds under a lease, waits not counted, up to the last commit (S8.5).
        ending: what ends it: its code has still to be told, or is clearing up.
        lives: how often a step's key was superseded by retries, where its idempotency key tells (S9.4).
    """

    number: int
    id: str
    workflow_id: str
    status: Status
    created_at: int
    started_at: int | None = None
    ended_at: int | None = None
    available_at: int = 0
    epoch: int = 0
    seq: int = 0
    deaths: int = 0
    life: int = 0
    stored_bytes: int = 0
    log_lines: int = 0
    worker_id: str | None = None
    parent_id: str | None = None
    parent_key: str | None = None
    root_id: str = ""
    root_workflow_id: str = ""
    session_id: str | None = None
    user_id: str | None = None
    idempotency_key: str | None = None
    run_timeout: int | None = None
    input: Stored = NULL
    initial_state: Stored | None = None
    result: Stored | None = None
    failure: Failure | None = None
    cause_key: str | None = None
    blocked_reason: str | None = None
    blocked_code: str | None = None
    error_type: str | None = None
    queue: str | None = None
    concurrency_key: str | None = None
    placed_at: int = 0
    ran_for: int = 0
    ending: Ending | None = None
    schedule: int | None = None
    state: Stored | None = None
    lives: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExecution:
    """An execution to be started.

    Attributes:
        id: chosen by the caller, so that a repeated start is the same start.
        origin: the worker beside whose client it was started: that one may always claim it.
    """

    id: str
    workflow_id: str
    input: Stored
    initial_state: Stored | None = None
    session_id: str | None = None
    user_id: str | None = None
    queue: str | None = None
    concurrency_key: str | None = None
    idempotency_key: str | None = None
    run_timeout: int | None = None
    delay: int = 0
    origin: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a start answers with; `created` is False when the idempotency key gave back an earlier execution."""

    id: str
    number: int
    workflow_id: str
    root_id: str
    root_workflow_id: str
    created: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What a cancel answers with, by number: what it ended at once, and what ends once its code has cleared up (S8.4)."""

    ended: tuple[int, ...] = ()
    ending: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What a retry answers with (S9.4).

    Attributes:
        superseded: the keys whose outcomes count no more, in their order.
        reopened: the numbers of all executions that go on: this one, and children of its that had failed.
    """

    number: int
    life: int
    superseded: tuple[str, ...] = ()
    reopened: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """An end that a retry took back: how it had ended, and which step was its cause."""

    number: int
    outcome: Outcome
    error_type: str | None
    cause_key: str | None
    ended_at: int
    retried_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A record on a topic. `sequence` is gapless per topic, `position` orders the whole log."""

    position: int
    id: str
    topic: str
    sequence: int
    type: str | None
    data: Stored
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to be published; with an `id` of the caller's it is stored once (S5.2)."""

    topic: str
    type: str | None
    data: Stored
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a publish answers with (S5.2)."""

    id: str
    sequence: int
    position: int
    created: bool = True
    woken: tuple[int, ...] = ()
    started: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A captured line (S10.1); `step_key` is None for the workflow's own lines."""

    at: int
    level: str
    text: str
    step_key: str | None = None
    attempt: int = 0
    number: int = 0
    stream: str = "log"
