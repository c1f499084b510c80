"""Follows the event log as it grows, and says whose event each is. Tells in the order of the log."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from polos.client.stream import lifecycle_of
from polos.core.model import Event, Execution
from polos.dev.happenings import Told
from polos.ports import EventFilter, Store

PAUSE = 0.04
"""Seconds between two looks, so that a busy log is read in batches."""
AT_ONCE = 500
REMEMBERED = 10_000
_OF_FAILURES = frozenset({"workflow_failed", "workflow_blocked", "step_failed", "step_retry"})


class Follower:
    """Follows from now on; `tell` hears each event."""

    def __init__(self, store: Store, tell: Callable[[Told], None]) -> None:
        self._store = store
        self._tell = tell
        self._names: OrderedDict[int, tuple[str, int]] = OrderedDict()

    async def follow(self) -> None:
        """Follows until cancelled."""
        grown = asyncio.Event()
        grown.set()
        forget = self._store.on_appended(grown.set)
        newest = await self._store.events(EventFilter(newest=True, limit=1))
        position = newest[-1].position if newest else 0
        try:
            while True:
                await grown.wait()
                grown.clear()
                while found := await self._store.events(EventFilter(after_position=position, limit=AT_ONCE)):
                    for event in found:
                        self._tell(await self._told(event))
                    position = found[-1].position
                await asyncio.sleep(PAUSE)
        finally:
            forget()

    async def _told(self, event: Event) -> Told:
        facts = lifecycle_of(event) if event.topic.startswith("workflow/") else None
        if facts is None or "execution" not in facts:
            return Told(event=event)
        number = int(facts["execution"])
        if event.type == "workflow_start":
            self._remember(number, str(facts["workflow_id"]), event.created_at)
        error = where = ""
        if event.type in _OF_FAILURES or number not in self._names:
            execution = await self._execution(number)
            if execution is not None:
                self._remember(number, execution.workflow_id, execution.created_at)
                error, where = await self._failure(event, facts, execution)
        workflow_id, started_at = self._names.get(number, ("", event.created_at))
        return Told(
            event=event, facts=facts, execution=number, workflow_id=workflow_id, started_at=started_at, error=error,
            where=where,
        )  # fmt: skip

    def _remember(self, number: int, workflow_id: str, started_at: int) -> None:
        self._names[number] = (workflow_id, started_at)
        if len(self._names) > REMEMBERED:
            self._names.popitem(last=False)

    async def _execution(self, number: int) -> Execution | None:
        return next((one for one in await self._store.find(str(number)) if one.number == number), None)

    async def _failure(self, event: Event, facts: dict[str, Any], execution: Execution) -> tuple[str, str]:
        """Returns the message of the failure that an event tells of, which stores none itself (S5.4), and its step."""
        if event.type == "workflow_failed" and execution.failure is not None:
            return execution.failure.message, execution.cause_key or ""
        if event.type == "workflow_blocked":
            return execution.blocked_reason or "", ""
        key = str(facts.get("key", ""))
        if event.type == "step_retry":
            attempts = await self._store.attempts(execution.id)
            of = [a for a in attempts if a.key == key and a.attempt == facts.get("attempt")]
            return (of[-1].failure.message if of else ""), key
        if event.type == "step_failed":
            entries = [e for e in await self._store.journal(execution.id) if e.key == key and e.failure is not None]
            return (entries[-1].failure.message if entries and entries[-1].failure else ""), key
        return "", ""
