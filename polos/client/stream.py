"""Follows events by cursor. Ends only where it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from polos.authoring.payload import EventPayload, instant
from polos.client.connect import Access
from polos.core import codec
from polos.core.model import Event
from polos.ports import EventFilter

POLL = 0.1


async def follow(access: Access, wanted: EventFilter, is_end: Callable[[Event], bool]) -> AsyncIterator[EventPayload]:
    """Yields events as they come, oldest first, until one for which `is_end` is true (it is yielded too)."""
    while True:
        found = await access.read(lambda store, wanted=wanted: store.events(wanted))  # type: ignore[misc]  # a bound default
        for event in found:
            yield EventPayload(
                event.id,
                event.sequence,
                event.topic,
                event.type,
                codec.decode(event.data),
                instant(event.created_at),
            )
            if is_end(event):
                return
        if found:
            wanted = replace(wanted, after_position=found[-1].position)
        else:
            await asyncio.sleep(POLL)
