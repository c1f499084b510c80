"""Follows events by cursor. Ends only where it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from polos.authoring.payload import EventPayload, instant
from polos.client.connect import Access
from polos.core import codec
from polos.core.model import Event, PendingWait
from polos.ports import EventFilter

POLL = 0.1
_ENDS = frozenset({"workflow_finish", "workflow_failed", "workflow_cancelled", "workflow_blocked"})
_ALL = 1_000_000


def payload_of(event: Event) -> EventPayload:
    """Returns a stored event as user code sees it."""
    return EventPayload(
        event.id, event.sequence, event.topic, event.type, codec.decode(event.data), instant(event.created_at)
    )


def lifecycle_of(event: Event) -> dict[str, Any] | None:
    """Returns what an event on a tree's topic tells of an execution, or None for one that a workflow published there.

    Lifecycle events have no id of their own: they are called by their position.
    """
    if event.id != f"evt_{event.position}":
        return None
    told = codec.plain(event.data)
    return told if isinstance(told, dict) else None


def is_end_of(event: Event, number: int) -> bool:
    """Tells whether an event is the end of the execution of that number."""
    if event.type not in _ENDS:
        return False
    told = lifecycle_of(event)
    return told is not None and told.get("execution") == number


async def unanswered(access: Access, topic: str) -> tuple[list[EventPayload], int]:
    """Returns a tree's suspends that have no answer yet, and the sequence up to which it looked."""
    asked: dict[tuple[int, str], Event] = {}
    last = 0
    for event in await access.read(lambda store: store.events(EventFilter(topic=topic, limit=_ALL))):
        last = event.sequence
        told = lifecycle_of(event)
        if told is None or "key" not in told:
            continue
        place = (told["execution"], told["key"])
        if event.type == f"suspend_{told['key']}" and told.get("kind") == "suspend":
            asked[place] = event
        elif event.type == "wait_finish":
            asked.pop(place, None)
    # What was given up, or was not asked again by a reopened execution, has no end on the topic.
    open_: set[tuple[int, str]] = set()
    for number in {number for number, _ in asked}:
        open_ |= {(number, wait.key) for wait in await _waits(access, number)}
    return [payload_of(event) for place, event in asked.items() if place in open_], last


async def _waits(access: Access, number: int) -> list[PendingWait]:
    for found in await access.read(lambda store: store.find(str(number))):
        if found.number == number:  # (the end of another's id may read alike)
            return await access.read(lambda store, id_=found.id: store.waits(id_))  # type: ignore[misc]  # a bound default
    return []


async def follow(access: Access, wanted: EventFilter, is_end: Callable[[Event], bool]) -> AsyncIterator[EventPayload]:
    """Yields events as they come, oldest first, until one for which `is_end` is true (it is yielded too)."""
    while True:
        found = await access.read(lambda store, wanted=wanted: store.events(wanted))  # type: ignore[misc]  # a bound default
        for event in found:
            yield payload_of(event)
            if is_end(event):
                return
        if found:
            wanted = replace(wanted, after_position=found[-1].position)
        else:
            await asyncio.sleep(POLL)
