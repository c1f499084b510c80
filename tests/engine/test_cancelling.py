"""Cancels and time limits as users meet them: code clears up, through restarts, down the tree (S8.4, S8.5)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from polos import (
    ChildCancelled,
    ChildTimedOut,
    ExecutionCancelled,
    ExecutionEnded,
    ExecutionFailed,
    WorkflowContext,
    workflow,
)
from tests.engine.conftest import Engine
from tests.engine.looks import waits

seen: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    seen.clear()


async def until(polos: Any, ref: Any, *wanted: str) -> Any:
    async with asyncio.timeout(15):
        while True:
            found = await polos.get(ref)
            if found.status.value in wanted:
                return found
            await polos.access().changed(found.id, 0.05)


@workflow(id="cancelling.clears")
async def clears(ctx: WorkflowContext) -> str:
    await ctx.step.run("book", seen.append, "booked")
    try:
        await ctx.step.wait_for_event("paid", "cancelling.paid")
    except asyncio.CancelledError:
        await ctx.step.run("unbook", seen.append, "unbooked")
        await ctx.step.wait_for("breathe", seconds=0.01)
        await ctx.step.run("tell", seen.append, "told")
    return "whatever it returns"


async def test_code_clears_up_and_what_it_returns_does_not_matter(engine: Engine) -> None:
    async with engine(clears) as polos:
        handle = await clears.invoke(polos)
        await waits(polos, handle, "paid")
        done = await handle.cancel()
        assert done.ending == (handle.number,)
        with pytest.raises(ExecutionCancelled):
            await handle.result(10)
        assert seen == ["booked", "unbooked", "told"]
        assert [e.key for e in await polos.journal(handle.id)] == ["book", "polos:stop", "unbook", "breathe", "tell"]
        assert await polos.cancel(handle.id)
        with pytest.raises(ExecutionEnded):
            await polos.resume(handle.id, "ask", 1)


@workflow(id="cancelling.quick")
async def quick(ctx: WorkflowContext) -> int:
    return 1


async def test_what_has_completed_is_not_cancelled(engine: Engine) -> None:
    async with engine(quick) as polos:
        handle = await quick.invoke(polos)
        assert await handle.result(10) == 1
        with pytest.raises(ExecutionEnded, match="completed"):
            await handle.cancel()


async def test_a_clean_up_goes_on_where_it_was_after_a_restart(engine: Engine) -> None:
    @workflow(id="cancelling.long")
    async def long(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.wait_for_event("never", "cancelling.never")
        finally:
            await ctx.step.run("first", seen.append, "first")
            await ctx.step.wait_for_event("allowed", "cancelling.allowed")
            await ctx.step.run("second", seen.append, "second")

    async with engine(long) as polos:
        handle = await long.invoke(polos)
        await waits(polos, handle, "never")
        await polos.cancel(handle.id)
        await waits(polos, handle, "allowed")
    async with engine(long) as polos:
        await polos.publish("cancelling.allowed")
        with pytest.raises(ExecutionCancelled):
            await polos.result(handle.id, 10)
    assert seen == ["first", "second"]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_body_that_runs_is_given_up(engine: Engine, kind: str) -> None:
    began, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def body() -> str:
        loop.call_soon_threadsafe(began.set)
        await asyncio.sleep(60)
        return "late"

    def thread() -> str:
        loop.call_soon_threadsafe(began.set)
        release.wait(20)
        return "late"

    @workflow(id="cancelling.body")
    async def runs(ctx: WorkflowContext) -> str:
        try:
            return str(await ctx.step.run("body", body if kind == "async" else thread))
        finally:
            await ctx.step.run("after", seen.append, "after")

    async with engine(runs) as polos:
        handle = await runs.invoke(polos)
        await asyncio.wait_for(began.wait(), 10)
        await handle.cancel()
        with pytest.raises(ExecutionCancelled):
            await handle.result(10)
        release.set()
        assert [e.key for e in await polos.journal(handle.id)] == ["polos:stop", "after"]


@pytest.mark.parametrize("how", ["gather", "group", "timeout", "shield"])
async def test_every_shape_of_concurrency_is_cancelled(engine: Engine, how: str) -> None:
    @workflow(id="cancelling.shapes")
    async def shapes(ctx: WorkflowContext) -> None:
        a, b = (ctx.step.wait_for_event(f"e{n}", "cancelling.never") for n in range(2))
        try:
            if how == "gather":
                await asyncio.gather(a, b)
            elif how == "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(a)
                    group.create_task(b)
            elif how == "timeout":
                async with asyncio.timeout(60):
                    await asyncio.gather(a, b)
            else:
                await asyncio.gather(asyncio.shield(a), b)
        except asyncio.CancelledError:
            async with asyncio.timeout(30), asyncio.TaskGroup() as cleaning:
                for n in range(2):
                    cleaning.create_task(ctx.step.run(f"clean{n}", seen.append, f"clean{n}"))
            raise

    async with engine(shapes) as polos:
        handle = await shapes.invoke(polos)
        await waits(polos, handle, "e0", "e1", *(["polos:timer/0"] if how == "timeout" else []))
        await handle.cancel()
        with pytest.raises(ExecutionCancelled):
            await handle.result(10)
        assert sorted(seen) == ["clean0", "clean1"]


async def test_code_that_does_not_stop_is_ended(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from polos.worker import running

    monkeypatch.setattr(running, "CLEARS_UP_FOR", 100_000)

    @workflow(id="cancelling.stubborn")
    async def stubborn(ctx: WorkflowContext) -> None:
        n = 0
        while True:
            try:
                await ctx.step.run(f"n{n}", asyncio.sleep, 30)
            except asyncio.CancelledError:
                n += 1

    async with engine(stubborn) as polos:
        handle = await stubborn.invoke(polos)
        await until(polos, handle.id, "running")
        await handle.cancel()
        with pytest.raises(ExecutionCancelled):
            await handle.result(10)


@workflow(id="cancelling.child")
async def child(ctx: WorkflowContext) -> str:
    try:
        return str((await ctx.step.wait_for_event("go", "cancelling.go")).data)
    finally:
        seen.append("child left")


@workflow(id="cancelling.middle")
async def middle(ctx: WorkflowContext) -> Any:
    return await ctx.step.invoke_and_wait("child", child)


@workflow(id="cancelling.parent")
async def parent(ctx: WorkflowContext) -> Any:
    try:
        return await ctx.step.invoke_and_wait("middle", middle)
    except ChildCancelled as cancelled:
        return f"went on without {cancelled.step_key}"


async def test_it_goes_down_and_not_up(engine: Engine) -> None:
    async with engine(parent, middle, child) as polos:
        top = await parent.invoke(polos)
        while not (found := await polos.list(workflow="cancelling.child")):
            await asyncio.sleep(0.002)
        await waits(polos, found[0], "go")
        await polos.cancel(top.id)
        for one in await polos.list():
            assert (await until(polos, one.id, "cancelled")).number == one.number
        seen.clear()
        again = await parent.invoke(polos)
        while not (found := await polos.list(workflow="cancelling.middle", status="waiting")):
            await asyncio.sleep(0.002)
        await polos.cancel(found[0].id)
        assert await again.result(10) == "went on without middle"
        assert {one.status.value for one in await polos.list(workflow="cancelling.child")} == {"cancelled"}


# ── time limits ──────────────────────────────────────────────────────────────────────────────────────────


@workflow(id="cancelling.limited", run_timeout_seconds=0.2)
async def limited(ctx: WorkflowContext, seconds: float = 30) -> str:
    await ctx.step.wait_for("waits", seconds=0.4)  # does not count
    try:
        await ctx.step.run("runs", asyncio.sleep, seconds)
    finally:
        await ctx.step.run("clean", seen.append, "clean")
    return "in time"


@workflow(id="cancelling.waits-for-limited")
async def waits_for_limited(ctx: WorkflowContext) -> str:
    try:
        return str(await ctx.step.invoke_and_wait("limited", limited))
    except ChildTimedOut as late:
        return f"{late.error_type}"


async def test_running_time_is_limited_and_waiting_does_not_count(engine: Engine) -> None:
    async with engine(limited, waits_for_limited) as polos:
        assert await limited.run(polos, 0.001, timeout=10) == "in time"
        seen.clear()
        with pytest.raises(ExecutionFailed, match="longer than 200 ms") as failed:
            await limited.run(polos, timeout=10)
        assert failed.value.error_type == "WorkflowTimeoutError" and seen == ["clean"]
        assert await waits_for_limited.run(polos, timeout=10) == "WorkflowTimeoutError"
        assert await limited.run(polos, 0.3, timeout=10, run_timeout_seconds=5) == "in time"
