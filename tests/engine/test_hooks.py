"""Hooks around a workflow: recorded once, they change what goes in and out, or stop it."""

from __future__ import annotations

from typing import Any

import pytest

from polos import ExecutionFailed, HookContext, HookResult, UsageError, WorkflowContext, hook, workflow
from tests.engine.conftest import Engine
from tests.engine.looks import waits

calls: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    calls.clear()


@hook
async def doubles(ctx: WorkflowContext, hook_context: HookContext) -> HookResult:
    calls.append(f"{hook_context.hook} {hook_context.payload} {hook_context.output}")
    return HookResult.continue_with(modified_payload=hook_context.payload * 2)


@hook
async def wraps(ctx: WorkflowContext, hook_context: HookContext) -> HookResult:
    calls.append(f"{hook_context.hook} {hook_context.payload} {hook_context.output}")
    return HookResult.continue_with(modified_output={"of": hook_context.output, "in": ctx.execution_id})


@hook
async def passes(ctx: WorkflowContext, hook_context: HookContext) -> HookResult:
    return HookResult.continue_with()


@hook
async def refuses(ctx: WorkflowContext, hook_context: HookContext) -> HookResult:
    return HookResult.fail(f"not {hook_context.payload}")


@workflow(id="hooks.hooked", on_start=[doubles, passes], on_end=wraps)
async def hooked(ctx: WorkflowContext, n: int) -> int:
    calls.append(f"runs {n}")
    await ctx.step.wait_for_event("go", "hooks.go")
    return n + 1


async def test_they_change_what_goes_in_and_out_and_run_once_through_a_restart(engine: Engine) -> None:
    async with engine(hooked) as polos:
        handle = await hooked.invoke(polos, 5)
        await waits(polos, handle, "go")
    async with engine(hooked) as polos:
        await polos.publish("hooks.go")
        assert await polos.result(handle.id, 10) == {"of": 11, "in": handle.id}
        keys = [entry.key for entry in await polos.journal(handle.id)]
    assert keys == ["polos:on_start/doubles", "polos:on_start/passes", "go", "polos:on_end/wraps"]
    assert calls == ["on_start 5 None", "runs 10", "runs 10", "on_end 10 11"], "the function replays, hooks do not"


async def test_fail_really_stops(engine: Engine) -> None:
    @workflow(id="hooks.refused", on_start=refuses)
    async def refused(ctx: WorkflowContext, n: int) -> None:
        calls.append("ran")

    @workflow(id="hooks.refused-after", on_end=refuses)
    async def refused_after(ctx: WorkflowContext, n: int) -> int:
        return n

    async with engine(refused, refused_after) as polos:
        for one in (refused, refused_after):
            with pytest.raises(ExecutionFailed, match="not 7") as failed:
                await one.run(polos, 7, timeout=10)
            assert failed.value.error_type == "HookFailed"
    assert calls == []


async def test_a_changed_payload_is_checked(engine: Engine) -> None:
    @hook
    async def spoils(ctx: WorkflowContext, hook_context: HookContext) -> HookResult:
        return HookResult.continue_with(modified_payload="text")

    @workflow(id="hooks.spoiled", on_start=spoils)
    async def spoiled(ctx: WorkflowContext, n: int) -> None: ...

    async with engine(spoiled) as polos:
        with pytest.raises(ExecutionFailed) as failed:
            await spoiled.run(polos, 1, timeout=10)
        assert failed.value.error_type == "InvalidInput"


async def test_one_that_raises_or_returns_something_else_ends_the_execution(engine: Engine) -> None:
    from polos import NonRetryableError

    @hook
    async def raises(ctx: WorkflowContext, hook_context: HookContext) -> HookResult:
        raise NonRetryableError("no way")

    @hook
    async def forgets(ctx: WorkflowContext, hook_context: HookContext) -> Any:
        return None

    @workflow(id="hooks.raising", on_start=raises)
    async def raising(ctx: WorkflowContext) -> None: ...

    @workflow(id="hooks.forgetting", on_start=forgets)
    async def forgetting(ctx: WorkflowContext) -> None: ...

    async with engine(raising, forgetting) as polos:
        with pytest.raises(ExecutionFailed, match="no way"):
            await raising.run(polos, timeout=10)
        with pytest.raises(ExecutionFailed, match="not a HookResult") as failed:
            await forgetting.run(polos, timeout=10)
        assert failed.value.error_type == "HookFailed"


def test_wrong_hooks_are_refused() -> None:
    with pytest.raises(UsageError, match="async def"):
        hook(lambda ctx, context: None)  # type: ignore[arg-type, return-value]
    for wrong, said in ((lambda ctx: None, "not a hook"), ([passes, passes], "two hooks named 'passes'")):
        with pytest.raises(UsageError, match=said):

            @workflow(id="hooks.wrong", on_start=wrong)  # type: ignore[arg-type]
            async def bad(ctx: WorkflowContext) -> None: ...
