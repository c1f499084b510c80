"""What the dashboard shows, read by cursor and by page. The only room of the dashboard that asks a client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from polos.client.client import Client
from polos.client.standing import facts_of
from polos.clock import Clock
from polos.core.explain import explain
from polos.core.ids import workflow_topic
from polos.core.model import Entry, Execution, FailedAttempt, PendingWait
from polos.core.standing import Explanation
from polos.core.status import Status
from polos.ports import EventFilter, ExecutionFilter, LogFilter
from polos_cli.view.fold import fold
from polos_cli.view.model import ViewTree

PAGE = 200
_TOLD = 2_000


@dataclass(frozen=True, slots=True)
class Row:
    """An execution as the list shows it; all there is of it in memory."""

    number: int
    id: str
    workflow_id: str
    status: str
    created_at: int
    ended_at: int | None
    error_type: str
    is_child: bool

    @classmethod
    def of(cls, one: Execution) -> Row:
        """Returns the row of an execution."""
        return cls(one.number, one.id, one.workflow_id, one.status.value, one.created_at, one.ended_at,
                   one.error_type or "", one.parent_id is not None)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """What the list is narrowed to."""

    statuses: frozenset[Status] = frozenset()
    workflow_id: str | None = None

    @property
    def words(self) -> str:
        """The filter as it is typed."""
        return " ".join([*sorted(self.statuses), *([self.workflow_id] if self.workflow_id else [])])

    @classmethod
    def read(cls, text: str) -> Filter:
        """Returns the filter of words: statuses, and one workflow's id."""
        words = text.split()
        statuses = frozenset(Status(word) for word in words if word in set(Status))
        others = [word for word in words if word not in set(Status)]
        return cls(statuses, others[0] if others else None)


@dataclass(frozen=True, slots=True)
class Whole:
    """All there is to one execution at one moment; `statuses`: of all of its tree, by number."""

    execution: Execution
    statuses: Mapping[int, str]
    tree: ViewTree
    entries: Sequence[Entry]
    waits: Sequence[PendingWait]
    attempts: Sequence[FailedAttempt]
    logs: Sequence[str]
    why: Explanation


class Feed:
    """Reads through one client."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client, self.clock = client, clock
        self._position = 0

    async def begin(self) -> None:
        """Notes where the event log ends now: what comes behind it is news."""
        newest = await self.client.access().read(lambda store: store.events(EventFilter(newest=True, limit=1)))
        self._position = newest[-1].position if newest else 0

    async def news(self) -> set[int]:
        """Returns the numbers of the executions of which something was told since."""
        wanted = EventFilter(after_position=self._position, limit=_TOLD)
        found = await self.client.access().read(lambda store: store.events(wanted))
        changed: set[int] = set()
        for event in found:
            self._position = event.position
            if event.topic.startswith("workflow/") and event.type is not None:
                data = orjson.loads(event.data.text)
                if isinstance(data, dict) and isinstance(data.get("execution"), int):
                    changed.add(data["execution"])
        return changed

    async def counts(self) -> dict[str, int]:
        """Returns how many executions there are of each status."""
        return {
            status.value: count
            for status, count in (await self.client.access().read(lambda store: store.counts())).items()
        }

    async def page(self, wanted: Filter, before: int | None, limit: int = PAGE) -> list[Row]:
        """Returns the rows below a number, newest first; None: from the top."""
        asked = ExecutionFilter(
            statuses=wanted.statuses, workflow_id=wanted.workflow_id, before=before, limit=limit, with_values=False
        )
        return [Row.of(one) for one in await self.client.access().read(lambda store: store.search(asked))]

    async def some(self, numbers: Iterable[int]) -> list[Row]:
        """Returns the rows of these executions as they are now."""
        found: list[Execution] = []
        for number in numbers:
            found += await self.client.access().read(lambda store, number=number: store.find(str(number)))  # type: ignore[misc]  # a bound default
        return [Row.of(one) for one in found]

    async def whole(self, execution_id: str) -> Whole:
        """Returns an execution with all that was told and recorded of it."""
        client = self.client
        execution = await client.get(execution_id)
        read = client.access().read
        tree = ViewTree()
        topic = workflow_topic(execution.root_workflow_id, execution.root_id)
        while True:
            wanted = EventFilter(topic=topic, after_position=tree.position, limit=5_000)
            found = await read(lambda store, wanted=wanted: store.events(wanted))  # type: ignore[misc]  # a bound default
            for event in found:
                fold(tree, event)
            if len(found) < wanted.limit:
                break
        wanted_tree = ExecutionFilter(root_id=execution.root_id, limit=1_000, with_values=False)
        family = await read(lambda store: store.search(wanted_tree))
        lines = await read(lambda store: store.logs(LogFilter(execution_id=execution.id, limit=1_000)))
        return Whole(
            execution=execution, statuses={one.number: one.status.value for one in family}, tree=tree,
            entries=await read(lambda store: store.journal(execution.id)),
            waits=await read(lambda store: store.waits(execution.id)),
            attempts=await read(lambda store: store.attempts(execution.id)),
            logs=[f"{line.step_key or execution.workflow_id} │ {line.text}" for _, _, line in lines],
            why=explain(await facts_of(client, execution, self.clock.now())),
        )  # fmt: skip
