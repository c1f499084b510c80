"""Attempts of a step: how many, when, and what is left of them (S1.3, S2.2–S2.4, S2.7)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from polos import (
    ExecutionFailed,
    NonRetryableError,
    RecordedError,
    StepExecutionError,
    StepTimeoutError,
    WorkflowContext,
    current_step,
    workflow,
)
from polos.core.status import Status
from tests.engine.conftest import Engine
from tests.engine.looks import is_set, until


async def test_a_step_is_tried_until_it_works(engine: Engine) -> None:
    seen: list[int] = []

    def flaky() -> str:
        seen.append(current_step().attempt)  # type: ignore[union-attr]
        if len(seen) < 3:
            raise ConnectionError(f"attempt {len(seen)}")
        return "worked"

    @workflow
    async def tries(ctx: WorkflowContext) -> str:
        return await ctx.step.run("flaky", flaky, base_delay=0)

    async with engine(tries) as polos:
        handle = await tries.invoke(polos)
        assert await handle.result(10) == "worked"
        (entry,) = await polos.journal(handle)
        attempts = await polos.access().read(lambda store: store.attempts(handle.id))
    assert (seen, entry.attempt) == ([1, 2, 3], 3)
    assert [(a.attempt, a.failure.message) for a in attempts] == [(1, "attempt 1"), (2, "attempt 2")]


@pytest.mark.parametrize(("max_retries", "attempts"), [(0, 1), (1, 2), (4, 5)])
async def test_attempts_are_retries_and_one(engine: Engine, max_retries: int, attempts: int) -> None:
    ran: list[int] = []

    async def fails() -> None:
        ran.append(1)
        raise ValueError("always")

    @workflow
    async def tries(ctx: WorkflowContext) -> Any:
        try:
            await ctx.step.run("fails", fails, max_retries=max_retries, base_delay=0)
        except StepExecutionError as error:
            return [error.step_key, error.attempts, error.error_type, error.message]

    async with engine(tries) as polos:
        result = await tries.run(polos, timeout=10)
    assert len(ran) == attempts
    assert result[:3] == ["fails", attempts, "ValueError"]
    assert "always" in result[3]


async def test_a_non_retryable_error_or_a_kind_of_it_ends_the_step_at_once(engine: Engine) -> None:
    class Declined(NonRetryableError):
        pass

    ran: list[str] = []

    def fails(kind: str) -> None:
        ran.append(kind)
        raise Declined("card") if kind == "sub" else NonRetryableError("no")

    @workflow
    async def tries(ctx: WorkflowContext) -> list[str]:
        types = []
        for kind in ("plain", "sub"):
            try:
                await ctx.step.run(kind, fails, kind, max_retries=5, base_delay=0)
            except StepExecutionError as error:
                types.append(error.error_type)
        return types

    async with engine(tries) as polos:
        assert await tries.run(polos, timeout=10) == ["NonRetryableError", "Declined"]
    assert ran == ["plain", "sub"]


async def test_delays_double_from_the_base_up_to_the_bound_and_are_spread(engine: Engine) -> None:
    def fails() -> None:
        raise ValueError

    @workflow
    async def tries(ctx: WorkflowContext) -> None:
        await ctx.step.run("a", fails, max_retries=4, base_delay=0.01, max_delay=0.03)

    async with engine(tries) as polos:
        handle = await tries.invoke(polos)
        with pytest.raises(ExecutionFailed):
            await handle.result(10)
        attempts = await polos.access().read(lambda store: store.attempts(handle.id))
    delays = [(a.due_at - a.ended_at) / 1e6 for a in attempts]
    for delay, middle in zip(delays, (0.01, 0.02, 0.03, 0.03), strict=True):
        assert middle * 0.79 <= delay <= middle * 1.21


async def test_a_failed_attempt_is_recorded_before_its_delay_so_a_restart_does_not_reset_the_count(
    engine: Engine,
) -> None:
    ran: list[int] = []

    def fails() -> None:
        ran.append(current_step().attempt)  # type: ignore[union-attr]
        raise ValueError

    @workflow
    async def tries(ctx: WorkflowContext) -> None:
        await ctx.step.run("a", fails, max_retries=2, base_delay=8, max_delay=8)

    async with engine(tries) as polos:
        handle = await tries.invoke(polos)
        await until(polos, handle, "waiting")
        attempts = await polos.access().read(lambda store: store.attempts(handle.id))
        assert [a.attempt for a in attempts] == [1]
        assert 6 < (attempts[0].due_at - attempts[0].ended_at) / 1e6 < 10
    async with engine(tries) as polos:
        assert (await polos.get(handle.id)).status is Status.WAITING  # the delay goes on where it was
    assert ran == [1]


@pytest.mark.parametrize("max_hot", [0, 10])
async def test_a_long_delay_parks_the_execution_which_then_goes_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, max_hot: int
) -> None:
    monkeypatch.setattr("polos.worker.body.PARK_ABOVE", 20_000)
    ran: list[int] = []
    waited: list[Status] = []

    def flaky() -> int:
        ran.append(current_step().attempt)  # type: ignore[union-attr]
        if len(ran) < 3:
            raise ValueError
        return 7

    @workflow
    async def tries(ctx: WorkflowContext) -> list[int]:
        return list(await asyncio.gather(ctx.step.run("a", flaky, base_delay=0.1), ctx.step.run("b", int, 3)))

    async with engine(tries, max_hot=max_hot) as polos:
        handle = await tries.invoke(polos)
        waited.append((await until(polos, handle, "waiting")).status)
        assert await handle.result(10) == [7, 3]
    assert ran == [1, 2, 3]


async def test_a_timeout_is_per_attempt_and_counts_as_a_failed_one(engine: Engine) -> None:
    ran: list[int] = []

    async def slow_at_first() -> str:
        ran.append(1)
        if len(ran) < 3:
            await asyncio.sleep(60)
        return "quick"

    @workflow
    async def tries(ctx: WorkflowContext) -> str:
        return await ctx.step.run("slow", slow_at_first, timeout=0.03, base_delay=0)

    async with engine(tries) as polos:
        handle = await tries.invoke(polos)
        assert await handle.result(10) == "quick"
        attempts = await polos.access().read(lambda store: store.attempts(handle.id))
    assert [a.failure.type_name for a in attempts] == ["TimeoutError", "TimeoutError"]


async def test_a_timeouts_error_is_a_step_error_but_not_a_waits_timeout(engine: Engine) -> None:
    @workflow
    async def tries(ctx: WorkflowContext) -> list[Any]:
        try:
            await ctx.step.run("slow", asyncio.sleep, 60, timeout=0.02, max_retries=0)
        except StepExecutionError as error:
            return [error.error_type, isinstance(error, StepTimeoutError)]
        return []

    async with engine(tries) as polos:
        assert await tries.run(polos, timeout=10) == ["TimeoutError", False]


async def test_a_body_that_swallows_its_cancellation_is_over_at_its_timeout_all_the_same(engine: Engine) -> None:
    let_go = threading.Event()

    async def stubborn() -> str:
        while not let_go.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
        return "too late"

    @workflow
    async def tries(ctx: WorkflowContext) -> str:
        try:
            return await ctx.step.run("stubborn", stubborn, timeout=0.03, max_retries=0)
        except StepExecutionError as error:
            return error.error_type

    async with engine(tries) as polos:
        handle = await tries.invoke(polos)
        assert await handle.result(10) == "TimeoutError"
        let_go.set()
        assert len(await polos.journal(handle)) == 1


async def test_a_sync_body_past_its_timeout_is_dropped_and_its_late_result_reaches_nobody(engine: Engine) -> None:
    let_go, ended = threading.Event(), threading.Event()

    def blocks() -> str:
        let_go.wait(10)
        ended.set()
        return "too late"

    @workflow
    async def tries(ctx: WorkflowContext) -> list[str]:
        try:
            await ctx.step.run("blocks", blocks, timeout=0.03, max_retries=0)
        except StepExecutionError as error:
            return [error.error_type, await ctx.step.run("after", str, "on")]
        return []

    async with engine(tries) as polos:
        handle = await tries.invoke(polos)
        assert await handle.result(10) == ["TimeoutError", "on"]
        let_go.set()
        await is_set(ended)
        assert [e.key for e in await polos.journal(handle)] == ["blocks", "after"]


async def test_a_failure_that_is_caught_can_be_compensated(engine: Engine) -> None:
    done: list[str] = []

    def act(what: str) -> str:
        if what == "ship":
            raise RuntimeError("no stock")
        done.append(what)
        return what

    @workflow
    async def order(ctx: WorkflowContext) -> str:
        await ctx.step.run("charge", act, "charge")
        try:
            await ctx.step.run("ship", act, "ship", max_retries=1, base_delay=0)
        except StepExecutionError:
            await ctx.step.run("refund", act, "refund")
            return "refunded"
        return "shipped"

    async with engine(order) as polos:
        assert await order.run(polos, timeout=10) == "refunded"
    assert done == ["charge", "refund"]


async def test_an_uncaught_step_error_fails_the_execution_and_names_its_cause(engine: Engine) -> None:
    def breaks() -> None:
        raise KeyError("sku")

    @workflow
    async def order(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.run("ship", breaks, max_retries=0)
        except StepExecutionError as error:
            raise LookupError("cannot ship") from error

    async with engine(order) as polos:
        handle = await order.invoke(polos)
        with pytest.raises(ExecutionFailed, match="cannot ship") as failed:
            await handle.result(10)
        found = await polos.get(handle)
    assert failed.value.error_type == "LookupError"
    assert isinstance(failed.value.__cause__, RecordedError)
    assert (found.status, found.cause_key, found.error_type) == (Status.FAILED, "ship", "LookupError")
    assert found.failure is not None and "sku" in found.failure.traceback_text
    assert "polos/worker" not in found.failure.traceback_text


async def test_the_cause_chain_is_the_same_live_and_after_a_restart(engine: Engine) -> None:
    passes: list[list[Any]] = []

    class Strange(Exception):
        def __str__(self) -> str:
            return "line one\nline two 🎈"

    def breaks() -> None:
        raise Strange

    @workflow
    async def order(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.run("a", breaks, max_retries=1, base_delay=0)
        except StepExecutionError as error:
            cause = error.__cause__
            assert isinstance(cause, RecordedError)
            passes.append([type(error).__name__, str(error), error.attempts, str(cause), cause.type_name,
                           cause.recorded_message, cause.traceback_text])  # fmt: skip
        await ctx.step.wait_for_event("go", "go")

    async with engine(order) as polos:
        handle = await order.invoke(polos)
        await until(polos, handle, "waiting")
    async with engine(order) as polos:
        await polos.publish("go")
        await polos.result(handle.id, 10)
    assert len(passes) == 2 and passes[0] == passes[1]
    assert passes[0][4:6] == ["Strange", "line one\nline two 🎈"]
    assert "in breaks" in passes[0][6]


async def test_an_exception_that_cannot_be_read_is_recorded_all_the_same(engine: Engine) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    def breaks(kind: str) -> None:
        if kind == "exit":
            raise SystemExit(3)
        raise Broken

    @workflow
    async def tries(ctx: WorkflowContext) -> list[str]:
        types = []
        for kind in ("text", "exit"):
            try:
                await ctx.step.run(kind, breaks, kind, max_retries=0)
            except StepExecutionError as error:
                types.append(error.error_type)
        return types

    async with engine(tries) as polos:
        assert await tries.run(polos, timeout=10) == ["Broken", "SystemExit"]


async def test_every_attempt_sees_one_idempotency_key_and_steps_have_different_ones(engine: Engine) -> None:
    seen: list[tuple[str, int, str]] = []

    async def flaky() -> None:
        info = current_step()
        assert info is not None
        seen.append((info.step_key, info.attempt, info.idempotency_key))
        if info.attempt == 1:
            raise ValueError

    @workflow
    async def tries(ctx: WorkflowContext) -> str:
        await ctx.step.run("a", flaky, base_delay=0)
        await ctx.step.run("b", flaky, base_delay=0)
        assert current_step() is None
        return ctx.execution_id

    async with engine(tries) as polos:
        await tries.run(polos, timeout=10)
    assert [(key, attempt) for key, attempt, _ in seen] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert seen[0][2] == seen[1][2] != seen[2][2] == seen[3][2]
    assert current_step() is None
