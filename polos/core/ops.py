"""What a worker can write: the operations of `commit` (R6). Data only; stores apply them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from polos.core.model import Entry, FailedAttempt, Failure, Kind, LogLine, NewExecution, Outcome, Stored


@dataclass(slots=True, kw_only=True)  # frozen, its making would take four times as long, once a step
class Record:
    """A step's outcome, known by the worker."""

    key: str
    kind: Kind
    outcome: Outcome
    after: int
    attempt: int = 1
    value: Stored | None = None
    failure: Failure | None = None
    request: str | None = None
    site: str = ""
    arguments: str | None = None
    started_at: int = 0
    ended_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """A wait begins: pending at once, completed by the engine. A timer has a deadline, anything else a channel too."""

    key: str
    kind: Kind
    after: int
    channel: str | None = None
    deadline: int | None = None
    match: str | None = None
    since: Literal["start", "now"] = "start"
    request: str | None = None
    site: str = ""
    started_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StartChildren:
    """Children begin, once per (parent, key). `waits`: the step ends when they do, else with their ids."""

    key: str
    children: tuple[NewExecution, ...]
    waits: bool
    batch: bool
    after: int
    site: str = ""
    started_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """An event is published by a step; `topic` None means the execution's own."""

    key: str
    topic: str | None
    type: str | None
    data: Stored
    event_id: str
    after: int
    site: str = ""
    started_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A suspend of another execution is answered by a step."""

    key: str
    execution_id: str
    step_key: str
    data: Stored
    answer_id: str
    after: int
    site: str = ""
    started_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseWait:
    """A wait that the code no longer awaits; if it has completed meanwhile, its outcome keeps its place."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAt:
    """An attempt failed; the next is due at `failed.due_at`. `parks`: long enough to park for."""

    failed: FailedAttempt
    kind: Kind
    after: int
    parks: bool
    site: str = ""


@dataclass(slots=True, kw_only=True)  # as `Record`
class StepStarted:
    """A body has started; only the lifecycle event is written (S5.4)."""

    key: str
    kind: Kind
    attempt: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """Captured lines; `workflow_lines` is how many of the workflow's own are stored with these."""

    lines: tuple[LogLine, ...]
    workflow_lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire:
    """The running time is over: recorded, and told to the code, as a cancel is (S8.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveState:
    """The state of the workflow has changed; shown by readers, rebuilt by replays."""

    value: Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """The lease ends: everything open is a wait. Refused if one of the keys has completed."""

    on: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The lease ends and the execution is queued again, at no one's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The execution stops until new code or a person removes `reason` (S8.3)."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The workflow's end. `cause_key`: the step whose error ended the run, if one did (S9.4)."""

    outcome: Outcome
    value: Stored | None = None
    failure: Failure | None = None
    cause_key: str | None = None


Op: TypeAlias = (
    Record
    | Await
    | StartChildren
    | Publish
    | Answer
    | CloseWait
    | RetryAt
    | StepStarted
    | Logs
    | Expire
    | SaveState
    | Park
    | Release
    | Block
    | Finish
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write for one execution: only the newest epoch has it (S8.1)."""

    execution: int
    epoch: int
    worker_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitAnswer:
    """What a commit answers: every outcome after the `seq` that the session had, and whether the lease ended."""

    outcomes: tuple[Entry, ...]
    parked: bool = False
