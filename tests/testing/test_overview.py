"""Schedules, triggers, control flow and approvals, as the overview of the system writes them."""

# ruff: noqa: RET503, RET504 (it is written as a user writes it)

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from polos import EventPayload, SchedulePayload, WorkflowContext, workflow
from polos.authoring.registry import REGISTRY
from polos.testing import PolosEnv, assert_steps

done: list[Any] = []


async def fetch_data() -> dict[str, int]:
    return {"visits": 3}


def generate_report(data: dict[str, int]) -> str:
    return f"{data['visits']} visits"


def send_email(report: str) -> None:
    done.append(report)


@workflow(schedule="0 9 * * *")  # Daily at 9am
async def daily_report(ctx: WorkflowContext, input: SchedulePayload):  # type: ignore[no-untyped-def]
    data = await ctx.step.run("fetch", fetch_data)
    report = await ctx.step.run("generate", generate_report, data)
    await ctx.step.run("send", send_email, report)


def send_welcome_email(user_id: int) -> None:
    done.append(f"welcome {user_id}")


async def create_sample_data(user_id: int) -> None:
    done.append(f"samples for {user_id}")


@workflow(trigger_on_event="user.signup")
async def onboard_user(ctx: WorkflowContext, event: EventPayload):  # type: ignore[no-untyped-def]
    user_id = event.data["user_id"]
    await ctx.step.run("welcome", send_welcome_email, user_id)
    await ctx.step.run("setup", create_sample_data, user_id)


class Item(BaseModel):
    id: int


class ConditionalWorkflowInput(BaseModel):
    amount: int
    items: list[Item]


def process_high_value(input: ConditionalWorkflowInput) -> str:
    return "high"


def process_standard(input: ConditionalWorkflowInput) -> str:
    return "standard"


async def process_item(item: Item) -> int:
    return item.id


async def task_a(input: ConditionalWorkflowInput) -> str:
    return "a"


def task_b(input: ConditionalWorkflowInput) -> str:
    return "b"


def task_c(input: ConditionalWorkflowInput) -> str:
    return "c"


@workflow
async def conditional_workflow(ctx: WorkflowContext, input: ConditionalWorkflowInput):  # type: ignore[no-untyped-def]
    # Conditionals
    if input.amount > 1000:
        await ctx.step.run("high_value", process_high_value, input)
    else:
        await ctx.step.run("standard", process_standard, input)

    # Loops
    for item in input.items:
        await ctx.step.run(f"process_{item.id}", process_item, item)

    # Parallel execution
    results = await asyncio.gather(
        ctx.step.run("task_a", task_a, input),
        ctx.step.run("task_b", task_b, input),
        ctx.step.run("task_c", task_c, input),
    )

    return results


class ApprovalWorkflowInput(BaseModel):
    what: str


def process_request(input: ApprovalWorkflowInput) -> dict[str, str]:
    return {"request": input.what}


def execute_action(request: dict[str, str]) -> str:
    return f"done: {request['request']}"


@workflow
async def approval_workflow(ctx: WorkflowContext, input: ApprovalWorkflowInput):  # type: ignore[no-untyped-def]
    # Process request
    request = await ctx.step.run("process", process_request, input)

    # Wait for approval event
    approval = await ctx.step.wait_for_event("wait_approval", topic="approval.response")

    if approval.data["approved"]:
        result = await ctx.step.run("execute", execute_action, request)
        return result


OURS = (daily_report, onboard_user, conditional_workflow, approval_workflow)
for one in OURS:
    REGISTRY._by_id.pop(one.id)  # they belong to this page's tests, not to every engine of this process


def test_the_schedule() -> None:
    done.clear()
    with PolosEnv(OURS) as env:
        env.advance(days=2)
        assert [one.steps for one in env.executions()] == [["fetch", "generate", "send"]] * 2
        assert done == ["3 visits"] * 2


def test_the_trigger() -> None:
    done.clear()
    with PolosEnv(OURS) as env:
        published = env.publish("user.signup", {"user_id": 7})
        assert len(published.started) == 1
        assert env.execution("last:onboard_user").status == "completed"
        assert done == ["welcome 7", "samples for 7"]


def test_the_control_flow() -> None:
    with PolosEnv(OURS) as env:
        for amount, first in ((2000, "high_value"), (10, "standard")):
            execution = env.start(conditional_workflow, {"amount": amount, "items": [{"id": 1}, {"id": 2}]})
            assert execution.result == ["a", "b", "c"]
            assert execution.steps[:3] == [first, "process_1", "process_2"]


def test_the_approval() -> None:
    with PolosEnv(OURS) as env:
        yes, no = (env.start(approval_workflow, {"what": what}) for what in ("a", "b"))
        env.restart()
        assert no.waiting_for == ["wait_approval"]
        env.publish("approval.response", {"approved": True})
        assert (yes.result, no.result) == ("done: a", "done: b"), "one event wakes all that wait for it"
        assert_steps(yes, ["process", "wait_approval", "execute"])
        refused = env.start(approval_workflow, {"what": "c"})
        env.publish("approval.response", {"approved": False})
        assert refused.result is None
