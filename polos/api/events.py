"""Models of events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from polos.api.values import Taken, Text, shape_of, stored_of, value_of
from polos.authoring.payload import instant, microseconds
from polos.core.model import Event, Published
from polos.core.shapes import Shape


class EventIn(Taken):
    """An event to be published; with an `id` of yours it is stored once."""

    topic: Text
    type: Text | None = None
    data: Any = None
    shape: Shape | None = None
    id: Text | None = None


class EventsIn(Taken):
    """One event or several: all are stored, or none."""

    events: list[EventIn] = Field(min_length=1, max_length=10_000)


class PublishedOut(BaseModel):
    """What a publish answers with: the numbers of executions that it woke and started."""

    id: str
    sequence: int
    position: int
    created: bool
    woken: list[int]
    started: list[int]

    @classmethod
    def of(cls, published: Published) -> PublishedOut:
        """Returns it as it is said."""
        return cls(id=published.id, sequence=published.sequence, position=published.position, created=published.created,
                   woken=list(published.woken), started=list(published.started))  # fmt: skip

    def record(self) -> Published:
        """Returns it as a record."""
        return Published(id=self.id, sequence=self.sequence, position=self.position, created=self.created,
                         woken=tuple(self.woken), started=tuple(self.started))  # fmt: skip


class EventOut(BaseModel):
    """An event. `sequence` is gapless on its topic, `position` orders the whole log."""

    position: int
    id: str
    topic: str
    sequence: int
    type: str | None = None
    data: Any = None
    shape: Shape | None = None
    created_at: datetime

    @classmethod
    def of(cls, event: Event) -> EventOut:
        """Returns it as it is said."""
        return cls(position=event.position, id=event.id, topic=event.topic, sequence=event.sequence, type=event.type,
                   data=value_of(event.data), shape=shape_of(event.data), created_at=instant(event.created_at))  # fmt: skip

    def record(self) -> Event:
        """Returns it as a record."""
        return Event(position=self.position, id=self.id, topic=self.topic, sequence=self.sequence, type=self.type,
                     data=stored_of(self.data, self.shape), created_at=microseconds(self.created_at))  # fmt: skip
