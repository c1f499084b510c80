"""The check of new code: what of all that is unfinished is held, released or left, also where its time is over (S8.3)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from polos import Workflow, WorkflowContext
from polos.authoring.registry import Registry
from polos.clock import SystemClock
from polos.dev.compat import Findings, check
from polos.store import open_reader
from polos.store.sqlite.store import SqliteStore
from tests.conformance.acts import begun, park, start, wait_event


def because(kind: str) -> str:
    return orjson.dumps({"kind": kind, "message": "it does not fit"}).decode()


async def fits(ctx: WorkflowContext) -> None:
    await ctx.step.wait_for_event("e", topic="t")


async def found(path: Path, limit: float) -> tuple[Findings, dict[str, str]]:
    """Checks four blocked executions and one that waits; returns what was found, and which is which."""
    clock = SystemClock()
    store = SqliteStore(path, clock, "relaxed")
    await store.open()
    ids: dict[str, str] = {}
    try:
        for name, reason, code in (
            ("of other code", "diverged", "old"), ("looping with it", "crash_loop", "new"),
            ("looping with another", "crash_loop", "old"),
        ):  # fmt: skip
            hand = await begun(store)
            await hand.commit(wait_event("e", "t"))
            await hand.commit(park("e"))
            assert await store.hold([(hand.execution.id, because(reason))], code)
            ids[hand.execution.id] = name
        elsewhere = await start(store, "of nobody here")
        await store.hold([(elsewhere.id, because("crash_loop"))], "old")
        ids[elsewhere.id] = "of nobody here"
        waiting = await begun(store)
        await waiting.commit(wait_event("e", "t"))
        await waiting.commit(park("e"))
    finally:
        await store.close()
    reader = open_reader(f"sqlite:///{path}")
    try:
        registry = Registry([Workflow(fits, id="wf", description=None, run_timeout_seconds=None)])
        return await check(reader, registry, "new", clock, limit), ids
    finally:
        await reader.close()


@pytest.mark.parametrize(("limit", "looked"), [(60.0, True), (0.0, False)], ids=["in time", "no time at all"])
def test_each_blocked_one_has_its_try_with_each_code(tmp_path: Path, limit: float, looked: bool) -> None:
    """Whatever the time: one that was not looked at finds out by itself when it wakes."""
    findings, ids = asyncio.run(found(tmp_path / "polos.db", limit))
    assert {ids[one] for _, one in findings.release} == {"of other code", "looping with another"}
    assert findings.hold == []
    assert findings.checked.unlooked == (0 if looked else 5)
    assert findings.checked.continues == (2 if looked else 0), "one that brings its process down is not replayed here"
