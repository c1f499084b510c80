"""Workflows that events start, as users write them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from polos import BatchEventPayload, EventPayload, InvalidInput, UsageError, Workflow, WorkflowContext, workflow
from tests.engine.conftest import Engine


@workflow(trigger_on_event="engine.signup")
async def greets(ctx: WorkflowContext, event: EventPayload) -> list[Any]:
    return [event.topic, event.event_type, event.data["user"], event.created_at.tzinfo is not None]


@workflow(trigger_on_event="engine.untyped.*")
async def untyped(ctx: WorkflowContext, event) -> Any:  # type: ignore[no-untyped-def]
    return event.data if isinstance(event, EventPayload) else event


@workflow(trigger_on_event="engine.mapped")
async def mapped(ctx: WorkflowContext, event: dict[str, Any]) -> Any:
    return event["data"]


@workflow(trigger_on_event="engine.many", batch_size=2)
async def batches(ctx: WorkflowContext, batch: BatchEventPayload) -> list[Any]:
    return [event.data for event in batch.events]


@workflow(trigger_on_event="engine.aged", batch_timeout_seconds=0.05)
async def aged(ctx: WorkflowContext, batch: BatchEventPayload) -> int:
    return len(batch.events)


async def result_of(polos: Any, of: Workflow) -> Any:
    async with asyncio.timeout(15):
        while not (found := await polos.list(workflow=of, limit=1)):
            await asyncio.sleep(0.002)
    return await polos.result(found[0], 10)


async def test_an_event_starts_its_workflow(engine: Engine) -> None:
    async with engine(greets, untyped, mapped) as polos:
        done = await polos.publish("engine.signup", {"user": "Ada"}, event_type="new")
        assert len(done.started) == 1
        assert await result_of(polos, greets) == ["engine.signup", "new", "Ada", True]
        await polos.publish("engine.untyped.x", {"a": (1, 2)})
        assert await result_of(polos, untyped) == {"a": (1, 2)}
        await polos.publish("engine.mapped", 7)
        assert await result_of(polos, mapped) == 7


async def test_events_while_nothing_runs_start_what_runs_later(engine: Engine, url: str) -> None:
    from polos import PolosClient

    async with engine(greets):
        pass
    async with PolosClient(url) as client:
        await client.publish("engine.signup", {"user": "Bob"})
    async with engine(greets) as polos:
        assert await result_of(polos, greets) == ["engine.signup", None, "Bob", True]


async def test_batches_start_by_size_and_by_age(engine: Engine) -> None:
    async with engine(batches, aged) as polos:
        await polos.publish("engine.many", 1)
        done = await polos.publish("engine.many", 2)
        assert len(done.started) == 1
        assert await result_of(polos, batches) == [1, 2]
        await polos.publish("engine.aged", 1)
        assert await result_of(polos, aged) in (1, 2)


async def test_a_triggered_workflow_can_be_started_by_hand(engine: Engine) -> None:
    async with engine(greets, untyped, batches) as polos:
        assert await greets.run(polos, {"data": {"user": "Eve"}, "topic": "x"}) == ["x", None, "Eve", True]
        assert await untyped.run(polos, {"data": 5}) == {"data": 5}
        assert await batches.run(polos, {"events": [{"data": 1}]}) == [1]
        for wrong in (None, {"user": 1}, {"data": 1, "more": 2}, 7):
            with pytest.raises(InvalidInput, match="no event"):
                await greets.invoke(polos, wrong)


@pytest.mark.parametrize(
    "options",
    [
        {"trigger_on_event": ""}, {"trigger_on_event": "a*b"}, {"trigger_on_event": 7},
        {"trigger_on_event": "workflow/x"}, {"trigger_on_event": "a", "batch_size": 0}, {"batch_size": 3},
        {"trigger_on_event": "a", "batch_timeout_seconds": 0}, {"trigger_on_event": "a", "batch_size": 1001},
    ],
)  # fmt: skip
def test_what_cannot_trigger_is_refused_when_declared(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):

        @workflow(id="refused", **options)
        async def refused(ctx: WorkflowContext, event: EventPayload) -> None: ...
