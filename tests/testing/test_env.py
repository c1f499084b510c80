"""`polos.testing`, as users' tests use it: three days in milliseconds, mocks, crashes, restarts."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polos import (
    ExecutionCancelled,
    ExecutionFailed,
    SchedulePayload,
    StepTimeoutError,
    UsageError,
    WorkflowContext,
    WorkflowState,
    current_step,
    workflow,
)
from polos.testing import PolosEnv, Stuck, assert_steps


@workflow(id="testing.order")
async def order(ctx: WorkflowContext, input: dict[str, Any]) -> dict[str, Any]:
    total = await ctx.step.run("validate", lambda: input["n"] * 2)
    charged = await ctx.step.run("charge", charge, total)
    await ctx.step.wait_for("cool-off", days=3)
    return {"total": total, "charged": charged}


def charge(total: int) -> str:
    return f"really charged {total}"


@workflow(id="testing.reminded")
async def reminded(ctx: WorkflowContext) -> list[str]:
    sent: list[str] = []
    for day in range(3):
        try:
            await ctx.step.wait_for_event(f"answer-{day}", "testing.answer", timeout=24 * 3600)
            break
        except StepTimeoutError:
            sent.append(await ctx.step.run(f"remind-{day}", lambda: "reminded"))
    return sent


@pytest.fixture
def env(polos_env: PolosEnv) -> PolosEnv:
    return polos_env


def test_a_wait_of_three_days_takes_no_time(env: PolosEnv) -> None:
    began, before = time.monotonic(), env.now
    assert env.run(order, {"n": 2}) == {"total": 4, "charged": "really charged 4"}
    assert env.run(reminded) == ["reminded"] * 3
    assert env.now - before == timedelta(days=6)
    assert time.monotonic() - began < 5  # far beyond what it takes: see the benchmark for figures


def test_time_stands_still_until_it_is_let_pass(env: PolosEnv) -> None:
    execution = env.start(order, {"n": 1})
    assert (execution.status, execution.waiting_for) == ("waiting", ["cool-off"])
    assert_steps(execution, ["validate", "charge"])
    env.advance(days=2, hours=23)
    assert execution.status == "waiting"
    env.advance(hours=1)
    assert (execution.status, execution.result["total"]) == ("completed", 2)
    assert execution.ended_at == env.now == datetime(2030, 1, 4, tzinfo=UTC)


def test_a_mock_stands_in_for_a_body(env: PolosEnv) -> None:
    mock = env.mock_step("charge", "mocked")
    assert env.run(order, {"n": 1})["charged"] == "mocked"
    assert mock.calls == 1 and env.bodies_run("validate") == 1
    env.mock_step("charge", lambda total: total + 1)
    assert env.run(order, {"n": 1})["charged"] == 3


def test_a_mock_that_raises_for_a_while(env: PolosEnv) -> None:
    env.mock_step("charge", ConnectionError("down"), times=2)
    execution = env.start(order, {"n": 1})
    assert execution.status == "running"
    assert env.finish(execution)["charged"] == "really charged 2"
    assert [one.failure.message for one in execution.attempts] == ["down", "down"]
    env.mock_step("charge", ConnectionError)
    with pytest.raises(ExecutionFailed, match="ConnectionError"):
        env.run(order, {"n": 1})


@pytest.mark.parametrize(("when", "bodies"), [("before_body", 1), ("after_body", 2), ("after_record", 1)])
def test_a_crash_at_a_step(env: PolosEnv, when: str, bodies: int) -> None:
    env.crash_at("charge", when=when)
    assert env.run(order, {"n": 1}) == {"total": 2, "charged": "really charged 2"}
    assert (env.bodies_run("validate"), env.bodies_run("charge")) == (1, bodies)
    execution = env.execution()
    assert_steps(execution, ["validate", "charge", "cool-off"])


def test_crashes_again_and_again_end_in_a_crash_loop(env: PolosEnv) -> None:
    env.crash_at("charge", times=9)
    execution = env.start(order, {"n": 1})
    assert execution.status == "blocked" and "crash_loop" in (execution.error or "")
    assert "brought its process down" in execution.explain()


def test_a_restart_replays(env: PolosEnv) -> None:
    execution = env.start(order, {"n": 1})
    env.restart()
    env.advance(days=3)
    assert execution.status == "completed" and env.bodies_run("charge") == 1


def test_a_restart_with_other_code(env: PolosEnv) -> None:
    execution = env.start(order, {"n": 1})

    @workflow(id="testing.order")
    async def renamed(ctx: WorkflowContext, input: dict[str, Any]) -> Any:
        await ctx.step.run("check", lambda: 1)

    try:
        env.restart([renamed])
        env.advance(days=3)
        assert execution.status == "blocked" and "'validate'" in (execution.error or "")
    finally:
        from polos.authoring.registry import REGISTRY

        REGISTRY._by_id["testing.order"] = order


@workflow(id="testing.approval")
async def approval(ctx: WorkflowContext) -> Any:
    answer = await ctx.step.suspend("ask", {"question": "ok?"})
    event = await ctx.step.wait_for_event("paid", "testing.paid", match={"n": 1})
    return [answer.data, event.data]


def test_events_and_answers_are_given_by_the_test(env: PolosEnv) -> None:
    execution = env.start(approval)
    env.publish("testing.paid", {"n": 2})
    env.resume(execution, "ask", {"approved": True})
    assert execution.waiting_for == ["paid"]
    published = env.publish("testing.paid", {"n": 1})
    assert published.woken == (execution.number,)
    assert execution.result == [{"approved": True}, {"n": 1}]


def test_one_that_does_not_go_on_by_itself_says_why(env: PolosEnv) -> None:
    with pytest.raises(Stuck, match="'ask' asks for an answer"):
        env.run(approval)
    execution = env.execution()
    with pytest.raises(UsageError, match="no result yet"):
        execution.result
    env.cancel(execution)
    with pytest.raises(ExecutionCancelled):
        execution.result


@workflow(id="testing.daily", schedule="0 9 * * *")
async def daily(ctx: WorkflowContext, input: SchedulePayload) -> str:
    return await ctx.step.run("report", input.timestamp.isoformat)


def test_schedules_fire_as_time_is_let_pass(env: PolosEnv) -> None:
    env.start(order, {"n": 1})
    env.advance(days=3)
    assert [one.result for one in env.executions(daily)] == [f"2030-01-0{day}T09:00:00+00:00" for day in (1, 2, 3)]
    assert env.run(order, {"n": 1})["total"] == 2
    assert len(env.executions(daily)) == 3, "a run lets no schedule fire"


class Count(WorkflowState):
    seen: int = 0


@workflow(id="testing.counts", trigger_on_event="testing.tick", state_schema=Count)
async def counts(ctx: WorkflowContext, event: Any) -> int:
    ctx.state.seen += 1
    print("seen", event.data)
    await ctx.step.run("note", lambda: None)
    return int(ctx.state.seen)


def test_triggers_state_and_logs(env: PolosEnv) -> None:
    env.publish("testing.tick", 7)
    (execution,) = env.executions(counts)
    assert (execution.result, execution.state, execution.logs) == (1, Count(seen=1), ["seen 7"])


@workflow(id="testing.slow")
async def slow(ctx: WorkflowContext) -> str:
    def body() -> str:
        time.sleep(0.05)
        return "in a thread"

    async def timer() -> str:
        await asyncio.sleep(3600)
        return "an hour later"

    async with asyncio.timeout(10):
        first = await ctx.step.run("thread", body)
    second = await ctx.step.run("timer", timer)
    info = await ctx.step.run("info", lambda: current_step().attempt)  # type: ignore[union-attr]
    return f"{first}, {second}, {info}"


def test_real_work_passes_real_time_and_timers_none(env: PolosEnv) -> None:
    assert env.run(slow) == "in a thread, an hour later, 1"
    assert timedelta(hours=1) <= env.now - datetime(2030, 1, 1, tzinfo=UTC) < timedelta(hours=1, seconds=5)


async def _inside(env: PolosEnv) -> Any:
    return env.run(order, {"n": 3})


def test_it_works_inside_a_running_loop(env: PolosEnv) -> None:
    assert asyncio.run(_inside(env))["total"] == 6


def test_mistakes_are_said(env: PolosEnv) -> None:
    with pytest.raises(UsageError, match="before_body"):
        env.crash_at("charge", when="sometime")
    with pytest.raises(UsageError, match="past"):
        env.advance(to=datetime(2029, 1, 1))
    with pytest.raises(UsageError, match="longer than zero"):
        env.advance()
    execution = env.start(order, {"n": 1})
    with pytest.raises(AssertionError, match=r"missing:.*'ship'"):
        assert_steps(execution, ["validate", "charge", "ship"])
    with pytest.raises(AssertionError, match="order only"):
        assert_steps(execution, ["charge", "validate"])
    assert_steps(execution, ["charge", "validate"], in_any_order=True)


def test_without_the_fixture() -> None:
    with PolosEnv([order], start=datetime(2027, 3, 1)) as env:
        assert env.now == datetime(2027, 3, 1, tzinfo=UTC)
        assert env.run(order, {"n": 1})["total"] == 2
        path = env._path
    assert not path.exists()
    with pytest.raises(UsageError, match="closed"):
        env.run(order, {"n": 1})
