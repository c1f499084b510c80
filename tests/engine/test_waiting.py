"""Waits as workflows have them: time, events, answers; hot and evicted alike (S4, S1.10)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polos import (
    AlreadyResumed,
    EventPayload,
    ExecutionEnded,
    StepExecutionError,
    StepTimeoutError,
    UsageError,
    WorkflowContext,
    events,
    workflow,
)
from tests.engine.conftest import Engine
from tests.engine.looks import journal, until, waits

HOT = pytest.mark.parametrize("max_hot", [0, 1, 100])


@HOT
async def test_a_gather_of_waits_ends_alike_in_memory_and_by_replay(engine: Engine, max_hot: int) -> None:
    @workflow
    async def many(ctx: WorkflowContext, name: str) -> list[Any]:
        before = await ctx.step.run("before", str.upper, name)
        event, answer, _, again = await asyncio.gather(
            ctx.step.wait_for_event("event", f"t.{name}"),
            ctx.step.suspend("ask", {"q": name}),
            ctx.step.wait_for("timer", seconds=0.05),
            ctx.step.wait_for_event("again", f"t.{name}"),
        )
        after = await ctx.step.run("after", str.lower, before)
        return [before, event.data, answer.data, again.data, after]

    async with engine(many, max_hot=max_hot) as polos:
        handles = {name: await many.invoke(polos, name) for name in "abc"}
        for name, handle in handles.items():
            await waits(polos, handle, "event", "ask", "again")
            await polos.publish(f"t.{name}", 1)
            await polos.resume(handle, "ask", "yes")
            await polos.publish(f"t.{name}", 2)
        results = {name: await handle.result(10) for name, handle in handles.items()}
        kept = polos.host.worker.hot  # type: ignore[union-attr]
    assert results == {name: [name.upper(), 1, "yes", 2, name] for name in "abc"}
    assert kept == 0


async def test_no_more_waiting_executions_stay_in_memory_than_allowed(engine: Engine) -> None:
    @workflow
    async def waiting(ctx: WorkflowContext) -> str:
        return (await ctx.step.wait_for_event("e", "go")).data

    async with engine(waiting, max_hot=2) as polos:
        handles = [await waiting.invoke(polos) for _ in range(5)]
        for handle in handles:
            await waits(polos, handle, "e")
        assert polos.host.worker.hot == 2  # type: ignore[union-attr]
        published = await polos.publish("go", "now")
        assert len(published.woken) == 5
        assert [await handle.result(10) for handle in handles] == ["now"] * 5


async def test_waiting_executions_hold_no_slot(engine: Engine) -> None:
    @workflow
    async def waiting(ctx: WorkflowContext) -> None:
        await ctx.step.wait_for_event("e", "go")

    @workflow
    async def quick(ctx: WorkflowContext) -> str:
        return await ctx.step.run("a", str, "through")

    async with engine(waiting, quick, max_concurrent_workflows=1) as polos:
        first, second = await waiting.invoke(polos), await waiting.invoke(polos)
        assert await quick.run(polos, timeout=10) == "through"
        await polos.publish("go")
        await first.result(10)
        await second.result(10)


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_wait_is_never_early_and_records_its_instant(engine: Engine) -> None:
    @workflow
    async def naps(ctx: WorkflowContext) -> list[int]:
        start = await ctx.step.now("start")
        await ctx.step.wait_for("nap", seconds=0.05)
        return [start, await ctx.step.now("end")]

    async with engine(naps) as polos:
        start, end = await naps.run(polos, timeout=10)
    assert end - start >= 50


async def test_an_instant_in_the_past_goes_on_at_once_whatever_its_zone(engine: Engine) -> None:
    from zoneinfo import ZoneInfo

    @workflow
    async def naps(ctx: WorkflowContext) -> str:
        await ctx.step.wait_until("naive", datetime(2020, 1, 1))
        await ctx.step.wait_until("zone", datetime.now(ZoneInfo("Asia/Tokyo")) - timedelta(seconds=1))
        await ctx.step.wait_until("soon", datetime.now(UTC) + timedelta(milliseconds=20))
        return "on"

    async with engine(naps) as polos:
        assert await naps.run(polos, timeout=10) == "on"


async def test_a_timer_that_fell_due_while_nothing_ran_fires_at_the_next_start(engine: Engine) -> None:
    @workflow
    async def naps(ctx: WorkflowContext) -> str:
        await ctx.step.wait_for("nap", seconds=0.3)
        return "awake"

    async with engine(naps) as polos:
        handle = await naps.invoke(polos)
        await waits(polos, handle, "nap")
        (wait,) = await polos.access().read(lambda store: store.waits(handle.id))
        due = datetime.fromtimestamp(wait.deadline / 1e6, UTC)  # type: ignore[operator]
    while datetime.now(UTC) < due:
        await asyncio.sleep(0.01)
    async with engine(naps) as polos:
        assert await polos.result(handle.id, 10) == "awake"


@pytest.mark.parametrize("span", [{}, {"seconds": 0}, {"seconds": -1}, {"days": float("inf")}, {"hours": float("nan")}])
async def test_a_wait_of_nothing_or_less_is_refused_at_the_call(engine: Engine, span: dict[str, float]) -> None:
    @workflow
    async def naps(ctx: WorkflowContext) -> str:
        with pytest.raises(UsageError, match="'nap'"):
            ctx.step.wait_for("nap", **span)
        with pytest.raises(UsageError, match="datetime"):
            ctx.step.wait_until("until", "2020-01-01")  # type: ignore[arg-type]
        return "refused"

    async with engine(naps) as polos:
        assert await naps.run(polos, timeout=10) == "refused"


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("max_hot", [0, 100])
async def test_a_loop_of_waits_sees_each_event_once_and_in_order(engine: Engine, max_hot: int) -> None:
    @workflow
    async def reads(ctx: WorkflowContext) -> list[int]:
        return [(await ctx.step.wait_for_event(f"e{n}", "numbers")).data for n in range(12)]

    async with engine(reads, max_hot=max_hot) as polos:
        handle = await reads.invoke(polos)
        await events.batch_publish(polos, "numbers", [events.EventData(data=n) for n in range(4)])
        await waits(polos, handle, "e4")
        for n in range(4, 12):
            await events.publish(polos, "numbers", events.EventData(data=n))
        assert await handle.result(10) == list(range(12))


async def test_an_event_has_all_its_fields_and_reads_as_a_mapping(engine: Engine) -> None:
    @workflow
    async def reads(ctx: WorkflowContext) -> dict[str, Any]:
        event = await ctx.step.wait_for_event("e", "t")
        assert isinstance(event, EventPayload) and event["data"] == event.data == event.get("data")
        assert event.get("absent", 7) == 7 and event.created_at.tzinfo is not None
        assert dict(event)["topic"] == "t"
        return {"id": event.id, "seq": event.sequence_id, "type": event.event_type, "data": event.data}

    async with engine(reads) as polos:
        handle = await reads.invoke(polos)
        published = await polos.publish("t", {"n": None}, "created", "evt_mine")
        assert await handle.result(10) == {"id": "evt_mine", "seq": 1, "type": "created", "data": {"n": None}}
        assert (published.id, published.sequence) == ("evt_mine", 1)


async def test_two_waits_of_one_execution_never_share_an_event(engine: Engine) -> None:
    @workflow
    async def reads(ctx: WorkflowContext) -> list[int]:
        one = ctx.step.wait_for_event("one", "t")
        two = ctx.step.wait_for_event("two", "t")
        return [event.data for event in await asyncio.gather(one, two)]

    async with engine(reads) as polos:
        handle = await reads.invoke(polos)
        await waits(polos, handle, "one", "two")
        assert len((await polos.publish("t", 1)).woken) == 1
        await waits(polos, handle, "two")
        await polos.publish("t", 2)
        assert await handle.result(10) == [1, 2]


async def test_a_timed_out_wait_raises_now_and_after_a_restart(engine: Engine) -> None:
    passes: list[str] = []

    @workflow
    async def waiting(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.wait_for_event("e", "t", timeout=0.02)
        except StepTimeoutError as error:
            passes.append(f"{error.step_key} {type(error).__mro__[1].__name__} {error.error_type}")
        return (await ctx.step.wait_for_event("next", "t")).data

    async with engine(waiting) as polos:
        handle = await waiting.invoke(polos)
        await waits(polos, handle, "next")
    async with engine(waiting) as polos:
        await polos.publish("t", "late")
        assert await polos.result(handle.id, 10) == "late"
    assert passes == ["e StepExecutionError TimeoutError"] * 2


async def test_only_matching_events_count_and_true_is_not_one(engine: Engine) -> None:
    @workflow
    async def waiting(ctx: WorkflowContext) -> Any:
        event = await ctx.step.wait_for_event("e", "t", match={"ok": True, "order": {"id": 1}})
        return event.data["n"]

    async with engine(waiting) as polos:
        handle = await waiting.invoke(polos)
        for n, data in enumerate([
            {"ok": 1, "order": {"id": 1}}, {"ok": True}, {"ok": True, "order": {"id": 1, "x": 2}},
            {"ok": True, "order": {"id": 1}},
        ]):  # fmt: skip
            await polos.publish("t", {**data, "n": n})
        assert await handle.result(10) == 3


async def test_an_event_wait_that_cannot_be_is_refused(engine: Engine) -> None:
    @workflow
    async def odd(ctx: WorkflowContext) -> int:
        refused = 0
        for options in ({"topic": ""}, {"topic": "t", "timeout": 0}, {"topic": "t", "since": "then"},
                        {"topic": "t", "match": ["x"]}):  # fmt: skip
            try:
                ctx.step.wait_for_event("e", **options)  # type: ignore[arg-type]
            except UsageError:
                refused += 1
        try:
            ctx.step.publish_event("p", "workflow/mine", 1)
        except UsageError:
            refused += 1
        return refused

    async with engine(odd) as polos:
        assert await odd.run(polos, timeout=10) == 5


async def test_workflows_publish_to_each_other_and_once(engine: Engine) -> None:
    @workflow
    async def speaker(ctx: WorkflowContext) -> None:
        assert await ctx.step.publish_event("p", "news", {"n": 1}, "headline") is None
        await ctx.step.wait_for_event("go", "go")

    @workflow
    async def listener(ctx: WorkflowContext) -> Any:
        event = await ctx.step.wait_for_event("e", "news")
        return [event.event_type, event.data]

    async with engine(speaker, listener) as polos:
        heard = await listener.invoke(polos)
        spoken = await speaker.invoke(polos)
        assert await heard.result(10) == ["headline", {"n": 1}]
        await waits(polos, spoken, "go")
    async with engine(speaker, listener) as polos:
        await polos.publish("go")
        await polos.result(spoken.id, 10)
        from polos.ports import EventFilter

        assert len(await polos.access().read(lambda store: store.events(EventFilter(topic="news")))) == 1


async def test_a_workflows_own_event_can_be_waited_for_on_its_topic(engine: Engine) -> None:
    @workflow
    async def progress(ctx: WorkflowContext) -> Any:
        own = asyncio.create_task(
            ctx.step.wait_for_event("own", f"workflow/{ctx.root_workflow_id}/{ctx.root_execution_id}")
        )
        await ctx.step.run("a", int)
        await ctx.step.publish_workflow_event("p", {"percent": 50}, "progress")
        return (await own).data

    async with engine(progress) as polos:
        assert await progress.run(polos, timeout=10) == {"percent": 50}


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_suspend_shows_its_request_and_takes_the_first_answer(engine: Engine) -> None:
    @workflow
    async def asks(ctx: WorkflowContext) -> Any:
        answer = await ctx.step.suspend("ask", {"question": "Buy?"})
        await ctx.step.wait_for_event("go", "go")
        return answer.data

    async with engine(asks) as polos:
        handle = await asks.invoke(polos)
        await waits(polos, handle, "ask")
        (wait,) = await polos.access().read(lambda store: store.waits(handle.id))
        assert wait.request == '{"question":"Buy?"}'
        await polos.resume(handle, "ask", {"approved": False})
        with pytest.raises(AlreadyResumed):
            await polos.resume(handle, "ask", {"approved": True})
        await polos.publish("go")
        assert await handle.result(10) == {"approved": False}
        with pytest.raises(ExecutionEnded):
            await polos.resume(handle, "other", 1)


async def test_an_answer_before_the_suspend_is_used_by_it(engine: Engine) -> None:
    @workflow
    async def asks(ctx: WorkflowContext) -> Any:
        await ctx.step.wait_for_event("go", "go")
        return (await ctx.step.suspend("ask")).data

    async with engine(asks) as polos:
        handle = await asks.invoke(polos)
        await polos.resume(handle, "ask", "early")
        await polos.publish("go")
        assert await handle.result(10) == "early"


async def test_a_suspend_times_out(engine: Engine) -> None:
    @workflow
    async def asks(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.suspend("ask", timeout=0.02)
        except StepTimeoutError:
            return "nobody"
        return "somebody"

    async with engine(asks) as polos:
        handle = await asks.invoke(polos)
        assert await handle.result(10) == "nobody"
        assert await journal(polos, handle) == [("ask", "timed_out")]


async def test_a_workflow_answers_another(engine: Engine) -> None:
    @workflow
    async def asks(ctx: WorkflowContext) -> Any:
        return (await ctx.step.suspend("ask")).data

    @workflow
    async def answers(ctx: WorkflowContext, execution: str) -> str:
        await ctx.step.resume("one", execution, "ask", "from a workflow")
        try:
            await ctx.step.resume("two", execution, "ask", "again")
        except StepExecutionError as error:
            return error.error_type
        return "twice"

    async with engine(asks, answers) as polos:
        handle = await asks.invoke(polos)
        await waits(polos, handle, "ask")
        second = await answers.run(polos, handle.id, timeout=10)
        assert await handle.result(10) == "from a workflow"
    assert second in ("AlreadyResumed", "ExecutionEnded")


async def test_a_cancelled_wait_is_closed_and_its_execution_goes_on(engine: Engine) -> None:
    @workflow
    async def races(ctx: WorkflowContext) -> str:
        try:
            async with asyncio.timeout(0.02):
                await ctx.step.wait_for_event("never", "never")
        except TimeoutError:
            pass
        return (await ctx.step.wait_for_event("then", "then")).data

    async with engine(races) as polos:
        handle = await races.invoke(polos)
        await waits(polos, handle, "then")
        assert (await polos.publish("never")).woken == ()
    async with engine(races) as polos:
        await polos.publish("then", "on")
        assert await polos.result(handle.id, 10) == "on"
        await until(polos, handle, "completed")
