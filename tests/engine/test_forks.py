"""A fork goes on from a step with what was recorded before it; its source stays as it is (S9.4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from polos import ExecutionHandle, InvalidInput, Polos, UsageError, WorkflowContext, current_step, workflow
from tests.engine.conftest import Engine
from tests.engine.looks import waits

ran: list[str] = []
keys: dict[str, list[str]] = {}


@pytest.fixture(autouse=True)
def _begin() -> None:
    ran.clear()
    keys.clear()


def note(word: str, value: Any = None) -> Any:
    step = current_step()
    assert step is not None
    ran.append(word)
    keys.setdefault(word, []).append(step.idempotency_key)
    return value


@workflow(id="forks.child")
async def child(ctx: WorkflowContext, name: str) -> str:
    return await ctx.step.run("work", note, name, f"{name} done")


@workflow(id="forks.order")
async def order(ctx: WorkflowContext, number: int) -> list[Any]:
    chance = await ctx.step.random("chance")
    total = await ctx.step.run("validate", note, "validate", number)
    handle = await ctx.step.invoke("begin", child, "side")
    done = await ctx.step.invoke_and_wait("child", child, "main")
    first = await ctx.step.wait_for_event("first", topic="forks.go")
    charged = await ctx.step.run("charge", note, "charge", f"charged {total}")
    second = await ctx.step.wait_for_event("second", topic="forks.go")
    side = await ctx.step.result("side", handle)
    return [chance, done, first.data, charged, second.data, side]


async def ended(polos: Polos) -> tuple[ExecutionHandle, list[Any]]:
    handle = await order.invoke(polos, 7)
    for number in (1, 2):
        await polos.publish("forks.go", number)
    return handle, await handle.result(10)


async def recorded(polos: Polos, execution: Any) -> list[Any]:
    return [(one.key, one.seq, one.after, one.value) for one in await polos.journal(execution)]


async def test_it_runs_the_step_and_what_follows_and_nothing_else(engine: Engine) -> None:
    async with engine(order, child) as polos:
        source, result = await ended(polos)
        before = await recorded(polos, source.id)
        ran.clear()
        fork = await polos.fork(source, "charge")
        assert await fork.result(10) == result, "its random value, its child, the events that it had seen: all are kept"
        assert ran == ["charge"]
        assert keys["charge"][0] != keys["charge"][1], "another execution's key: a fork's charge is one of its own"
        assert (await recorded(polos, source.id)) == before
        assert len(await polos.list(workflow="forks.child")) == 2, "children that had completed are not started again"
        origin = await polos.access().read(lambda store: store.provenance(fork.id))
        assert origin is not None and (origin.source_id, origin.at, origin.edits) == (source.id, "charge", ())


async def test_at_each_step_it_keeps_just_what_came_before(engine: Engine) -> None:
    steps = ["chance", "validate", "begin", "child", "first", "charge", "second", "side"]
    async with engine(order, child) as polos:
        source, result = await ended(polos)
        for at in steps:
            ran.clear()
            fork = await polos.fork(source, at)
            got = await fork.result(10)
            assert got[1:] == result[1:], f"{at}: events since the source's start are there for those that wait again"
            assert (got[0] == result[0]) == (at != "chance")
            again = {"validate": 1, "side": 2, "main": 3, "charge": 5}
            assert sorted(ran) == sorted(word for word, place in again.items() if place >= steps.index(at)), at
            own = {one.key for one in await polos.journal(fork.id)}
            assert own == set(steps)
        fork = await polos.fork(source, "first")
        await fork.result(10)
        assert await (await polos.fork(fork, "charge")).result(10) == result, "and of a fork again"


async def test_edited_outcomes_and_input(engine: Engine) -> None:
    async with engine(order, child) as polos:
        source, result = await ended(polos)
        ran.clear()
        edits = {"validate": 9, "first": "edited", "child": "other"}
        fork = await polos.fork(source, "charge", edits=edits)
        assert await fork.result(10) == [result[0], "other", "edited", "charged 9", 2, "side done"]
        origin = await polos.access().read(lambda store: store.provenance(fork.id))
        assert origin is not None and [one.key for one in origin.edits] == list(edits)
        whole = await polos.fork(source, input=8)
        assert (await whole.result(10))[3] == "charged 8"
        with pytest.raises(InvalidInput):
            await polos.fork(source, input="many")
        with pytest.raises(UsageError, match="runs again"):
            await polos.fork(source, "charge", edits={"charge": 1})


async def test_an_event_that_was_seen_before_the_cut_stays_seen(engine: Engine) -> None:
    async with engine(order, child) as polos:
        source, _ = await ended(polos)
        await polos.publish("forks.go", 3)
        fork = await polos.fork(source, "second", edits={"first": "x"})
        assert (await fork.result(10))[4] == 2, "not the first one again, and not the newest"


async def test_one_that_waits_is_forked_and_both_go_on(engine: Engine) -> None:
    async with engine(order, child) as polos:
        source = await order.invoke(polos, 1)
        await waits(polos, source, "first")
        fork = await polos.fork(source, "first")
        await waits(polos, fork, "first")
        for number in (1, 2):
            await polos.publish("forks.go", number)
        assert (await source.result(10))[1:] == (await fork.result(10))[1:]


@workflow(id="forks.races")
async def races(ctx: WorkflowContext) -> list[Any]:
    async def chain(name: str) -> str:
        await ctx.step.run(f"{name} 1", note, f"{name} 1")
        return str(await ctx.step.run(f"{name} 2", note, f"{name} 2", name))

    return [*await asyncio.gather(chain("left"), chain("right")), await ctx.step.run("end", note, "end", "end")]


@pytest.mark.parametrize("at", ["left 1", "right 1", "left 2", "right 2", "end"])
async def test_the_cut_is_causal_where_steps_run_side_by_side(engine: Engine, at: str) -> None:
    async with engine(races) as polos:
        source = await races.invoke(polos)
        result = await source.result(10)
        entries = {one.key: one for one in await polos.journal(source.id)}
        kept = {key for key, one in entries.items() if one.seq <= entries[at].after}
        assert at not in kept and (at == "end") == (len(kept) == 4)
        ran.clear()
        fork = await polos.fork(source, at)
        assert await fork.result(10) == result
        assert sorted(ran) == sorted(set(entries) - kept)


async def test_it_survives_a_restart_like_any_other(engine: Engine) -> None:
    async with engine(order, child) as polos:
        source = await order.invoke(polos, 1)
        await waits(polos, source, "first")
        fork = await polos.fork(source, "first", edits={"validate": 5})
        await waits(polos, fork, "first")
        ran.clear()
    async with engine(order, child) as polos:
        for number in (1, 2):
            await polos.publish("forks.go", number)
        assert (await polos.result(fork.id, 10))[3] == "charged 5"
        assert (await polos.result(source.id, 10))[3] == "charged 1"
    assert sorted(ran) == ["charge", "charge"]
