"""Follows the event log by cursor, of a file, a server or a bundle. Whoever asks again after an error misses nothing."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from polos.client.client import Client
from polos.core.ids import workflow_topic
from polos.core.model import Event, Execution, LogLine
from polos.ports import EventFilter, LogFilter
from polos_cli.view.fold import fold
from polos_cli.view.model import ViewTree

AT_ONCE = 1_000
"""Events read at once; a server gives no more."""


class TreeFeed:
    """The life of one execution's tree, folded as far as it was read.

    Attributes:
        tree: what the events say; `position` is the cursor.
    """

    def __init__(self, client: Client, execution: Execution) -> None:
        self.tree = ViewTree()
        self._client = client
        self._topic = workflow_topic(execution.root_workflow_id, execution.root_id)
        self._lines: dict[str, int] = {}

    async def read(self) -> bool:
        """Brings the tree up to date; tells whether anything was new."""
        before = self.tree.position
        while True:
            found = await self._events(self.tree.position)
            for event in found:
                fold(self.tree, event)
            if len(found) < AT_ONCE:
                return self.tree.position > before

    async def history(self) -> list[Event]:
        """Returns all events of the tree, oldest first."""
        told: list[Event] = []
        while True:
            found = await self._events(told[-1].position if told else 0)
            told += found
            if len(found) < AT_ONCE:
                return told

    async def newest(self, limit: int) -> list[Event]:
        """Returns the last events of the tree, oldest first."""
        wanted = EventFilter(topic=self._topic, newest=True, limit=limit)
        return await self._client.access().read(lambda store: store.events(wanted))

    async def lines(self, execution_id: str) -> list[LogLine]:
        """Returns an execution's captured lines that no call has returned yet."""
        wanted = LogFilter(execution_id=execution_id, after_position=self._lines.get(execution_id, 0))
        found = await self._client.access().read(lambda store: store.logs(wanted))
        if found:
            self._lines[execution_id] = found[-1][0]
        return [line for _, _, line in found]

    def forget_lines(self, execution_id: str) -> None:
        """Lets `lines` begin anew."""
        self._lines.pop(execution_id, None)

    async def _events(self, after: int) -> list[Event]:
        wanted = EventFilter(topic=self._topic, after_position=after, limit=AT_ONCE)
        return await self._client.access().read(lambda store: store.events(wanted))


class News:
    """What happens anywhere, from when it was begun."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._position = 0

    async def begin(self) -> None:
        """Notes where the log ends now: what comes behind it is news."""
        newest = await self._client.access().read(lambda store: store.events(EventFilter(newest=True, limit=1)))
        self._position = newest[-1].position if newest else 0

    async def read(self) -> tuple[frozenset[int], bool]:
        """Returns the numbers of the executions of which something was told since, and whether an event was published."""
        wanted = EventFilter(after_position=self._position, limit=AT_ONCE)
        found = await self._client.access().read(lambda store: store.events(wanted))
        if found:
            self._position = found[-1].position
        numbers = [_number_of(event) for event in found]
        return frozenset(one for one in numbers if one is not None), any(one is None for one in numbers)


def _number_of(event: Event) -> int | None:
    if not event.topic.startswith("workflow/") or event.type is None:
        return None
    data = orjson.loads(event.data.text)
    number = data.get("execution") if isinstance(data, dict) else None
    return number if isinstance(number, int) else None


def tree_of(events: Iterable[Event]) -> ViewTree:
    """Returns the view after these events: the past, where they are its beginning."""
    tree = ViewTree()
    for event in events:
        fold(tree, event)
    return tree
