"""Steps and their values as user code sees them (S1.4, S1.5, S2, S3)."""

from __future__ import annotations

import asyncio
import functools
import math
from typing import Any

import pytest

from polos import (
    DuplicateStepKey,
    ExecutionFailed,
    StepExecutionError,
    UnserializableResult,
    UsageError,
    WorkflowContext,
    workflow,
)
from tests.engine.conftest import Engine
from tests.engine.looks import journal, until


class Doubler:
    async def __call__(self, number: int) -> int:
        return 2 * number


class Tripler:
    def __call__(self, number: int) -> int:
        return 3 * number


async def failure_of(engine: Engine, wf: Any) -> Any:
    async with engine(wf) as polos:
        handle = await wf.invoke(polos)
        with pytest.raises(ExecutionFailed):
            await handle.result(10)
        return (await polos.get(handle)).failure


async def test_every_kind_of_callable_is_a_body(engine: Engine) -> None:
    async def add(a: int, b: int = 1) -> int:
        return a + b

    def sync_add(a: int, b: int = 1) -> int:
        return a + b

    class Calculator:
        def __init__(self, base: int) -> None:
            self.base = base

        def sync(self, number: int) -> int:
            return self.base + number

        async def coroutine(self, number: int) -> int:
            return self.base + number

    @workflow
    async def calls(ctx: WorkflowContext) -> list[int]:
        run = ctx.step.run
        return [
            await run("async", add, 1),
            await run("keyword", add, 1, b=4),
            await run("sync", sync_add, 2, b=3),
            await run("lambda of a coroutine", lambda: add(3)),
            await run("sync lambda", lambda: 4),
            await run("partial", functools.partial(add, b=5), 1),
            await run("partial of a partial", functools.partial(functools.partial(sync_add, 1), b=9)),
            await run("async object", Doubler(), 4),
            await run("sync object", Tripler(), 4),
            await run("partial of an object", functools.partial(Doubler(), 5)),
            await run("sync method", Calculator(10).sync, 1),
            await run("async method", Calculator(10).coroutine, 2),
            await run("builtin", max, 3, 9),
            await run("class", int, "7"),
        ]

    async with engine(calls) as polos:
        assert await calls.run(polos, timeout=10) == [2, 5, 5, 4, 4, 6, 10, 8, 12, 10, 11, 12, 9, 7]


async def test_falsy_values_are_values_and_their_bodies_run_once(engine: Engine) -> None:
    values = [None, 0, False, "", [], {}, 0.0]
    ran: list[int] = []

    def give(index: int) -> Any:
        ran.append(index)
        return values[index]

    @workflow
    async def falsy(ctx: WorkflowContext) -> list[Any]:
        found = [await ctx.step.run(f"v{index}", give, index) for index in range(len(values))]
        await ctx.step.wait_for_event("go", "go")
        return found

    async with engine(falsy) as polos:
        handle = await falsy.invoke(polos)
        await until(polos, handle, "waiting")
    async with engine(falsy) as polos:
        await polos.publish("go")
        found = await polos.result(handle.id, 10)
    assert [(type(v), v) for v in found] == [(type(v), v) for v in values]
    assert ran == list(range(len(values)))


async def test_keys_are_any_text(engine: Engine) -> None:
    keys = ["a/b?c#d%20", " leading and trailing ", "emoji 🎈", "line\nbreak", "'; DROP TABLE journal; --", "x" * 512]

    @workflow
    async def odd(ctx: WorkflowContext) -> list[int]:
        return [await ctx.step.run(key, lambda n=index: n) for index, key in enumerate(keys)]

    async with engine(odd) as polos:
        handle = await odd.invoke(polos)
        assert await handle.result(10) == list(range(len(keys)))
        assert [key for key, _ in await journal(polos, handle)] == keys


@pytest.mark.parametrize("key", ["", "x" * 513, "polos:timer/0", None, 7])
async def test_other_keys_are_refused(engine: Engine, key: Any) -> None:
    @workflow
    async def odd(ctx: WorkflowContext) -> str:
        with pytest.raises(UsageError):
            await ctx.step.run(key, int)
        return "refused"

    async with engine(odd) as polos:
        assert await odd.run(polos, timeout=10) == "refused"


async def test_a_key_used_twice_names_both_lines_and_runs_the_second_body_never(engine: Engine) -> None:
    ran: list[int] = []

    @workflow
    async def twice(ctx: WorkflowContext) -> None:
        for number in range(2):
            await ctx.step.run("same", ran.append, number)
        raise AssertionError("not reached")

    failure = await failure_of(engine, twice)
    line = twice.fn.__code__.co_firstlineno + 3
    assert failure.type_name == "DuplicateStepKey"
    assert failure.message.count(f"test_steps.py:{line}") == 2
    assert 'f"same-{' in failure.message
    assert ran == [0]


