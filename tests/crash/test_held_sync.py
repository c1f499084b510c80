"""While the disk does not answer, nothing is answered: no call returns and no outcome reaches code (S9.5)."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from polos import Polos, WorkflowContext, crashpoints, workflow

BOUND = 10.0
"""Seconds within which what must happen has to happen."""
HELD = 0.4
"""Seconds for which we look on while nothing may happen."""
HELD_FOR_READERS = 1.5
"""The same for `result`, which looks again by itself every second."""


class Points:
    """Tells, on this loop, when a crash point is reached."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, asyncio.Event] = {}

    def reached(self, name: str) -> None:
        for wanted, event in list(self._waiting.items()):
            kind, _, op = wanted.partition(".")
            if name == wanted or (name.startswith(f"{kind}.") and op in name.partition(".")[2].split(",")):
                self._loop.call_soon_threadsafe(event.set)

    def next(self, name: str) -> asyncio.Event:
        event = self._waiting[name] = asyncio.Event()
        return event


@pytest.fixture(autouse=True)
def points_removed() -> Iterator[None]:
    own = crashpoints.reached
    yield
    crashpoints.install(own)


go: asyncio.Event
seen: Callable[[Any], None] = print


async def body() -> str:
    await go.wait()
    return "done"


async def held_up(ctx: WorkflowContext) -> str:
    value = await ctx.step.run("one", body)
    seen(value)
    return f"{value}!"


held_workflow = workflow(id="held_up")(held_up)


class Engine:
    """An engine whose helper can be held."""

    def __init__(self, polos: Polos, path: Path, points: Points) -> None:
        self.polos, self.path, self.points = polos, path, points
        store: Any = polos.host.store.owner.store
        self._helper = store.committer._sync.process.pid

    def hold(self) -> None:
        os.kill(self._helper, signal.SIGSTOP)

    def let_go(self) -> None:
        os.kill(self._helper, signal.SIGCONT)

    def in_file(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()


@asynccontextmanager
async def engine(path: Path) -> AsyncIterator[Engine]:
    points = Points()
    crashpoints.install(points.reached)
    async with Polos(f"sqlite:///{path}", workflows=[held_workflow], run_on="caller", echo=False) as polos:
        # The helper has taken over once a sync was acknowledged by it.
        synced = points.next("synced")
        for number in range(1_000):
            await polos.publish("warm-up", number)
            if synced.is_set():
                break
        else:
            raise AssertionError("the sync helper never got ready")
        running = Engine(polos, path, points)
        try:
            yield running
        finally:
            running.let_go()


async def committed(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), BOUND)


async def stays_open(waiting: asyncio.Task[Any], seconds: float = HELD) -> None:
    done, _ = await asyncio.wait({waiting}, timeout=seconds)
    assert not done, f"answered before the sync: {waiting.result()}"


def test_no_call_returns_before_the_sync(tmp_path: Path) -> None:
    async def main() -> None:
        async with engine(tmp_path / "polos.db") as e:
            go_at_once()
            calls: list[tuple[str, Callable[[], Any], str]] = [
                ("after.publish", lambda: e.polos.publish("t", {"x": 1}, event_id="e1"), "SELECT 1 FROM event WHERE id = 'e1'"),
                ("after.start", lambda: e.polos.invoke(held_workflow, idempotency_key="k"),
                 "SELECT 1 FROM execution WHERE idempotency_key = 'k'"),
            ]  # fmt: skip
            for point, call, sql in calls:
                reached = e.points.next(point)
                e.hold()
                waiting = asyncio.ensure_future(call())
                await committed(reached)
                await stays_open(waiting)
                assert e.in_file(sql), "held before the commit, not before the sync: this shows nothing"
                e.let_go()
                await asyncio.wait_for(waiting, BOUND)

    asyncio.run(main())


def go_at_once() -> None:
    global go, seen
    go = asyncio.Event()
    go.set()
    seen = lambda value: None  # noqa: E731


def test_no_outcome_reaches_code_and_no_result_is_answered_before_the_sync(tmp_path: Path) -> None:
    global go, seen

    async def main() -> None:
        global go, seen
        go, at_code = asyncio.Event(), asyncio.Event()
        seen = lambda value: at_code.set()  # noqa: E731
        async with engine(tmp_path / "polos.db") as e:
            claimed = e.points.next("body.before")
            handle = await e.polos.invoke(held_workflow)
            await committed(claimed)
            recorded, finished = e.points.next("after.Record"), e.points.next("after.Finish")
            e.hold()
            go.set()
            await committed(recorded)
            assert e.in_file("SELECT value FROM journal WHERE key = 'one'") == [('"done"',)]
            await stays_open(asyncio.ensure_future(at_code.wait()))
            e.let_go()
            await asyncio.wait_for(at_code.wait(), BOUND)
            await committed(finished)
            assert await e.polos.result(handle, timeout=BOUND) == "done!"

    asyncio.run(main())


def test_no_result_is_answered_before_the_sync_of_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with engine(tmp_path / "polos.db") as e:
            go_at_once()
            own = crashpoints.reached
            finished = e.points.next("after.Finish")

            def hold_before_the_end(name: str) -> None:
                if name == "before.Finish":
                    e.hold()
                own(name)

            crashpoints.install(hold_before_the_end)
            handle = await e.polos.invoke(held_workflow)
            waiting = asyncio.ensure_future(e.polos.result(handle))
            await committed(finished)
            assert e.in_file("SELECT status FROM execution WHERE workflow_id = 'held_up'") == [("completed",)]
            await stays_open(waiting, HELD_FOR_READERS)
            e.let_go()
            assert await asyncio.wait_for(waiting, BOUND) == "done!"

    asyncio.run(main())
