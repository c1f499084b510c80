"""Code that is changed on purpose under running executions: `ctx.step.patched` and earlier ids (api.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from polos import BatchEventPayload, DuplicateWorkflow, EventPayload, SchedulePayload, UsageError, WorkflowContext
from polos.authoring.registry import Registry
from polos.authoring.workflow import Workflow
from polos.testing import PolosEnv


def declared(fn: Callable[..., Any], id: str, **options: Any) -> Workflow:
    """A workflow that is in no registry."""
    return Workflow(fn, **{"id": id, "description": None, "run_timeout_seconds": None, **options})


def version(number: int) -> Workflow:
    """A flow of two waits; version 2 has a new way before each of them."""

    async def flow(ctx: WorkflowContext) -> list[str]:
        took = [await ctx.step.run("first", lambda: "first")]
        for stage in ("one", "two"):
            if number == 2 and await ctx.step.patched(f"new {stage}"):
                took.append(await ctx.step.run(f"new way {stage}", lambda stage=stage: f"new {stage}"))
            else:
                took.append(await ctx.step.run(f"old way {stage}", lambda stage=stage: f"old {stage}"))
            await ctx.step.wait_for_event(f"wait {stage}", topic="changing.go")
        return took

    return declared(flow, "changing.flow")


@pytest.mark.parametrize("restarts_each_time", [False, True])
def test_what_was_past_a_patch_goes_on_by_the_old_way_and_all_else_by_the_new_one(restarts_each_time: bool) -> None:
    with PolosEnv([version(1)]) as env:
        old = env.start("changing.flow")
        env.restart([version(2)])
        new = env.start("changing.flow")
        for _ in range(2):
            env.publish("changing.go")
            if restarts_each_time:
                env.restart([version(2)])
        assert new.result == ["first", "new one", "new two"]
        assert old.result == ["first", "old one", "new two"], "it came to the second patch with the new code"
        recorded = [one.key for one in env.call(lambda client: client.journal(old.id))]
        assert "new one" not in recorded and "new two" in recorded


def test_a_wait_that_is_open_is_past_too() -> None:
    def flow_of(number: int) -> Workflow:
        async def flow(ctx: WorkflowContext) -> str:
            if number == 2 and await ctx.step.patched("asks first"):
                await ctx.step.run("ask", str)
                way = "new"
            else:
                way = "old"
            await ctx.step.wait_for_event("go", topic="changing.open")
            return way

        return declared(flow, "changing.open")

    with PolosEnv([flow_of(1)]) as env:
        waiting = env.start("changing.open")
        env.restart([flow_of(2)])
        env.publish("changing.open")
        assert waiting.result == "old"


def test_patches_beside_each_other_are_told_one_by_one() -> None:
    def flow_of(number: int) -> Workflow:
        async def flow(ctx: WorkflowContext) -> list[str]:
            async def branch(name: str) -> str:
                await ctx.step.run(f"{name} 1", str)
                await ctx.step.wait_for_event(f"{name} go", topic=f"changing.{name}")
                is_new = number == 2 and await ctx.step.patched(f"{name} patch")
                return f"{name} {'new' if is_new else 'old'} {await ctx.step.run(f'{name} 2', str)}"

            return await asyncio.gather(branch("left"), branch("right"))

        return declared(flow, "changing.beside")

    with PolosEnv([flow_of(1)]) as env:
        first, second = env.start("changing.beside"), env.start("changing.beside")
        env.publish("changing.left")
        env.restart([flow_of(2)])
        env.publish("changing.right")
        for one in (first, second):
            assert one.result == ["left old ", "right new "]


# ── earlier ids ──────────────────────────────────────────────────────────────────────────────────────────


async def waits(ctx: WorkflowContext, input: dict[str, Any]) -> str:
    await ctx.step.wait_for_event("go", topic="renamed.go")
    return "done"


async def batched(ctx: WorkflowContext, batch: BatchEventPayload) -> list[Any]:
    return [event.data for event in batch.events]


async def single(ctx: WorkflowContext, event: EventPayload) -> Any:
    return event.data


async def daily(ctx: WorkflowContext, input: SchedulePayload) -> str | None:
    return input.last_timestamp.isoformat() if input.last_timestamp else None


def test_executions_of_an_earlier_id_go_on_and_their_keys_hold() -> None:
    with PolosEnv([declared(waits, "before")]) as env:
        old = env.start("before", {}, idempotency_key="k")
        env.restart([declared(waits, "after", aliases=["before"])])
        again = env.start("after", {}, idempotency_key="k")
        assert again.id == old.id, "a start that is repeated after a rename is still the same start"
        bare = env.start("before", {})
        assert bare.workflow_id == "after"
        env.publish("renamed.go")
        assert old.result == bare.result == "done"


def test_a_trigger_keeps_what_it_has_gathered() -> None:
    options = {"trigger_on_event": "renamed.e", "batch_size": 3}
    with PolosEnv([declared(batched, "before", **options)]) as env:
        for number in range(2):
            env.publish("renamed.e", number)
        env.restart([declared(batched, "after", aliases=["before"], **options)])
        env.publish("renamed.e", 2)
        (made,) = env.executions()
        assert (made.workflow_id, made.result) == ("after", [0, 1, 2])


def test_a_schedule_keeps_its_last_slot() -> None:
    schedule = "0 9 * * *"
    with PolosEnv([declared(daily, "before", schedule=schedule)]) as env:
        env.advance(days=1)
        env.restart([declared(daily, "after", schedule=schedule, aliases=["before"])])
        env.advance(days=1)
        assert [(one.workflow_id, one.result is None) for one in env.executions()] == [
            ("before", True), ("after", False)
        ]  # fmt: skip


def test_without_the_alias_they_are_others() -> None:
    with PolosEnv([declared(waits, "before")]) as env:
        old = env.start("before", {}, idempotency_key="k")
        env.restart([declared(waits, "after")])
        assert env.start("after", {}, idempotency_key="k").id != old.id
        env.publish("renamed.go")
        assert old.status == "queued"


@pytest.mark.parametrize("aliases", ["before", [""], ["a b"], [3]])
def test_what_cannot_be_an_alias_is_refused(aliases: Any) -> None:
    with pytest.raises(UsageError, match="earlier ids"):
        declared(waits, "after", aliases=aliases)


@pytest.mark.parametrize(
    "second",
    [lambda: declared(single, "before"), lambda: declared(single, "x", aliases=["before"]),
     lambda: declared(single, "x", aliases=["after"])],
)  # fmt: skip
def test_an_alias_is_of_one_workflow(second: Callable[[], Workflow]) -> None:
    registry = Registry([declared(waits, "after", aliases=["before"])])
    with pytest.raises(DuplicateWorkflow, match="alias"):
        registry.add(second())
