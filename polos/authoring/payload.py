"""The records that user code receives: events, batches, schedules, results. Stores nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(microseconds: int) -> datetime:
    """Returns an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds(moment: datetime) -> int:
    """Returns microseconds since the epoch; a naive datetime is UTC (S4.1)."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (aware - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class EventPayload:
    """An event as a workflow sees it; also readable as a mapping (``event["data"]``).

    Attributes:
        sequence_id: the event's place on its topic, gapless from 1.
        created_at: aware, UTC.
    """

    id: str
    sequence_id: int
    topic: str
    event_type: str | None
    data: Any
    created_at: datetime

    def __getitem__(self, name: str) -> Any:
        if name in self.__slots__:
            return getattr(self, name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.__slots__)

    def keys(self) -> list[str]:
        """Returns the names of the fields."""
        return list(self.__slots__)

    def get(self, name: str, default: Any = None) -> Any:
        """Returns a field, or `default`."""
        return getattr(self, name) if name in self.__slots__ else default


@dataclass(frozen=True, slots=True)
class BatchEventPayload:
    """Several events that started one execution."""

    events: list[EventPayload] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SchedulePayload:
    """The slot of the clock that started an execution; `timestamp` is the slot, not the firing time."""

    timestamp: datetime
    last_timestamp: datetime | None = None
    timezone: str = "UTC"
    schedule_id: str = ""
    key: str = "global"
    upcoming: datetime | None = None
    missed: int = 0


@dataclass(frozen=True, slots=True)
class BatchStepResult:
    """How one of a batch of children ended."""

    workflow_id: str
    success: bool
    result: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class BatchWorkflowInput:
    """One execution of a batch. `id` is the workflow's."""

    id: str
    payload: Any = None
    initial_state: Any = None
    run_timeout_seconds: float | None = None
    session_id: str | None = None
    user_id: str | None = None
    queue: Any = None
    concurrency_key: str | None = None
    idempotency_key: str | None = None


def event_payload(fields: dict[str, Any]) -> EventPayload:
    """Returns the event that a completed wait holds."""
    return EventPayload(
        fields["id"],
        fields["sequence_id"],
        fields["topic"],
        fields["event_type"],
        fields["data"],
        instant(fields["created_at"]),
    )
