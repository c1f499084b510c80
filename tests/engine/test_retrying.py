"""A retried execution goes on at the step that ended it; children, keys and code as users see them (S9.4)."""

from __future__ import annotations

from typing import Any

import pytest

from polos import (
    ChildFailed,
    ExecutionEnded,
    ExecutionFailed,
    NonRetryableError,
    Queue,
    UsageError,
    WorkflowContext,
    current_step,
    workflow,
)
from polos.testing import PolosEnv
from tests.engine.conftest import Engine
from tests.engine.looks import waits

ran: list[Any] = []
broken = True


@pytest.fixture(autouse=True)
def _begin() -> None:
    global broken
    ran.clear()
    broken = True


def note(what: str) -> str:
    step = current_step()
    assert step is not None
    ran.append((what, step.idempotency_key))
    return what


def fragile(what: str) -> str:
    note(what)
    if broken:
        raise NonRetryableError("broken")
    return "mended"


@workflow(id="retrying.job")
async def job(ctx: WorkflowContext) -> list[Any]:
    await ctx.step.run("first", note, "first")
    try:
        found = await ctx.step.run("charge", fragile, "charge")
    except Exception:
        await ctx.step.run("undo", note, "undo")
        raise
    return [found, await ctx.step.run("undo", note, "at last"), ctx.retry_count]


async def test_it_goes_on_at_the_step_that_ended_it(engine: Engine) -> None:
    global broken
    async with engine(job) as polos:
        handle = await job.invoke(polos)
        with pytest.raises(ExecutionFailed):
            await handle.result(10)
        with pytest.raises(ExecutionFailed):  # and again, as it is
            await polos.retry(handle.id)
            await handle.result(10)
    broken = False
    async with engine(job) as polos:
        done = await polos.retry(handle.id)
        assert done.superseded == ("charge", "undo") and done.life == 2
        assert await polos.result(handle.id, 10) == ["mended", "at last", 2]
        assert (await polos.get(handle.id)).failure is None
        assert len(await polos.access().read(lambda store: store.lives(handle.id))) == 2
    assert [what for what, _ in ran] == ["first", "charge", "undo", "charge", "undo", "charge", "at last"]
    keys: dict[str, set[str]] = {}
    for what, key in ran:
        keys.setdefault(what, set()).add(key)
    assert len(keys["charge"]) == 1, "the cause keeps its idempotency key"
    assert len(keys["undo"] | keys["at last"]) == 3, "what it takes back besides gets another in each life"


@workflow(id="retrying.child")
async def child(ctx: WorkflowContext, name: str) -> str:
    await ctx.step.run("prepare", note, f"prepare {name}")
    return await ctx.step.run("work", fragile, name)


@workflow(id="retrying.parent")
async def parent(ctx: WorkflowContext) -> list[Any]:
    return [await ctx.step.invoke_and_wait(name, child, name) for name in ("a", "b")]


async def test_a_failed_child_goes_on_as_the_same_child(engine: Engine) -> None:
    global broken
    async with engine(parent, child) as polos:
        handle = await parent.invoke(polos)
        with pytest.raises(ExecutionFailed, match="'a' did not complete"):
            await handle.result(10)
        (failed,) = await polos.list(workflow="retrying.child")
        with pytest.raises(UsageError, match="is a child") as refused:
            await polos.retry(failed)
        assert f"polos retry {handle.number}" in refused.value.hint
        broken = False
        assert (await polos.retry(handle.id)).reopened == (handle.number, failed.number)
        assert await handle.result(10) == ["mended", "mended"]
        assert len(await polos.list(workflow="retrying.child")) == 2
    assert [what for what, _ in ran] == ["prepare a", "a", "a", "prepare b", "b"]


async def test_a_caught_child_is_not_reopened(engine: Engine) -> None:
    global broken

    @workflow(id="retrying.catches")
    async def catches(ctx: WorkflowContext) -> Any:
        try:
            await ctx.step.invoke_and_wait("child", child, "c")
        except ChildFailed:
            await ctx.step.run("excuse", note, "excuse")
        return await ctx.step.run("own", fragile, "own")

    async with engine(catches, child) as polos:
        handle = await catches.invoke(polos)
        with pytest.raises(ExecutionFailed):
            await handle.result(10)
        broken = False
        assert (await polos.retry(handle.id)).reopened == (handle.number,)
        assert await handle.result(10) == "mended"
    assert [what for what, _ in ran] == ["prepare c", "c", "excuse", "own", "own"]


async def test_a_cancelled_one_goes_on_before_its_cancel(engine: Engine) -> None:
    @workflow(id="retrying.halted")
    async def halted(ctx: WorkflowContext) -> Any:
        await ctx.step.run("first", note, "first")
        try:
            return (await ctx.step.wait_for_event("go", "retrying.go")).data
        finally:
            await ctx.step.run("left", note, "left")

    async with engine(halted) as polos:
        handle = await halted.invoke(polos)
        await waits(polos, handle, "go")
        await polos.cancel(handle.id)
        while (await polos.get(handle.id)).ended_at is None:
            await polos.access().changed(handle.id, 0.05)
        await polos.publish("retrying.go", "after all")
        await polos.retry(handle.id)
        assert await handle.result(10) == "after all"
    assert [what for what, _ in ran] == ["first", "left", "left"]


async def test_what_is_not_over_or_has_completed_is_not_retried(engine: Engine) -> None:
    @workflow(id="retrying.waits")
    async def waits_(ctx: WorkflowContext) -> None:
        await ctx.step.wait_for_event("go", "retrying.go")

    async with engine(waits_) as polos:
        handle = await waits_.invoke(polos)
        await waits(polos, handle, "go")
        with pytest.raises(UsageError, match="nothing to retry"):
            await polos.retry(handle.id)
        await polos.publish("retrying.go")
        await handle.result(10)
        with pytest.raises(ExecutionEnded, match="completed"):
            await polos.retry(handle.id)


async def test_one_that_failed_of_itself_goes_on_with_todays_code(engine: Engine) -> None:
    def version(wrong: bool) -> Any:
        @workflow(id="retrying.versions")
        async def versions(ctx: WorkflowContext) -> str:
            found = await ctx.step.run("first", note, "first")
            if wrong:
                raise ValueError("a mistake in the workflow itself")
            return str(found)

        return versions

    async with engine(old := version(True)) as polos:
        handle = await old.invoke(polos)
        with pytest.raises(ExecutionFailed, match="a mistake"):
            await handle.result(10)
    async with engine(version(False)) as polos:
        assert (await polos.retry(handle.id)).superseded == ()
        assert await polos.result(handle.id, 10) == "first"
    assert [what for what, _ in ran] == ["first"]


@workflow(id="retrying.halting", queue=Queue("retrying.one", concurrency_limit=1))
async def halting(ctx: WorkflowContext) -> Any:
    try:
        return (await ctx.step.wait_for_event("go", "retrying.go")).data
    finally:
        await ctx.step.run("undo", note, "undo")


def test_a_retried_one_that_waits_again_gives_up_its_place() -> None:
    with PolosEnv([halting]) as env:
        first = env.start(halting)
        env.cancel(first)
        env.retry(first)
        assert first.status == "waiting"
        assert env.start(halting).status == "waiting", "it had its turn"
        env.publish("retrying.go", 1)
        assert first.result == 1
