"""What the dashboard shows, read by cursor and by page. The only room of the dashboard that asks a client."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polos.client.client import Client
from polos.client.standing import facts_of
from polos.clock import Clock
from polos.core.durations import parse_duration, show_duration
from polos.core.explain import explain
from polos.core.forks import Cut, Provenance
from polos.core.manifest import Declared, QueueState, Schedule, WorkerInfo
from polos.core.model import Entry, Event, Execution, FailedAttempt, LogLine, PendingWait
from polos.core.standing import Explanation, Facts
from polos.core.status import Status
from polos.errors import UsageError
from polos.ports import EventFilter, ExecutionFilter
from polos_cli.view.feed import News, TreeFeed
from polos_cli.view.model import ViewTree

PAGE = 200
OWNED_EVERY = 2.0
LINES = 1_000
"""Captured lines, and events, of which the newest so many are shown."""


@dataclass(frozen=True, slots=True)
class ExecutionRow:
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
    def of(cls, one: Execution) -> ExecutionRow:
        """Returns the row of an execution."""
        return cls(one.number, one.id, one.workflow_id, one.status.value, one.created_at, one.ended_at,
                   one.error_type or "", one.parent_id is not None)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """What the list is narrowed to. `since`: started so many microseconds ago at most."""

    statuses: frozenset[Status] = frozenset()
    workflow_id: str | None = None
    since: int | None = None

    @property
    def words(self) -> str:
        """The filter as it is typed."""
        span = [] if self.since is None else [show_duration(self.since).replace(" ", "")]
        return " ".join([*sorted(self.statuses), *([self.workflow_id] if self.workflow_id else []), *span])

    @property
    def meant(self) -> str:
        """The status that the workflow's id looks like; empty: none."""
        near = difflib.get_close_matches(self.workflow_id or "", list(Status), 1, 0.8)
        return near[0] if near else ""

    @classmethod
    def read(cls, text: str) -> Filter:
        """Returns the filter of words: statuses, a span of time such as ``10m``, one workflow's id.

        Raises:
            UsageError: a word is none of them.
        """
        statuses: set[Status] = set()
        since, others = None, []
        for word in text.split():
            named, _, word = word.rpartition("=")
            if word in set(Status) and named in ("", "status"):
                statuses.add(Status(word))
            elif named == "status":
                raise UsageError(f"{word!r} is no status; one of {', '.join(Status)}")
            elif named not in ("", "workflow"):
                raise UsageError(f"{named}= is nothing here; status= and workflow= are")
            else:
                try:
                    since = parse_duration(word)
                except ValueError:
                    others.append(word)
        if len(others) > 1:
            raise UsageError(f"one workflow at a time, not {' and '.join(others)}")
        return cls(frozenset(statuses), others[0] if others else None, since)

    def takes(self, row: ExecutionRow) -> bool:
        """Tells whether an execution is among those shown, but for its age."""
        return (not self.statuses or Status(row.status) in self.statuses) and self.workflow_id in (
            None, row.workflow_id,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Whole:
    """All there is to one execution at one moment; `statuses`: of all of its tree, by number."""

    execution: Execution
    statuses: Mapping[int, str]
    tree: ViewTree
    entries: Sequence[Entry]
    waits: Sequence[PendingWait]
    attempts: Sequence[FailedAttempt]
    superseded: Sequence[tuple[int, Entry]]
    events: Sequence[Event]
    lines: Sequence[LogLine]
    origin: Provenance | None
    facts: Facts

    def why(self, now: int) -> Explanation:
        """Returns why it is where it is, told at an instant."""
        return explain(replace(self.facts, now=now))


class Reading:
    """Reads through one client."""

    _is_idle, _owned_until = False, 0.0

    def __init__(
        self, client: Client, clock: Clock, facts: Callable[[], Awaitable[Mapping[str, Any]]] | None = None
    ) -> None:  # fmt: skip
        """`facts`: asks the engine what it says of itself."""
        self.client, self.clock, self._facts = client, clock, facts
        self._read = client.access().read
        self._news = News(client)
        self._followed: tuple[str, TreeFeed] | None = None
        self._lines: tuple[str, deque[LogLine]] | None = None

    async def begin(self) -> None:
        """Notes what is there: what comes behind it is news."""
        await self._news.begin()

    @property
    def is_idle(self) -> bool:
        """True while no engine is up, as of the last look: each `OWNED_EVERY` seconds."""
        return self._is_idle

    async def _look_for_engine(self) -> None:
        now = self.clock.monotonic()
        if now >= self._owned_until:
            self._owned_until = now + OWNED_EVERY
            self._is_idle = not await self.client.access().is_owned()

    async def news(self) -> tuple[frozenset[int], bool]:
        """Returns the numbers of the executions of which something was told since, and whether an event was published."""
        await self._look_for_engine()
        return await self._news.read()

    async def counts(self) -> dict[str, int]:
        """Returns how many executions there are of each status."""
        return {status.value: count for status, count in (await self._read(lambda store: store.counts())).items()}

    async def page(self, wanted: Filter, before: int | None, limit: int = PAGE) -> list[ExecutionRow]:
        """Returns the rows below a number, newest first; None: from the top."""
        asked = ExecutionFilter(
            statuses=wanted.statuses, workflow_id=wanted.workflow_id, before=before, limit=limit, with_values=False,
            since=None if wanted.since is None else self.clock.now() - wanted.since,
        )  # fmt: skip
        return [ExecutionRow.of(one) for one in await self._read(lambda store: store.search(asked))]

    async def some(self, numbers: Iterable[int]) -> list[ExecutionRow]:
        """Returns the rows of these executions as they are now."""
        found: list[Execution] = []
        for number in numbers:
            found += await self._read(lambda store, number=number: store.find(str(number)))  # type: ignore[misc]  # a bound default
        return [ExecutionRow.of(one) for one in found]

    async def one(self, reference: str) -> ExecutionRow:
        """Returns the row of an execution. Raises `UnknownExecution`."""
        return ExecutionRow.of(await self.client.get(reference))

    async def whole(self, execution_id: str) -> Whole:
        """Returns an execution with all that was told and recorded of it."""
        read = self._read
        execution = await self.client.get(execution_id)
        feed = self._feed_of(execution)
        await feed.read()
        wanted_tree = ExecutionFilter(root_id=execution.root_id, limit=1_000, with_values=False)
        family = await read(lambda store: store.search(wanted_tree))
        superseded: Sequence[tuple[int, Entry]] = ()
        if execution.life:
            superseded = await read(lambda store: store.superseded(execution.id))
        lines = await self._lines_of(feed, execution)
        facts = await facts_of(self.client, execution, self.clock.now())
        return Whole(
            execution=execution, statuses={one.number: one.status.value for one in family}, tree=feed.tree,
            entries=facts.entries, waits=facts.waits, attempts=facts.attempts, superseded=superseded,
            events=await feed.newest(LINES), lines=lines,
            origin=await read(lambda store: store.provenance(execution.id)), facts=facts,
        )  # fmt: skip

    async def more_lines(self, whole: Whole) -> Whole | None:
        """Returns the same with the lines that were captured since, if there are any."""
        if self._lines is None or self._lines[0] != whole.execution.id or self._followed is None:
            return None
        held = self._lines[1]
        before = (len(held), held[-1] if held else None)
        lines = await self._lines_of(self._followed[1], whole.execution)
        return None if before == (len(lines), lines[-1] if lines else None) else replace(whole, lines=lines)

    async def history(self, execution: Execution) -> list[Event]:
        """Returns all that was told of an execution's tree."""
        return await self._feed_of(execution).history()

    def _feed_of(self, execution: Execution) -> TreeFeed:
        """Returns the feed of the tree that is looked at: it goes on where it was."""
        if self._followed is None or self._followed[0] != execution.root_id:
            self._followed, self._lines = (execution.root_id, TreeFeed(self.client, execution)), None
        return self._followed[1]

    async def _lines_of(self, feed: TreeFeed, execution: Execution) -> list[LogLine]:
        if self._lines is None or self._lines[0] != execution.id:
            self._lines = (execution.id, deque(maxlen=LINES))
            feed.forget_lines(execution.id)
        held = self._lines[1]
        while found := await feed.lines(execution.id):
            held.extend(found)
        return list(held)

    async def plan(self, execution: Execution, at: str | None) -> Cut:
        """Returns what a fork would keep. Raises `UsageError`."""
        return await self.client.fork_plan(execution, at)

    async def events(self, topic: str) -> list[Event]:
        """Returns the newest events that were published, newest first; `topic`: only this one, ``*`` at its end for more."""
        wanted = EventFilter(lifecycle=False, newest=True, limit=LINES)
        if topic.endswith("*"):
            wanted = EventFilter(lifecycle=False, newest=True, limit=LINES, prefix=topic[:-1])
        elif topic:
            wanted = EventFilter(newest=True, limit=LINES, topic=topic)
        return (await self._read(lambda store: store.events(wanted)))[::-1]

    async def workflows(self) -> list[Declared]:
        """Returns what the newest workers have told of their workflows."""
        return await self._read(lambda store: store.declared())

    async def schedules(self) -> list[Schedule]:
        """Returns the schedules."""
        return await self._read(lambda store: store.schedules())

    async def schedules_are_held(self) -> bool:
        """Tells whether the engine fires no schedule now."""
        return self._facts is not None and (await self._facts()).get("schedules") is False

    async def queues(self) -> list[QueueState]:
        """Returns the queues."""
        return await self._read(lambda store: store.queues())

    async def workers(self) -> Sequence[WorkerInfo]:
        """Returns the workers that are up."""
        return await self.client.workers()
