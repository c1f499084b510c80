"""Transactions on the event log: topics, lifecycle events, publishing and what it wakes (S5)."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from polos.core.model import Event, NewEvent, Outcome, Published, Stored, verified
from polos.core.waits import matches, same_value, topic_channel
from polos.errors import UsageError
from polos.store.sql.completion import complete
from polos.store.sql.lifecycle import topic
from polos.store.sql.triggers import triggered
from polos.store.sql.tx import Appended, Row, Tx

RESERVED = "workflow/"


def event_from(row: Row) -> Event:
    """Returns the event of a row of `event_columns`."""
    position, id_, topic, sequence, type_, data, shape, checksum, created_at = row
    return Event(
        position=position, id=id_ or f"evt_{position}", topic=topic, sequence=sequence, type=type_,
        data=verified(data, shape, checksum, f"event {position}"), created_at=created_at,
    )  # fmt: skip


def append(topic_id: int, id_: str, type_: str | None, data: Stored, now: int) -> Tx[tuple[int, int]]:
    """Appends one event and returns (position, sequence)."""
    rows = yield "advance_topic", {"topic": topic_id, "count": 1}
    sequence = rows[0][0]
    rows = yield "insert_event", {
        "topic": topic_id, "sequence": sequence, "id": id_, "type": type_, "data": data.text, "shape": data.shape,
        "checksum": data.checksum, "created_at": now,
    }  # fmt: skip
    yield Appended()
    return int(rows[0][0]), int(sequence)


def publish_one(event: NewEvent, now: int, topic_id: int | None = None) -> Tx[Published]:
    """Stores an event and completes the waits that it matches, one an execution (S4.2, S5.2)."""
    found = yield "event_by_id", {"id": event.id}
    if found:
        position, sequence, name, data, shape = found[0]
        if name != event.topic or not same_value(event.data, data, shape):
            raise UsageError(
                f"the event id {event.id!r} was published before, on {name!r} with other data",
                hint="give another event its own id",
            )
        return Published(id=event.id, sequence=sequence, position=position, created=False)
    if topic_id is None:
        topic_id = yield from topic(event.topic)
    position, sequence = yield from append(topic_id, event.id, event.type, event.data, now)
    waits = yield "waits_on", {"channel": topic_channel(event.topic)}
    woken: list[int] = []
    stored = Event(position=position, id=event.id, topic=event.topic, sequence=sequence, type=event.type, data=event.data,
                   created_at=now)  # fmt: skip
    value = event_value(stored)
    for execution, key, _kind, match, since in waits:
        if execution in woken or position <= since or not matches(match, event.data.text):
            continue
        woken.append(execution)
        yield from complete(execution, key, Outcome.COMPLETED, now, value=value, event=position)
    started = [] if event.topic.startswith(RESERVED) else (yield from triggered(stored, value, now))
    return Published(id=event.id, sequence=sequence, position=position, woken=tuple(woken), started=tuple(started))


def publish(events: Sequence[NewEvent], now: int) -> Tx[list[Published]]:
    """Stores events for callers, all or none; the topics under ``workflow/`` are ours."""
    published = []
    for event in events:
        check_topic(event.topic)
        published.append((yield from publish_one(event, now)))
    return published


def check_topic(name: str) -> None:
    """Refuses what cannot be a user's topic. Raises `UsageError`."""
    if name.startswith(RESERVED):
        raise UsageError(
            f"topics under {RESERVED!r} tell the life of executions; {name!r} cannot be published to",
            hint="choose another topic, or use ctx.step.publish_workflow_event inside a workflow",
        )


def event_value(event: Event) -> Stored:
    """Returns an event as the value of the wait that it completed: its fields, with the shape of its data."""
    head = orjson.dumps(
        {"id": event.id, "sequence_id": event.sequence, "topic": event.topic, "event_type": event.type,
         "created_at": event.created_at}
    ).decode()  # fmt: skip
    return Stored(f'{head[:-1]},"data":{event.data.text}}}', _under_data(event.data.shape))


def _under_data(shape: str | None) -> str | None:
    if shape is None:
        return None
    return orjson.dumps({f"/data{path}": name for path, name in orjson.loads(shape).items()}).decode()


def unseen(execution: int, topic_name: str, since: int, match: str | None) -> Tx[Event | None]:
    """Returns the lowest unseen event that matches, for one execution (S4.2)."""
    while True:
        rows = yield (
            "unseen_events",
            {"name": topic_name, "since": since, "execution": execution, "limit": 200},
        )
        for position, data in rows:
            if matches(match, data):
                found = yield "event_at", {"position": position}
                return event_from(found[0])
        if len(rows) < 200:
            return None
        since = rows[-1][0]
