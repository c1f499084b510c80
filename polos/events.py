"""Publishing and following events from programs. Inside a workflow use ``ctx.step.publish_event``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from polos.authoring.payload import EventPayload
from polos.client.client import Client, _ids
from polos.client.connect import Access
from polos.client.drive import inside_workflow
from polos.client.stream import follow, unanswered
from polos.core import codec
from polos.core.ids import workflow_topic
from polos.core.model import NewEvent, Published
from polos.ports import EventFilter


@dataclass(frozen=True, slots=True)
class EventData:
    """What an event carries."""

    event_type: str | None = None
    data: Any = None


async def publish(client: Client, topic: str, event_data: EventData) -> Published:
    """Publishes one event; returns its id, its sequence, and what it woke and started (S5.2)."""
    return await client.publish(topic, event_data.data, event_data.event_type)


async def batch_publish(client: Client, topic: str, events: Sequence[EventData]) -> list[Published]:
    """Publishes several events on one topic, all or none, in order."""
    new = [NewEvent(topic=topic, type=e.event_type, data=codec.encode(e.data), id=_ids.new("evt")) for e in events]
    return list(await client._publish(new))


def stream_topic(client: Client, topic: str, after: int | None = None) -> AsyncIterator[EventPayload]:
    """Follows a topic without end, from its start, or after the sequence of an event already seen."""
    return client.stream(topic, after)


def stream_workflow(
    client: Client, root_workflow_id: str, root_execution_id: str, after: int | None = None
) -> AsyncIterator[EventPayload]:
    """Follows the life of an execution's tree. Without a cursor: first the suspends still unanswered, then what is new."""
    inside_workflow("a stream", "ctx.step.wait_for_event")
    return _follow_tree(client.access(), workflow_topic(root_workflow_id, root_execution_id), after)


async def _follow_tree(access: Access, topic: str, after: int | None) -> AsyncIterator[EventPayload]:
    if after is None:
        asked, after = await unanswered(access, topic)
        for event in asked:
            yield event
    async for new in follow(access, EventFilter(topic=topic, after_sequence=after), lambda event: False):
        yield new
