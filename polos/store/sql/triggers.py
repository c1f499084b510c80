"""Transactions that start executions from events, alone or in batches, and keep what declares them (S5.3)."""

from __future__ import annotations

from hashlib import blake2b

import orjson

from polos.core.ids import encode_id
from polos.core.manifest import EventTrigger, WorkerInfo
from polos.core.model import Event, NewExecution, Stored
from polos.store.sql import executions
from polos.store.sql.tx import Due, Tx

BATCH_BYTES = 512 << 10
"""Bytes of events above which a batch is full, whatever its size: its payload is one value."""
ALL = 1 << 30


def register(worker: WorkerInfo, now: int) -> Tx[None]:
    """Makes a project's triggers those that its code declares; only a complete manifest removes any (S7.3).

    A trigger is in force from the transaction that registers it: earlier events start nothing.
    """
    if worker.claims == "own":
        return  # it would run none of what they start
    for trigger in worker.triggers:
        known = yield "trigger_of", {"workflow_id": trigger.workflow_id}
        yield "put_trigger", {
            "workflow_id": trigger.workflow_id, "project": worker.project, "topic": trigger.topic.removesuffix("*"),
            "is_prefix": int(trigger.topic.endswith("*")), "batch_size": trigger.batch_size,
            "batch_timeout": trigger.batch_timeout, "now": now,
        }  # fmt: skip
        if known and known[0][1:] != (trigger.batch_size, trigger.batch_timeout):
            yield from _regather(known[0][0], trigger, now)
    if worker.complete:
        declared = orjson.dumps([trigger.workflow_id for trigger in worker.triggers]).decode()
        yield "remove_triggers", {"project": worker.project, "declared": declared}
        yield "forget_gathered", {}


def triggered(event: Event, value: Stored, now: int) -> Tx[list[int]]:
    """Starts what an event triggers, or puts it into their batches; returns the numbers of executions started."""
    started: list[int] = []
    for row in (yield "triggers_on", {"topic": event.topic}):
        number, workflow_id, batch_size, batch_timeout, waiting, due_at = row
        if batch_size == 1:
            started.append((yield from _start(workflow_id, f"{number}/{event.position}", value, now)))
            continue
        yield "gather_event", {"trigger": number, "event": event.position, "bytes": len(value.text)}
        size = waiting + len(value.text)
        full = (yield "count_gathered", {"trigger": number})[0][0] >= batch_size
        if full or size >= BATCH_BYTES:
            started += yield from _start_batch(number, workflow_id, now)
        elif batch_timeout is not None and due_at is None:
            yield "age_of_batch", {"trigger": number, "due_at": now + batch_timeout}
            yield Due(now + batch_timeout)
    return started


def _regather(number: int, trigger: EventTrigger, now: int) -> Tx[None]:
    """Starts of the events gathered under former rules what is full under the new ones; the rest waits by these."""
    while (yield "count_gathered", {"trigger": number})[0][0] >= trigger.batch_size:
        if trigger.batch_size == 1:
            event, value = (yield from _take_gathered(number, 1))[0]
            yield from _start(trigger.workflow_id, f"{number}/{event.position}", value, now)
        else:
            yield from _start_batch(number, trigger.workflow_id, now, trigger.batch_size)
    oldest_at = (yield "oldest_gathered", {"trigger": number})[0][0]
    due_at = None if oldest_at is None or trigger.batch_timeout is None else oldest_at + trigger.batch_timeout
    yield "age_of_batch", {"trigger": number, "due_at": due_at}
    if due_at is not None:
        yield Due(due_at)


def fire_batches(now: int) -> Tx[int | None]:
    """Starts the batches whose oldest event is old enough, and returns the instant of the next."""
    for number, workflow_id in (yield "due_batches", {"now": now}):
        yield from _start_batch(number, workflow_id, now)
    due: int | None = (yield "next_batch", {})[0][0]
    return due


def _start_batch(number: int, workflow_id: str, now: int, size: int = ALL) -> Tx[list[int]]:
    taken = yield from _take_gathered(number, size)
    yield "age_of_batch", {"trigger": number, "due_at": None}
    if not taken:
        return []
    values = [value for _, value in taken]
    text = '{"events":[' + ",".join(value.text for value in values) + "]}"
    batch = Stored(text, _shape_of(values))
    return [(yield from _start(workflow_id, f"{number}/{taken[0][0].position}+", batch, now))]


def _shape_of(values: list[Stored]) -> str | None:
    shape: dict[str, str] = {}
    for index, value in enumerate(values):
        if value.shape:
            shape |= {f"/events/{index}{path}": name for path, name in orjson.loads(value.shape).items()}
    return orjson.dumps(shape).decode() if shape else None


def _take_gathered(number: int, size: int) -> Tx[list[tuple[Event, Stored]]]:
    """Takes the oldest `size` events out of a trigger's batch."""
    from polos.store.sql.events import event_from, event_value

    events = [event_from(row) for row in (yield "gathered", {"trigger": number, "limit": size})]
    if events:
        yield "forget_gathered_until", {"trigger": number, "event": events[-1].position}
    return [(event, event_value(event)) for event in events]


def _start(workflow_id: str, cause: str, value: Stored, now: int) -> Tx[int]:
    """Starts an execution whose id follows from what starts it."""
    tail = int.from_bytes(blake2b(f"{workflow_id}/{cause}/{now}".encode(), digest_size=10).digest(), "big")
    new = NewExecution(id=f"exec_{encode_id(now // 1000, tail)}", workflow_id=workflow_id, input=value)
    return (yield from executions.start_one(new, now)).number
