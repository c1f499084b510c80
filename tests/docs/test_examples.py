"""One workflow of each shape that people write, in the words of a bakery, each run for real on a database of its own."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from polos import (
    BatchWorkflowInput,
    ChildFailed,
    ExecutionHandle,
    Polos,
    PolosClient,
    StepTimeoutError,
    WorkflowContext,
    batch_invoke,
    events,
    workflow,
)


class Cake(BaseModel):
    name: str
    tiers: int = 1


class CakeOrder(BaseModel):
    customer: str
    cakes: list[Cake]
    budget: float = 0


class Receipt(BaseModel):
    customer: str
    total: float


def price(order: CakeOrder) -> Receipt:
    return Receipt(customer=order.customer, total=10.0 * sum(cake.tiers for cake in order.cakes))


async def take_payment(receipt: Receipt) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"paid": receipt.total, "by": receipt.customer}


def bake(cake: Cake) -> str:
    return f"{cake.name} of {cake.tiers}"


def shout(word: Any) -> str:
    return str(word).upper()


async def length(word: Any) -> int:
    return len(word)


@workflow
async def bakery_untyped(ctx, recipe):  # type: ignore[no-untyped-def]  # the shape of people who write no types
    """A payload without a type, and steps one after another."""
    loud = await ctx.step.run("shout", shout, recipe["name"])
    letters = await ctx.step.run("length", length, loud)
    again = await ctx.step.run("repeat", lambda text, times: text * times, loud, times=2)
    return {"loud": loud, "letters": letters, "again": again}


@workflow
async def bakery_facts(ctx: WorkflowContext, input: dict):  # type: ignore[no-untyped-def, type-arg]  # as people write it
    """A `dict` payload, and what the context knows; returns nothing of its own but facts."""
    await ctx.step.run("look", shout, input.get("note", ""))
    return {
        "ids": [
            ctx.execution_id,
            ctx.workflow_id,
            ctx.root_execution_id,
            ctx.root_workflow_id,
            ctx.parent_execution_id,
        ],
        "who": [ctx.user_id, ctx.session_id],
        "number": ctx.number,
        "created_at": ctx.created_at,
        "started_at": ctx.started_at,
        "retry_count": ctx.retry_count,
    }


@workflow
async def bakery_order(ctx: WorkflowContext, input: CakeOrder) -> Receipt:
    """A model in, models between the steps, a model out."""
    receipt = await ctx.step.run("price", price, input)
    await ctx.step.run("pay", take_payment, receipt)
    return receipt


@workflow
async def bakery_kitchen(ctx: WorkflowContext, input: CakeOrder) -> dict[str, Any]:
    """If and else, a loop whose keys carry the loop's variable, and branches side by side."""
    if input.budget > 100:
        service = await ctx.step.run("silver", shout, "silver spoons")
    else:
        service = await ctx.step.run("paper", shout, "paper plates")
    baked = []
    for cake in input.cakes:
        baked.append(await ctx.step.run(f"bake-{cake.name}", bake, cake))
    sides = await asyncio.gather(
        ctx.step.run("tea", shout, "tea"),
        ctx.step.run("count", length, baked),
        ctx.step.run("echo", lambda order: order, input),
    )
    return {"service": service, "baked": baked, "sides": sides}


@workflow
async def bakery_nothing(ctx: WorkflowContext) -> None:
    """No payload, a wait, no result."""
    await ctx.step.wait_for("rise", seconds=0.001)
    await ctx.step.wait_until("cool", ctx.created_at + timedelta(milliseconds=2))


@workflow
async def bakery_approval(ctx: WorkflowContext, input: CakeOrder) -> str | None:
    """Waits for an event that is about this order."""
    approval = await ctx.step.wait_for_event("tasting", topic="bakery.tasted", match={"customer": input.customer})
    if approval.data["liked"]:
        return await ctx.step.run("thank", shout, approval.data["by"])
    return None


@workflow
async def bakery_hurry(ctx: WorkflowContext) -> str:
    """A wait for an event that gives up."""
    try:
        await ctx.step.wait_for_event("tasting", topic="bakery.never", timeout=0.01)
    except StepTimeoutError as error:
        return error.step_key
    return "in time"


@workflow
async def bakery_question(ctx: WorkflowContext, cake: Cake) -> bool:
    """Asks a person."""
    answer = await ctx.step.suspend("candles", data={"question": f"Candles on the {cake.name}?"})
    return bool(answer["data"]["yes"])


@workflow
async def bakery_oven(ctx: WorkflowContext, input: dict) -> dict:  # type: ignore[type-arg]  # as people write it
    """A child."""
    if input.get("burn"):
        raise ValueError(f"{input['cake']} is burnt")
    return {"baked": input["cake"], "for": ctx.user_id, "parent": ctx.parent_execution_id}