async def test_a_key_used_twice_on_different_lines_names_each(engine: Engine) -> None:
    @workflow
    async def twice(ctx: WorkflowContext) -> str:
        await ctx.step.run("same", int)
        try:
            await ctx.step.wait_for("same", seconds=1)
        except DuplicateStepKey as error:
            return error.message
        return ""

    async with engine(twice) as polos:
        message = await twice.run(polos, timeout=10)
    first = twice.fn.__code__.co_firstlineno + 2
    assert f"test_steps.py:{first}," in message and message.endswith(f"test_steps.py:{first + 2}")


@pytest.mark.parametrize(
    ("value", "where", "type_name"),
    [
        ({"rows": [1, {"at": object()}]}, "/rows/1/at", "object"),
        (math.nan, "", "float"),
        ({"a": math.inf}, "/a", "float"),
        (["\ud800"], "/0", "str"),
        ("nul\0", "", "str"),
        ({(1, 2): 3}, "", "tuple"),
    ],
)  # fmt: skip
async def test_a_result_that_cannot_be_stored_names_its_path_and_is_not_tried_again(
    engine: Engine, value: Any, where: str, type_name: str
) -> None:
    ran: list[int] = []

    def give() -> Any:
        ran.append(1)
        return value

    @workflow
    async def gives(ctx: WorkflowContext) -> list[str]:
        try:
            await ctx.step.run("give", give, base_delay=0)
        except UnserializableResult as error:
            return [error.step_key, error.message]
        return []

    async with engine(gives) as polos:
        key, message = await gives.run(polos, timeout=10)
    assert key == "give" and ran == [1]
    assert where in message


async def test_a_cycle_is_refused_and_not_followed(engine: Engine) -> None:
    def loop() -> Any:
        inside: list[Any] = []
        inside.append({"again": inside})
        return inside

    @workflow
    async def gives(ctx: WorkflowContext) -> None:
        await ctx.step.run("loop", loop)

    failure = await failure_of(engine, gives)
    assert failure.type_name == "UnserializableResult" and "cycle" in failure.message


async def test_a_workflows_own_result_that_cannot_be_stored_fails_it(engine: Engine) -> None:
    @workflow
    async def gives(ctx: WorkflowContext) -> Any:
        return {"x": object()}

    failure = await failure_of(engine, gives)
    assert failure.type_name == "UnserializableResult" and "/x" in failure.message


async def test_a_value_over_the_limit_names_the_step_and_its_largest_paths(engine: Engine) -> None:
    ran: list[int] = []

    def big() -> Any:
        ran.append(1)
        return {"small": 1, "rows": "x" * (1 << 20)}

    @workflow
    async def gives(ctx: WorkflowContext) -> list[str]:
        try:
            await ctx.step.run("big", big, base_delay=0)
        except StepExecutionError as error:
            return [error.error_type, error.message]
        return []

    async with engine(gives) as polos:
        kind, message = await gives.run(polos, timeout=10)
    assert kind == "PayloadTooLarge" and "/rows" in message and "'big'" in message
    assert ran == [1]


async def test_a_large_value_under_the_limit_goes_through(engine: Engine) -> None:
    @workflow
    async def gives(ctx: WorkflowContext) -> int:
        return len(await ctx.step.run("big", lambda: "x" * ((1 << 20) - 2)))

    async with engine(gives) as polos:
        assert await gives.run(polos, timeout=10) == (1 << 20) - 2


async def test_returning_while_a_step_runs_is_an_error_that_names_it(engine: Engine) -> None:
    @workflow
    async def forgets(ctx: WorkflowContext) -> str:
        task = asyncio.ensure_future(ctx.step.run("slow", asyncio.sleep, 60))
        await asyncio.sleep(0)
        del task
        return "done"

    failure = await failure_of(engine, forgets)
    assert failure.type_name == "UnawaitedStep" and "'slow'" in failure.message


async def test_a_step_call_that_was_never_awaited_is_an_error_that_names_it(engine: Engine) -> None:
    ran: list[int] = []

    @workflow
    async def forgets(ctx: WorkflowContext) -> str:
        ctx.step.run("forgotten", ran.append, 1)
        return "done"

    failure = await failure_of(engine, forgets)
    assert failure.type_name == "UnawaitedStep" and "'forgotten'" in failure.message
    assert ran == []


