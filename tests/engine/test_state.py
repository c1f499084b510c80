"""``ctx.state``: typed, saved with what is recorded, rebuilt on replay."""

from __future__ import annotations

from typing import Any

import pytest

from polos import InvalidInput, UsageError, WorkflowContext, WorkflowState, workflow
from polos.core.codec import decode
from tests.engine.conftest import Engine
from tests.engine.looks import waits


class Progress(WorkflowState):
    done: int = 0
    names: list[str] = []  # noqa: RUF012  (pydantic copies it)


@workflow(id="state.typed", state_schema=Progress)
async def typed(ctx: WorkflowContext) -> int:
    for n in range(3):
        ctx.state.names.append(await ctx.step.run(f"n{n}", str, n))
        ctx.state.done += 1
    await ctx.step.wait_for_event("go", "state.go")
    ctx.state.done += 10
    return int(ctx.state.done)


async def state_of(polos: Any, ref: Any) -> Any:
    stored = (await polos.get(ref)).state
    return None if stored is None else decode(stored)


async def test_it_is_saved_and_rebuilt_after_a_restart(engine: Engine) -> None:
    async with engine(typed) as polos:
        handle = await typed.invoke(polos, initial_state={"done": 100})
        await waits(polos, handle, "go")
        assert await state_of(polos, handle.id) == Progress(done=103, names=["0", "1", "2"])
    async with engine(typed) as polos:
        await polos.publish("state.go")
        assert await polos.result(handle.id, 10) == 113
        assert await state_of(polos, handle.id) == Progress(done=113, names=["0", "1", "2"])


async def test_an_initial_state_is_checked(engine: Engine) -> None:
    @workflow(id="state.parent")
    async def parent(ctx: WorkflowContext) -> Any:
        return await ctx.step.invoke_and_wait("child", free, initial_state={"from": "parent"})

    async with engine(typed, parent, free) as polos:
        with pytest.raises(InvalidInput, match="done"):
            await typed.invoke(polos, initial_state={"done": "many"})
        with pytest.raises(InvalidInput, match="not a dict"):
            await free.invoke(polos, initial_state=[1])
        assert await parent.run(polos, timeout=10) == {"from": "parent", "n": 1}


@workflow(id="state.free")
async def free(ctx: WorkflowContext) -> Any:
    ctx.state["n"] = 1
    return ctx.state


async def test_what_cannot_be_stored_is_said_and_stops_nothing(engine: Engine) -> None:
    @workflow(id="state.odd")
    async def odd(ctx: WorkflowContext) -> str:
        ctx.state["socket"] = object()
        return await ctx.step.run("a", str, "went on")

    warned: list[str] = []
    async with engine(odd, on_warning=warned.append) as polos:
        assert await odd.run(polos, timeout=10) == "went on"
    assert len(warned) == 1 and "ctx.state" in warned[0] and "/socket" in warned[0]


async def test_workflows_without_state_store_none(engine: Engine) -> None:
    @workflow(id="state.none")
    async def none(ctx: WorkflowContext) -> str:
        return await ctx.step.run("a", str, "a")

    async with engine(none) as polos:
        handle = await none.invoke(polos)
        await handle.result(10)
        assert (await polos.get(handle.id)).state is None


def test_a_wrong_schema_is_refused() -> None:
    with pytest.raises(UsageError, match="state_schema"):

        @workflow(id="state.wrong", state_schema=dict)
        async def bad(ctx: WorkflowContext) -> None: ...