@workflow
async def bakery_chain(ctx: WorkflowContext, input: CakeOrder) -> dict[str, Any]:
    """A parent: one child awaited, one fired and forgotten, one fired and awaited later, one that fails."""
    first = await ctx.step.invoke_and_wait("first", bakery_oven, {"cake": input.cakes[0].name})
    forgotten = await ctx.step.invoke("forgotten", "bakery_oven", {"cake": "bun"})
    later = await ctx.step.invoke("later", bakery_oven, {"cake": "roll"})
    roll = await ctx.step.result("roll", later)
    try:
        await ctx.step.invoke_and_wait("burnt", bakery_oven, {"cake": "tart", "burn": True})
    except ChildFailed as error:
        failure = f"{error.error_type}: {error.__cause__}"
    return {"first": first, "forgotten": forgotten.id, "roll": roll, "failure": failure}


@workflow
async def bakery_shift(ctx: WorkflowContext) -> dict[str, Any]:
    """Many children at once, both ways."""
    ended = await ctx.step.batch_invoke_and_wait(
        "morning",
        [
            BatchWorkflowInput(id="bakery_oven", payload={"cake": "bread"}),
            BatchWorkflowInput(id="bakery_oven", payload={"cake": "ash", "burn": True}),
        ],
    )
    handles = await ctx.step.batch_invoke(
        "evening", [BatchWorkflowInput(id="bakery_oven", payload={"cake": f"bun {n}"}) for n in range(3)]
    )
    evening = await asyncio.gather(*(ctx.step.result(f"bun-{n}", handle) for n, handle in enumerate(handles)))
    return {
        "morning": [(one.workflow_id, one.success, one.result and one.result["baked"], one.error) for one in ended],
        "evening": [one["baked"] for one in evening],
    }


@workflow
async def bakery_bell(ctx: WorkflowContext, topic: str) -> list[Any]:
    """Values made once, an event published once and taken by the same execution, a span."""
    with ctx.step.trace("ring"):
        made = [await ctx.step.uuid("id"), await ctx.step.now("now"), await ctx.step.random("chance")]
        await ctx.step.publish_event("ring", topic, {"rung": True}, event_type="bell")
    heard = await ctx.step.wait_for_event("hear", topic)
    return [*made, heard.event_type, heard.data]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("POLOS_DURABILITY", "relaxed")  # power cuts are the crash tests' matter
    return f"sqlite:///{tmp_path}/bakery.db"


async def result_of(database: str, flow: Any, payload: Any = None, **options: Any) -> Any:
    async with Polos(database, echo=False) as polos:
        return await flow.run(polos, payload, timeout=20, **options)


ORDER = {"customer": "Ida", "cakes": [{"name": "plum", "tiers": 2}, {"name": "nut"}]}


def test_an_untyped_payload_goes_through_sync_async_and_lambda_steps(database: str) -> None:
    result = asyncio.run(result_of(database, bakery_untyped, {"name": "rye"}))
    assert result == {"loud": "RYE", "letters": 3, "again": "RYERYE"}


def test_a_dict_payload_may_be_left_out_and_the_context_knows_the_execution(database: str) -> None:
    facts = asyncio.run(result_of(database, bakery_facts, user_id="u-1", session_id="s-1"))
    execution, name, root, root_name, parent = facts["ids"]
    assert (name, root, root_name, parent) == ("bakery_facts", execution, "bakery_facts", None)
    assert facts["who"] == ["u-1", "s-1"]
    assert (facts["number"], facts["retry_count"]) == (1, 0)
    created, started = facts["created_at"], facts["started_at"]
    assert isinstance(created, datetime)
    assert created.utcoffset() == timedelta(0)
    assert started >= created


@pytest.mark.parametrize("payload", [ORDER, CakeOrder.model_validate(ORDER)], ids=["dict", "model"])
def test_models_go_in_between_and_out(database: str, payload: Any) -> None:
    assert asyncio.run(result_of(database, bakery_order, payload)) == Receipt(customer="Ida", total=30)


@pytest.mark.parametrize(("budget", "service"), [(500, "SILVER SPOONS"), (5, "PAPER PLATES")])
def test_branches_loops_and_gather_are_plain_python(database: str, budget: int, service: str) -> None:
    result = asyncio.run(result_of(database, bakery_kitchen, ORDER | {"budget": budget}))
    assert result["service"] == service
    assert result["baked"] == ["plum of 2", "nut of 1"]
    assert result["sides"] == ["TEA", 2, CakeOrder.model_validate(ORDER | {"budget": budget})]


