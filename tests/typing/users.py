"""What users' type checkers see. Checked by mypy in `test_typing`; never run."""

import asyncio
from datetime import datetime
from functools import partial
from typing import assert_type

from pydantic import BaseModel

from polos import (
    BatchStepResult,
    BatchWorkflowInput,
    EventPayload,
    ExecutionHandle,
    Polos,
    PolosClient,
    StepInfo,
    Workflow,
    WorkflowContext,
    batch_invoke,
    current_step,
    events,
    workflow,
)


class Loaf(BaseModel):
    name: str


def weigh(loaf: Loaf) -> int:
    return len(loaf.name)


async def bake(name: str, *, hot: bool = True) -> Loaf:
    return Loaf(name=name)


def clean() -> None: ...


class Oven:
    async def __call__(self, name: str) -> Loaf:
        return Loaf(name=name)


@workflow
async def typed(ctx: WorkflowContext, input: Loaf) -> Loaf:
    assert_type(await ctx.step.run("sync", weigh, input), int)
    assert_type(await ctx.step.run("async", bake, "rye", hot=False), Loaf)
    assert_type(await ctx.step.run("options", bake, "rye", max_retries=5, base_delay=0.1, max_delay=1, timeout=3), Loaf)
    assert_type(await ctx.step.run("nothing", clean), None)
    assert_type(await ctx.step.run("lambda", lambda: weigh(input)), int)
    assert_type(await ctx.step.run("lambda of a coroutine", lambda: bake("rye")), Loaf)
    assert_type(await ctx.step.run("partial", partial(weigh, input)), int)
    assert_type(await ctx.step.run("object", Oven(), "rye"), Loaf)
    assert_type(await asyncio.gather(ctx.step.run("a", weigh, input), ctx.step.run("b", weigh, input)), tuple[int, int])
    assert_type(await ctx.step.wait_for("pause", hours=1), None)
    assert_type(await ctx.step.wait_until("noon", datetime(2030, 1, 1)), None)
    event = await ctx.step.wait_for_event("event", "topic", timeout=3, match={"a": 1}, since="now")
    assert_type(event, EventPayload)
    assert_type(event.created_at, datetime)
    assert_type(await ctx.step.suspend("ask", {"question": "?"}), EventPayload)
    assert_type(await ctx.step.publish_event("tell", "topic", {"a": 1}), None)
    assert_type(await ctx.step.uuid("id"), str)
    assert_type(await ctx.step.now("now"), int)
    assert_type(await ctx.step.random("chance"), float)
    inputs = [BatchWorkflowInput(id="typed", payload=input)]
    assert_type(await ctx.step.batch_invoke_and_wait("batch", inputs), list[BatchStepResult])
    assert_type(ctx.user_id, str | None)
    assert_type(ctx.started_at, datetime)
    handle: ExecutionHandle = await ctx.step.invoke("child", typed, input)
    assert_type(handle.id, str)
    handles: list[ExecutionHandle] = await ctx.step.batch_invoke("children", inputs)
    return Loaf(name=handles[0].workflow_id)


@workflow(id="named", description="Also with a call.", run_timeout_seconds=60)
async def named(ctx: WorkflowContext) -> None:
    assert_type(current_step(), StepInfo | None)


@workflow
async def untyped(ctx, input):  # type: ignore[no-untyped-def]  # allowed for those who write no types
    return input


assert_type(typed, Workflow)
assert_type(named, Workflow)
assert_type(untyped, Workflow)
assert_type(typed.id, str)


async def program() -> None:
    async with Polos("sqlite:///bakery.db", run_on="caller", durability="relaxed") as polos:
        assert_type(polos, Polos)
        assert_type(await polos.invoke(typed, Loaf(name="rye")), ExecutionHandle)
        handle: ExecutionHandle = await typed.invoke(polos, {"name": "rye"}, user_id="u", idempotency_key="k")
        await handle.result(timeout=3)
        await typed.run(polos, {"name": "rye"}, timeout=3)
    client = PolosClient()
    inputs = [BatchWorkflowInput(id="typed", payload={"name": "rye"})]
    assert_type(await client.batch_invoke(inputs), list[ExecutionHandle])
    assert_type(await batch_invoke(client, inputs), list[ExecutionHandle])
    published = await events.publish(client, "topic", events.EventData(data={"a": 1}))
    assert_type(published.sequence, int)
    async for event in client.stream("topic"):
        assert_type(event, EventPayload)


# Mistakes that a checker finds; the ignores are themselves checked (`warn_unused_ignores`).
async def mistakes(ctx: WorkflowContext) -> None:
    ctx.step.wait_for("not awaited", seconds=1)  # type: ignore[unused-coroutine]
    await ctx.step.run("not a function", 3)  # type: ignore[call-overload]
    await ctx.step.wait_for("words", seconds="soon")  # type: ignore[arg-type]
    await ctx.step.wait_for_event("since", "topic", since="later")  # type: ignore[arg-type]
    Polos(run_on="process")  # type: ignore[arg-type]

    @workflow  # type: ignore[arg-type]
    def plain(ctx: WorkflowContext) -> None: ...