async def test_waits_left_over_are_just_closed(engine: Engine) -> None:
    @workflow
    async def races(ctx: WorkflowContext) -> str:
        timer = asyncio.create_task(ctx.step.wait_for("timer", hours=1))
        event = asyncio.create_task(ctx.step.wait_for_event("event", "never"))
        quick = asyncio.create_task(ctx.step.run("quick", str, "won"))
        done, _ = await asyncio.wait({timer, event, quick}, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()

    async with engine(races) as polos:
        handle = await races.invoke(polos)
        assert await handle.result(10) == "won"
        assert await polos.access().read(lambda store: store.waits(handle.id)) == []


async def test_an_error_of_the_workflow_is_its_end_and_what_still_runs_records_nothing(engine: Engine) -> None:
    @workflow
    async def fails(ctx: WorkflowContext) -> None:
        task = asyncio.create_task(ctx.step.run("slow", asyncio.sleep, 60))
        await ctx.step.run("quick", int)
        del task
        raise LookupError("gone")

    async with engine(fails) as polos:
        handle = await fails.invoke(polos)
        with pytest.raises(ExecutionFailed, match="LookupError: gone"):
            await handle.result(10)
        assert await journal(polos, handle) == [("quick", "completed")]


async def test_a_step_inside_a_body_is_a_usage_error(engine: Engine) -> None:
    @workflow
    async def nests(ctx: WorkflowContext) -> list[str]:
        async def body() -> None:
            await ctx.step.run("inner", int)

        try:
            await ctx.step.run("outer", body, base_delay=0, max_retries=0)
        except StepExecutionError as error:
            return [error.error_type, error.message]
        return []

    async with engine(nests) as polos:
        kind, message = await nests.run(polos, timeout=10)
    assert kind == "UsageError" and "'inner'" in message


async def test_what_cannot_be_a_body_is_refused_in_words(engine: Engine) -> None:
    async def coroutine() -> None: ...
    def waits(timeout: float) -> None: ...
    def tries(*, max_retries: int) -> None: ...

    @workflow
    async def inner(ctx: WorkflowContext) -> None: ...

    @workflow
    async def refused(ctx: WorkflowContext) -> list[str]:
        found = []
        for key, fn in {"1": coroutine(), "2": 7, "3": waits, "4": tries, "5": inner}.items():
            try:
                await ctx.step.run(key, fn)  # type: ignore[arg-type]
            except UsageError as error:
                found.append(str(error))
        found.append(str(await ctx.step.run("6", functools.partial(waits, timeout=1))))
        return found

    async with engine(refused) as polos:
        one, two, three, four, five, six = await refused.run(polos, timeout=10)
    assert "a coroutine" in one and "without calling it" in one
    assert "int, not a function" in two
    assert "functools.partial" in three and "'timeout'" in three
    assert "'max_retries'" in four
    assert "invoke_and_wait" in five
    assert six == "None"


@pytest.mark.parametrize("options", [{"max_retries": -1}, {"base_delay": -1}, {"timeout": 0}, {"max_retries": 1.5}])
async def test_impossible_options_are_refused_at_the_call(engine: Engine, options: dict[str, Any]) -> None:
    @workflow
    async def odd(ctx: WorkflowContext) -> str:
        with pytest.raises(UsageError, match="'a'"):
            await ctx.step.run("a", int, **options)
        return "refused"

    async with engine(odd) as polos:
        assert await odd.run(polos, timeout=10) == "refused"


async def test_context_variables_reach_bodies_and_stay_there(engine: Engine) -> None:
    import contextvars

    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="none")

    def read() -> str:
        found = tenant.get()
        tenant.set("changed in the body")
        return found

    @workflow
    async def scoped(ctx: WorkflowContext) -> list[str]:
        tenant.set("acme")
        return [await ctx.step.run("sync", read), await ctx.step.run("again", read), tenant.get()]

    async with engine(scoped) as polos:
        assert await scoped.run(polos, timeout=10) == ["acme", "acme", "acme"]


async def test_recorded_values_of_the_outside_world_are_the_same_after_a_restart(engine: Engine) -> None:
    passes: list[list[Any]] = []

    @workflow
    async def draws(ctx: WorkflowContext) -> None:
        passes.append([await ctx.step.uuid("u"), await ctx.step.now("n"), await ctx.step.random("r"),
                       ctx.created_at, ctx.started_at, ctx.execution_id, ctx.number])  # fmt: skip
        with ctx.step.trace("span", {"a": 1}):
            await ctx.step.wait_for_event("go", "go")

    async with engine(draws) as polos:
        handle = await draws.invoke(polos)
        await until(polos, handle, "waiting")
    async with engine(draws) as polos:
        await polos.publish("go")
        await polos.result(handle.id, 10)
    first, second = passes
    assert first == second
    import uuid

    assert uuid.UUID(first[0]).version == 4
    assert isinstance(first[1], int) and 0 <= first[2] < 1
    assert first[3].tzinfo is not None and first[3] <= first[4]


async def test_asyncio_primitives_work_around_steps(engine: Engine) -> None:
    @workflow
    async def busy(ctx: WorkflowContext) -> dict[str, Any]:
        async with asyncio.TaskGroup() as group:
            one = group.create_task(ctx.step.run("one", int, "1"))
            two = group.create_task(ctx.step.run("two", int, "2"))
        order = [await first for first in asyncio.as_completed([ctx.step.run(f"c{n}", int, n) for n in range(3)])]
        timed_out = False
        try:
            async with asyncio.timeout(0.02):
                await ctx.step.run("slow", asyncio.sleep, 60)
        except TimeoutError:
            timed_out = True
        await asyncio.sleep(0.01)
        return {"group": [one.result(), two.result()], "order": sorted(order), "timed_out": timed_out}

    async with engine(busy) as polos:
        result = await busy.run(polos, timeout=10)
    assert result == {"group": [1, 2], "order": [0, 1, 2], "timed_out": True}