def test_waits_end_and_no_result_is_none(database: str) -> None:
    assert asyncio.run(result_of(database, bakery_nothing)) is None


@pytest.mark.parametrize(("liked", "result"), [(True, "CHEF"), (False, None)])
def test_an_event_wakes_the_execution_that_it_matches(database: str, liked: bool, result: str | None) -> None:
    async def scenario() -> Any:
        async with Polos(database, echo=False) as polos:
            handle = await bakery_approval.invoke(polos, ORDER)
            await polos.publish("bakery.tasted", {"customer": "another", "liked": True, "by": "nobody"})
            published = await events.publish(
                polos, "bakery.tasted", events.EventData(data={"customer": "Ida", "liked": liked, "by": "chef"})
            )
            assert published.sequence == 2
            return await handle.result(timeout=20)

    assert asyncio.run(scenario()) == result


def test_a_wait_for_an_event_gives_up_at_its_timeout(database: str) -> None:
    assert asyncio.run(result_of(database, bakery_hurry)) == "tasting"


@pytest.mark.parametrize("yes", [True, False])
def test_a_question_is_answered_by_a_client(database: str, yes: bool) -> None:
    async def scenario() -> Any:
        async with Polos(database, echo=False) as polos:
            handle = await bakery_question.invoke(polos, Cake(name="plum"))
            await polos.resume(handle, "candles", {"yes": yes})
            return await handle.result(timeout=20)

    assert asyncio.run(scenario()) is yes


def test_children_are_awaited_forgotten_and_fail_by_name(database: str) -> None:
    async def scenario() -> tuple[dict[str, Any], Any]:
        async with Polos(database, echo=False) as polos:
            handle = await bakery_chain.invoke(polos, ORDER, user_id="u-1")
            result = await handle.result(timeout=20)
            assert result["first"]["parent"] == handle.id
            return result, await polos.result(result["forgotten"], timeout=20)

    result, forgotten = asyncio.run(scenario())
    assert (result["first"]["baked"], result["first"]["for"]) == ("plum", "u-1")
    assert result["roll"]["baked"] == "roll"
    assert result["failure"] == "ValueError: ValueError: tart is burnt"
    assert forgotten["baked"] == "bun"


def test_batches_of_children_keep_their_order_and_raise_for_none(database: str) -> None:
    result = asyncio.run(result_of(database, bakery_shift))
    assert result["morning"] == [
        ("bakery_oven", True, "bread", None),
        ("bakery_oven", False, None, "ValueError: ash is burnt"),
    ]
    assert result["evening"] == ["bun 0", "bun 1", "bun 2"]


def test_values_are_made_once_and_an_execution_hears_its_own_event(database: str) -> None:
    id_, now, chance, kind, data = asyncio.run(result_of(database, bakery_bell, "bakery.bell"))
    assert len(id_) == 36
    assert now > 1_600_000_000_000
    assert 0 <= chance < 1
    assert (kind, data) == ("bell", {"rung": True})


def test_a_client_starts_many_by_id_all_or_none(database: str) -> None:
    async def scenario() -> list[Any]:
        async with Polos(database, echo=False):
            client = PolosClient(database)
            wanted = [BatchWorkflowInput(id="bakery_oven", payload={"cake": f"cake {n}"}) for n in range(3)]
            handles: list[ExecutionHandle] = await client.batch_invoke(wanted)
            handles += await batch_invoke(client, wanted[:1])
            return [(await handle.result(timeout=20))["baked"] for handle in handles]

    assert asyncio.run(scenario()) == ["cake 0", "cake 1", "cake 2", "cake 0"]


def test_a_client_can_follow_an_execution_to_its_end(database: str) -> None:
    async def scenario() -> list[str]:
        async with Polos(database, echo=False) as polos:
            handle = await bakery_order.invoke(polos, ORDER)
            followed: AsyncIterator[Any] = handle.events()
            return [event.event_type async for event in followed]

    told = asyncio.run(scenario())
    assert (told[0], told[-1]) == ("workflow_start", "workflow_finish")
    assert told.count("step_finish") == 2


def test_the_file_holds_the_result_after_the_process_that_made_it(database: str) -> None:
    asyncio.run(result_of(database, bakery_order, ORDER))

    async def look() -> tuple[Any, list[str]]:
        client = PolosClient(database)
        try:
            return await client.result("last", timeout=1), [
                entry.key for entry in await client.journal("last:bakery_order")
            ]
        finally:
            await client.close()

    assert asyncio.run(look()) == (Receipt(customer="Ida", total=30), ["price", "pay"])
