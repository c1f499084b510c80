"""What `ctx.step` asks of a run, and the run as it sees it: the seam between user code and sessions. Holds no behaviour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from polos.core.model import Execution, Kind, Stored
from polos.core.retry import RetryPolicy

if TYPE_CHECKING:
    from polos.clock import Clock, Ids, Rng


@dataclass(slots=True, kw_only=True)
class Call:
    """What `ctx.step` asks of a run. `decode` turns the recorded value into the user's, before user code sees it."""

    key: str
    kind: Kind
    site: str
    decode: Callable[[Stored], Any]


@dataclass(slots=True, kw_only=True)
class RunCall(Call):
    """A body is to be run. `encode` makes its result storable; `timeout` in seconds an attempt."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    policy: RetryPolicy
    timeout: float | None
    encode: Callable[[Any], Stored]
    arguments: str


@dataclass(slots=True, kw_only=True)
class ValueCall(Call):
    """A value of the outside world is to be recorded (S1.9).

    `past`: what it is, unrecorded, for code that is asked for what comes behind it in its history.
    """

    make: Callable[[Clock, Ids, Rng], Any]
    past: Any = None


@dataclass(slots=True, kw_only=True)
class SleepCall(Call):
    """A durable timer: `span` in microseconds from its start, or the instant `until`."""

    span: int | None = None
    until: int | None = None


@dataclass(slots=True, kw_only=True)
class EventCall(Call):
    """The lowest unseen event on `topic` is awaited; `timeout` in microseconds."""

    topic: str
    timeout: int | None
    match: str | None
    since: Literal["start", "now"]


@dataclass(slots=True, kw_only=True)
class SuspendCall(Call):
    """A person's answer is awaited."""

    data: Stored
    timeout: int | None


@dataclass(slots=True, kw_only=True)
class AnswerCall(Call):
    """Another execution's suspend is answered."""

    execution_id: str
    step_key: str
    data: Stored


@dataclass(slots=True, kw_only=True)
class PublishCall(Call):
    """An event is published; topic None is the execution's own."""

    topic: str | None
    type: str | None
    data: Stored


@dataclass(slots=True, kw_only=True)
class ChildSpec:
    """A child to be started; the run adds its id and what it inherits."""

    workflow_id: str
    input: Stored
    initial_state: Stored | None = None
    queue: str | None = None
    concurrency_key: str | None = None
    run_timeout: int | None = None
    session_id: str | None = None
    user_id: str | None = None
    idempotency_key: str | None = None


@dataclass(slots=True, kw_only=True)
class ChildrenCall(Call):
    """Children are started; `waits`: the step ends when they do."""

    children: tuple[ChildSpec, ...]
    waits: bool
    batch: bool


@dataclass(slots=True, kw_only=True)
class ResultCall(Call):
    """The end of an execution is awaited."""

    execution_id: str


AnyCall: TypeAlias = (
    RunCall | ValueCall | SleepCall | EventCall | SuspendCall | AnswerCall | PublishCall | ChildrenCall | ResultCall
)


class RunPort(Protocol):
    """A run as `ctx.step` sees it; live sessions and replays implement it."""

    @property
    def execution(self) -> Execution: ...

    @property
    def is_replaying(self) -> bool: ...

    @property
    def state(self) -> Any:
        """What keeps the workflow's state: `StateKeeper`."""
        ...

    def request(self, call: AnyCall) -> Awaitable[Any]:
        """Asks for the outcome of a step; the awaitable gives the decoded value or raises the recorded failure."""
        ...

    def created(self, key: str, coroutine: Any) -> None:
        """Notes a step call that was made, so that one never awaited can be named at the end (S2.6)."""
        ...
