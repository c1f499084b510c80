"""Routes of events: publish, list, and a stream of server-sent events by cursor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from pydantic import Field
from starlette.responses import StreamingResponse

from polos.api.events import EventOut, EventsIn, PublishedOut
from polos.api.values import Instant, Taken, Text, stored_of
from polos.authoring.checks import check_text
from polos.authoring.payload import microseconds
from polos.clock import TimeOrderedIds
from polos.core.ids import workflow_topic
from polos.core.model import NewEvent
from polos.errors import UsageError
from polos.http.routes import Call, NoBody, NoQuery, Route
from polos.ports import EventFilter, Store

AT_ONCE = 50
PAGE = 4 << 20
"""Events read for one reader at once, and characters of their data: what it has not taken waits in the log, never in memory."""
KEEP_ALIVE = 15.0
_ids = TimeOrderedIds()


class ListQuery(Taken):
    """Which events, oldest first; without a cursor the newest `limit` of them.

    A page may be shorter than its limit where values are large: it ends with 4 MiB of them.
    """

    topic: Text | None = Field(default=None, description="a topic, or the start of topics with a * behind it")
    execution: Text | None = Field(default=None, description="the life of this execution's tree")
    after: int | None = Field(default=None, ge=0, le=1 << 62, description="only behind this position")
    before: int | None = Field(default=None, ge=1, le=1 << 62, description="only before this position")
    after_sequence: int = Field(default=0, ge=0, le=1 << 62)
    since: Instant | None = None
    until: Instant | None = None
    lifecycle: bool = True
    limit: int = Field(default=100, ge=1, le=1000)


class StreamQuery(Taken):
    """Which events to follow."""

    topic: Text | None = None
    execution: Text | None = None
    after: int | None = Field(default=None, ge=0, le=1 << 62, description="a position; without one, what is new")
    lifecycle: bool = True


async def publish(call: Call[EventsIn, NoQuery]) -> list[PublishedOut]:
    """Stores events, and what they set off."""
    new = []
    for event in call.body.events:
        for what, text in (("a topic", event.topic), ("an event's type", event.type), ("an event's id", event.id)):
            if text is not None:
                check_text(text, what)
        new.append(
            NewEvent(topic=event.topic, type=event.type, data=stored_of(event.data, event.shape),
                     id=event.id or _ids.new("evt"))
        )  # fmt: skip
    return [PublishedOut.of(one) for one in await call.engine.store.publish(new)]


async def _filter(call: Call[Any, Any]) -> EventFilter:
    asked = call.query
    wanted = EventFilter(lifecycle=asked.lifecycle)
    if asked.topic is not None and asked.execution is not None:
        raise UsageError("either a topic or an execution", hint="leave one of them out")
    if asked.execution is not None:
        check_text(asked.execution, "a reference")
        found = await call.engine.client.get(asked.execution)
        return replace(wanted, topic=workflow_topic(found.root_workflow_id, found.root_id))
    if asked.topic is not None:
        check_text(asked.topic, "a topic")
        if asked.topic.endswith("*"):
            return replace(wanted, prefix=asked.topic[:-1])
        return replace(wanted, topic=asked.topic)
    return wanted


async def listing(call: Call[NoBody, ListQuery]) -> list[EventOut]:
    """Lists them."""
    asked = call.query
    wanted = replace(
        await _filter(call), newest=asked.after is None and not asked.after_sequence, after_position=asked.after or 0,
        after_sequence=asked.after_sequence, limit=asked.limit, before_position=asked.before,
        since=None if asked.since is None else microseconds(asked.since),
        until=None if asked.until is None else microseconds(asked.until),
    )  # fmt: skip
    told: list[EventOut] = []
    room = PAGE
    while room > 0 and len(told) < asked.limit:
        part = await call.engine.store.events(replace(wanted, limit=min(AT_ONCE, asked.limit - len(told)), budget=room))
        if not part:
            break
        room -= sum(len(one.data.text) for one in part)
        said = [EventOut.of(one) for one in part]
        if wanted.newest:
            told, wanted = said + told, replace(wanted, before_position=part[0].position)
        else:
            told, wanted = told + said, replace(wanted, after_position=part[-1].position)
    return told


async def stream(call: Call[NoBody, StreamQuery]) -> StreamingResponse:
    """Follows them: ``id`` is the position, so that a reader goes on where it was (``Last-Event-ID``)."""
    wanted, store = await _filter(call), call.engine.store
    after = call.query.after
    if after is None:
        newest = await store.events(EventFilter(newest=True, limit=1))
        after = newest[-1].position if newest else 0
    return StreamingResponse(_follow(store, replace(wanted, after_position=after)), media_type="text/event-stream")


async def _follow(store: Store, wanted: EventFilter) -> AsyncIterator[bytes]:
    grown = asyncio.Event()
    forget = store.on_appended(grown.set)
    try:
        yield b"retry: 1000\n\n"
        while True:
            grown.clear()
            while found := await store.events(replace(wanted, limit=AT_ONCE, budget=PAGE)):
                for event in found:
                    said = EventOut.of(event).model_dump_json().encode()
                    yield b"id: %d\ndata: %s\n\n" % (event.position, said)
                wanted = replace(wanted, after_position=found[-1].position)
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    await grown.wait()
            except TimeoutError:
                yield b": still here\n\n"
    finally:
        forget()


ROUTES = (
    Route(method="POST", path="/events", name="publishEvents", summary="Publish events, all or none", body=EventsIn,
          gives=list[PublishedOut], status=201, handler=publish, refuses=(413,)),
    Route(method="GET", path="/events", name="listEvents", summary="List events", query=ListQuery, gives=list[EventOut],
          handler=listing, refuses=(404,)),
    Route(method="GET", path="/events/stream", name="streamEvents",
          summary="Follow events as they come (server-sent events; Last-Event-ID goes on)", query=StreamQuery,
          handler=stream, media="text/event-stream", refuses=(404,)),
)  # fmt: skip
