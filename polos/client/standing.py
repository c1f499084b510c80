"""Gathers what there is to know of one execution, for `polos why`. Explains nothing itself."""

from __future__ import annotations

import json

from polos.client.client import Client
from polos.core.cut import has_received
from polos.core.ids import workflow_topic
from polos.core.manifest import QueueState
from polos.core.model import Event, Execution, Kind, PendingWait
from polos.core.standing import Facts
from polos.core.status import Status
from polos.ports import EventFilter, ExecutionFilter, ReadStore

_LATELY = 500
_ENDS = {"step_finish", "step_failed", "step_retry"}


async def facts_of(client: Client, execution: Execution, now: int) -> Facts:
    """Returns the facts of an execution; reads only."""
    access = client.access()
    read = access.read
    id_ = execution.id
    waits = await read(lambda store: store.waits(id_))
    runs = execution.status is Status.RUNNING
    line, before = None, 0
    if execution.status is Status.QUEUED and execution.queue is not None:
        line, before = await read(lambda store: _line(store, execution))
    parent, root, received = await read(lambda store: above(store, execution))
    return Facts(
        execution=execution, now=now, waits=waits,
        entries=await read(lambda store: store.journal(id_)),
        attempts=await read(lambda store: store.attempts(id_)),
        topics=await read(lambda store: _topics(store, waits)),
        other_topics=await read(_other_topics) if any(wait.kind is Kind.EVENT for wait in waits) else [],
        children=await read(lambda store: _children(store, execution, waits)),
        bodies=_bodies(execution, await read(lambda store: _told(store, execution))) if runs else [],
        parent=parent, root=root, has_parent_received=received,
        line=line, before=before, workers=await client.workers(), is_owned=await access.is_owned(),
    )  # fmt: skip


async def above(store: ReadStore, execution: Execution) -> tuple[Execution | None, Execution | None, bool]:
    """Returns a child's parent and root, and whether the parent has received how it ended."""
    if execution.parent_id is None:
        return None, None, False
    parent, root = await store.get(execution.parent_id), await store.get(execution.root_id)
    received = has_received(await store.journal(execution.parent_id), execution.parent_key, execution.id)
    return parent, root, received


async def _line(store: ReadStore, execution: Execution) -> tuple[QueueState | None, int]:
    key = execution.concurrency_key or ""
    states = [one for one in await store.queues() if (one.name, one.concurrency_key) == (execution.queue, key)]
    return (states[0] if states else None), await store.place_in_line(execution.id)


async def _topics(store: ReadStore, waits: list[PendingWait]) -> dict[str, list[Event]]:
    topics = {str(json.loads(wait.request or "{}").get("topic", "")) for wait in waits if wait.kind is Kind.EVENT}
    found = {}
    for topic in sorted(topics):
        events = await store.events(EventFilter(topic=topic, newest=True, lifecycle=False, limit=10))
        found[topic] = events[::-1]
    return found


async def _other_topics(store: ReadStore) -> list[str]:
    events = await store.events(EventFilter(newest=True, lifecycle=False, limit=_LATELY))
    return sorted({event.topic for event in events})


async def _children(store: ReadStore, execution: Execution, waits: list[PendingWait]) -> dict[str, list[Execution]]:
    if not any(wait.kind is Kind.CHILD for wait in waits):
        return {}
    found: dict[str, list[Execution]] = {}
    for one in reversed(await store.search(ExecutionFilter(parent_id=execution.id, limit=1000))):
        found.setdefault(one.parent_key or "", []).append(one)
    for wait in waits:  # awaited by its handle
        target = (wait.channel or "").removeprefix("execution:")
        if wait.kind is Kind.CHILD and wait.key not in found and target.startswith("exec_"):
            other = await store.get(target)
            found[wait.key] = [other] if other is not None else []
    return found


async def _told(store: ReadStore, execution: Execution) -> list[Event]:
    topic = workflow_topic(execution.root_workflow_id, execution.root_id)
    return await store.events(EventFilter(topic=topic, newest=True, limit=_LATELY))


def _bodies(execution: Execution, told: list[Event]) -> list[tuple[str, int, int]]:
    """Returns the steps whose body has started and not ended, as far as the newest events tell."""
    open_: dict[str, tuple[str, int, int]] = {}
    for event in told:
        data = json.loads(event.data.text)
        if not isinstance(data, dict) or data.get("execution") != execution.number:
            continue
        key = str(data.get("key", ""))
        if event.type == "step_start":
            open_[key] = (key, int(data.get("attempt", 1)), int(data.get("at", event.created_at)))
        elif event.type in _ENDS:
            open_.pop(key, None)
    return list(open_.values())
