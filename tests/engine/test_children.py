"""Workflows that start workflows (S6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from polos import (
    BatchStepResult,
    BatchWorkflowInput,
    ChildFailed,
    ExecutionHandle,
    InvalidInput,
    StepExecutionError,
    WorkflowContext,
    workflow,
)
from tests.engine.conftest import Engine
from tests.engine.looks import journal, until, waits


class Point(BaseModel):
    x: int
    y: int = 0


@workflow(id="engine-tests.double")
async def double(ctx: WorkflowContext, point: Point) -> Point:
    return await ctx.step.run("double", lambda: Point(x=2 * point.x, y=2 * point.y))


@workflow(id="engine-tests.breaks")
async def breaks(ctx: WorkflowContext, text: str) -> None:
    raise LookupError(text)


async def test_a_childs_result_comes_back_as_its_type(engine: Engine) -> None:
    @workflow
    async def parent(ctx: WorkflowContext) -> list[Any]:
        by_name = await ctx.step.invoke_and_wait("name", "engine-tests.double", {"x": 1})
        by_workflow = await ctx.step.invoke_and_wait("workflow", double, Point(x=2, y=3))
        return [type(by_workflow).__name__, by_workflow.y, type(by_name).__name__, by_name.x]

    async with engine(parent, double) as polos:
        assert await parent.run(polos, timeout=10) == ["Point", 6, "Point", 2]


@pytest.mark.parametrize("max_hot", [0, 100])
async def test_a_failed_child_is_an_error_that_can_be_caught(engine: Engine, max_hot: int) -> None:
    @workflow
    async def parent(ctx: WorkflowContext) -> list[str]:
        try:
            await ctx.step.invoke_and_wait("c", breaks, "gone")
        except ChildFailed as error:
            assert isinstance(error, StepExecutionError)
            return [error.step_key, error.error_type, str(error.__cause__)]
        return []

    async with engine(parent, breaks, max_hot=max_hot) as polos:
        assert await parent.run(polos, timeout=10) == ["c", "LookupError", "LookupError: gone"]


async def test_a_child_that_is_started_is_awaited_later_by_its_handle(engine: Engine) -> None:
    @workflow
    async def parent(ctx: WorkflowContext) -> list[Any]:
        handle = await ctx.step.invoke("start", double, {"x": 4})
        assert isinstance(handle, ExecutionHandle)
        await ctx.step.wait_for_event("go", "go")
        result = await ctx.step.result("result", handle)
        return [result.x, handle.root_execution_id == ctx.execution_id, handle.workflow_id]

    async with engine(parent, double) as polos:
        handle = await parent.invoke(polos)
        await waits(polos, handle, "go")
    async with engine(parent, double) as polos:
        await polos.publish("go")
        assert await polos.result(handle.id, 10) == [8, True, "engine-tests.double"]
        assert len(await polos.list(workflow=double)) == 1


async def test_a_batch_comes_back_in_order_and_raises_for_none(engine: Engine) -> None:
    @workflow
    async def parent(ctx: WorkflowContext) -> list[Any]:
        results = await ctx.step.batch_invoke_and_wait(
            "batch",
            [
                BatchWorkflowInput(id=double.id, payload={"x": 1}),
                BatchWorkflowInput(id=breaks.id, payload="two"),
                BatchWorkflowInput(id=double.id, payload=Point(x=3)),
            ],
        )
        assert all(isinstance(result, BatchStepResult) for result in results)
        empty = await ctx.step.batch_invoke_and_wait("empty", [])
        return [[r.workflow_id, r.success, getattr(r.result, "x", None), r.error] for r in results] + [empty]

    async with engine(parent, double, breaks) as polos:
        assert await parent.run(polos, timeout=10) == [
            [double.id, True, 2, None],
            [breaks.id, False, None, "LookupError: two"],
            [double.id, True, 6, None],
            [],
        ]


async def test_a_batch_of_handles_can_be_awaited_one_by_one(engine: Engine) -> None:
    @workflow
    async def parent(ctx: WorkflowContext) -> list[int]:
        inputs = [BatchWorkflowInput(id=double.id, payload={"x": n}) for n in range(5)]
        handles = await ctx.step.batch_invoke("batch", inputs)
        results = await asyncio.gather(*(ctx.step.result(f"r{n}", h) for n, h in enumerate(handles)))
        return [result.x for result in results]

    async with engine(parent, double) as polos:
        handle = await parent.invoke(polos)
        assert await handle.result(10) == [0, 2, 4, 6, 8]
        children = await polos.list(parent=handle.id)
        assert {child.root_id for child in children} == {handle.id} and len(children) == 5


async def test_awaiting_children_holds_no_slot(engine: Engine) -> None:
    @workflow(id="engine-tests.nest")
    async def nest(ctx: WorkflowContext, depth: int) -> int:
        if depth == 0:
            return 0
        return 1 + await ctx.step.invoke_and_wait("deeper", "engine-tests.nest", depth - 1)

    async with engine(nest, max_concurrent_workflows=1) as polos:
        assert await nest.run(polos, 6, timeout=10) == 6


async def test_session_and_user_are_inherited_and_can_be_set(engine: Engine) -> None:
    @workflow(id="engine-tests.who")
    async def who(ctx: WorkflowContext) -> list[Any]:
        return [ctx.session_id, ctx.user_id, ctx.parent_execution_id is not None, ctx.root_workflow_id]

    @workflow
    async def parent(ctx: WorkflowContext) -> list[Any]:
        return [
            await ctx.step.invoke_and_wait("a", who),
            await ctx.step.invoke_and_wait("b", who, session_id="other"),
            [ctx.session_id, ctx.user_id, ctx.parent_execution_id, ctx.root_workflow_id],
        ]

    async with engine(parent, who) as polos:
        handle = await parent.invoke(polos, session_id="s", user_id="u")
        assert await handle.result(10) == [
            ["s", "u", True, "parent"], ["other", "u", True, "parent"], ["s", "u", None, "parent"],
        ]  # fmt: skip


async def test_a_childs_wrong_payload_is_refused_at_the_call(engine: Engine) -> None:
    @workflow
    async def parent(ctx: WorkflowContext) -> list[Any]:
        try:
            await ctx.step.invoke("c", double, {"x": "no number"})
        except InvalidInput as error:
            return [error.errors[0][0]]
        return []

    async with engine(parent, double) as polos:
        assert await parent.run(polos, timeout=10) == ["x"]
        assert len(await polos.list()) == 1


async def test_a_child_of_a_known_key_is_that_execution_and_a_conflict_fails_the_step(engine: Engine) -> None:
    @workflow
    async def parent(ctx: WorkflowContext) -> list[Any]:
        one = await ctx.step.invoke("one", double, {"x": 1}, idempotency_key="k")
        two = await ctx.step.invoke("two", double, {"x": 1}, idempotency_key="k")
        try:
            await ctx.step.invoke("three", double, {"x": 2}, idempotency_key="k")
        except StepExecutionError as error:
            return [one.id == two.id, (await ctx.step.result("r", one)).x, error.error_type]
        return []

    async with engine(parent, double) as polos:
        assert await parent.run(polos, timeout=10) == [True, 2, "IdempotencyConflict"]


async def test_a_child_that_no_worker_has_stays_queued(engine: Engine) -> None:
    @workflow
    async def parent(ctx: WorkflowContext) -> Any:
        return await ctx.step.invoke_and_wait("c", "engine-tests.absent", 1)

    async with engine(parent) as polos:
        handle = await parent.invoke(polos)
        await waits(polos, handle, "c")
        (child,) = await polos.list(parent=handle.id)
        assert child.status == "queued"

    @workflow(id="engine-tests.absent")
    async def absent(ctx: WorkflowContext, number: int) -> int:
        return number + 1

    async with engine(parent, absent) as polos:
        assert await polos.result(handle.id, 10) == 2
        assert await journal(polos, handle) == [("c", "completed")]
        await until(polos, handle, "completed")
