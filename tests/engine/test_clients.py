"""Clients: starting, following, answering, from wherever programs are (api.md, Clients)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from polos import (
    BatchWorkflowInput,
    ExecutionFailed,
    IdempotencyConflict,
    InvalidInput,
    NoEngine,
    NoProject,
    Polos,
    PolosClient,
    ResultTimeout,
    UnknownExecution,
    UnknownWorkflow,
    UsageError,
    WorkflowContext,
    batch_invoke,
    events,
    workflow,
)
from polos.core.status import Status
from tests.engine.conftest import Engine
from tests.engine.looks import waits


class Order(BaseModel):
    id: int
    note: str = ""


@workflow(id="engine-tests.order")
async def order(ctx: WorkflowContext, order: Order) -> Order:
    return await ctx.step.run("same", lambda: order)


@workflow(id="engine-tests.waits")
async def waiting(ctx: WorkflowContext) -> Any:
    return (await ctx.step.wait_for_event("e", "go")).data


# ── starting ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_result_comes_back_as_its_type(engine: Engine) -> None:
    async with engine(order) as polos:
        result = await order.run(polos, {"id": 1}, timeout=10)
        assert isinstance(result, Order) and result.id == 1
        assert (await order.run(polos, Order(id=2, note="x"), timeout=10)).note == "x"


async def test_a_wrong_payload_is_refused_with_every_field_and_nothing_is_stored(engine: Engine) -> None:
    async with engine(order) as polos:
        with pytest.raises(InvalidInput) as refused:
            await order.invoke(polos, {"id": "one", "note": 5})
        assert [path for path, _ in refused.value.errors] == ["id", "note"]
        with pytest.raises(InvalidInput):
            await waiting.invoke(polos, {"unexpected": 1})
        assert await polos.list() == []


async def test_an_idempotency_key_gives_back_the_execution_or_conflicts(engine: Engine) -> None:
    async with engine(order) as polos:
        first = await order.invoke(polos, {"id": 1}, idempotency_key="k")
        again = await order.invoke(polos, Order(id=1), idempotency_key="k")
        assert (again.id, again.number) == (first.id, first.number)
        with pytest.raises(IdempotencyConflict):
            await order.invoke(polos, {"id": 2}, idempotency_key="k")


async def test_a_batch_starts_all_or_none(engine: Engine) -> None:
    async with engine(order) as polos:
        handles = await batch_invoke(polos, [BatchWorkflowInput(id=order.id, payload={"id": n}) for n in range(3)])
        assert [(await handle.result(10)).id for handle in handles] == [0, 1, 2]
        with pytest.raises(InvalidInput):
            await polos.batch_invoke(
                [BatchWorkflowInput(id=order.id, payload={"id": 1}), BatchWorkflowInput(id=order.id, payload={})]
            )
        assert len(await polos.list()) == 3


async def test_a_delayed_start_waits_its_time(engine: Engine) -> None:
    async with engine(order) as polos:
        handle = await order.invoke(polos, {"id": 1}, delay=0.1)
        assert (await handle.get()).status is Status.QUEUED
        await handle.result(10)
        found = await handle.get()
        assert found.started_at is not None and found.started_at - found.created_at >= 100_000
        with pytest.raises(UsageError):
            await order.invoke(polos, {"id": 1}, delay=-1)


async def test_an_id_that_no_manifest_knows_is_refused_with_a_suggestion(engine: Engine) -> None:
    async with engine(order) as polos:
        while not await polos.access().read(lambda store: store.workers()):
            await asyncio.sleep(0)
        with pytest.raises(UnknownWorkflow, match=r"did you mean 'engine-tests\.order'"):
            await polos.invoke("engine-tests.ordr", {"id": 1})


# ── results ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_timeout_ends_the_waiting_and_not_the_execution(engine: Engine) -> None:
    async with engine(waiting) as polos:
        handle = await waiting.invoke(polos)
        with pytest.raises(ResultTimeout, match="still"):
            await handle.result(0.02)
        with pytest.raises(ResultTimeout):
            await waiting.run(polos, timeout=0.02)
        await polos.publish("go", 5)
        assert await handle.result(10) == 5


async def test_a_cancelled_wait_for_a_result_leaves_the_execution(engine: Engine) -> None:
    async with engine(waiting) as polos:
        handle = await waiting.invoke(polos)
        task = asyncio.create_task(handle.result())
        await waits(polos, handle, "e")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await polos.publish("go", 1)
        assert await handle.result(10) == 1


async def test_an_execution_is_found_by_its_references(engine: Engine) -> None:
    async with engine(order) as polos:
        handle = await order.invoke(polos, {"id": 1})
        await handle.result(10)
        for reference in (
            handle,
            handle.id,
            handle.number,
            handle.id[-12:],
            "last",
            f"last:{order.id}",
            await handle.get(),
        ):
            assert (await polos.get(reference)).id == handle.id
        for reference in ("99", "exec_none", "nothing-ends-so", "last:absent"):
            with pytest.raises(UnknownExecution):
                await polos.get(reference)
        assert [e.id for e in await polos.list(status="completed", workflow=order)] == [handle.id]


async def test_a_handle_serialises_to_its_ids_and_can_be_bound_anew(engine: Engine) -> None:
    from polos.authoring.handle import handle_from

    async with engine(order) as polos:
        handle = await order.invoke(polos, {"id": 1})
        loose = handle_from(handle.to_dict())
        assert loose == handle
        with pytest.raises(UsageError, match="bound to no client"):
            await loose.result()
        assert (await loose.result(10, polos)).id == 1


# ── from elsewhere ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_with_nothing_running_starts_and_reads_the_result_later(engine: Engine, url: str) -> None:
    client = PolosClient(url)
    handle = await order.invoke(client, {"id": 7})
    assert (await handle.get()).status is Status.QUEUED
    with pytest.raises(ResultTimeout):
        await handle.result(0.01)
    published = await client.publish("t", 1)
    assert published.sequence == 1
    async with engine(order) as polos:
        await polos.result(handle.id, 10)
    assert (await handle.result(1)).id == 7
    await client.close()
    assert (await client.get(handle)).status is Status.COMPLETED  # it can be used again
    await client.close()


async def test_a_client_of_the_same_process_reaches_the_running_engine(engine: Engine, url: str) -> None:
    async with engine(waiting) as polos, PolosClient(url) as client:
        handle = await waiting.invoke(client)
        await waits(client, handle, "e")
        assert len((await client.publish("go", "other")).woken) == 1
        assert await handle.result(10) == "other"
        assert (await polos.get(handle.id)).status is Status.COMPLETED


async def test_an_engine_is_used_from_other_loops_and_threads(engine: Engine) -> None:
    async with engine(waiting) as polos:
        handle = await waiting.invoke(polos)
        await waits(polos, handle, "e")
        got: list[Any] = []

        def elsewhere() -> None:
            async def main() -> None:
                async with asyncio.timeout(10):
                    await polos.publish("go", "thread")
                    got.append(await polos.result(handle.id, 10))
                    got.append((await order_started(polos)).workflow_id)

            asyncio.run(main())

        async def order_started(client: Polos) -> Any:
            return await client.invoke(waiting)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
    assert got == ["thread", waiting.id]


async def test_a_blocking_caller_stops_nothing(engine: Engine) -> None:
    done = threading.Event()

    @workflow
    async def quick(ctx: WorkflowContext) -> None:
        await ctx.step.run("a", done.set)

    async with engine(quick) as polos:
        await quick.invoke(polos)
        assert done.wait(10)  # this loop stands still meanwhile


async def test_a_client_needs_no_loop_and_no_io_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    client = PolosClient()
    with pytest.raises(NoProject):
        await client.list()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("POLOS_URL", f"sqlite:///{tmp_path}/from-env.db")
    client = PolosClient.from_env()
    await client.publish("t", 1)
    await client.close()
    assert (tmp_path / "from-env.db").exists()


async def test_an_engine_that_is_not_running_says_so(engine: Engine) -> None:
    polos = engine(order)
    with pytest.raises(NoEngine, match="not running"):
        await order.invoke(polos, {"id": 1})


# ── on the caller's loop ─────────────────────────────────────────────────────────────────────────────────


async def test_on_the_callers_loop_bodies_share_it(engine: Engine) -> None:
    loops: list[Any] = []

    async def body() -> None:
        loops.append(asyncio.get_running_loop())

    @workflow
    async def shares(ctx: WorkflowContext) -> str:
        await ctx.step.run("a", body)
        try:
            async with asyncio.timeout(0.03):
                await ctx.step.run("slow", asyncio.sleep, 60)
        except TimeoutError:
            return "timed out"
        return "not"

    async with engine(shares, run_on="caller") as polos:
        async with asyncio.timeout(10):
            assert await shares.run(polos) == "timed out"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):  # the caller's own timers are real
                await asyncio.sleep(60)
    assert loops == [asyncio.get_running_loop()]
    assert await asyncio.wait_for(asyncio.sleep(0, "after"), 1) == "after"


async def test_an_engine_on_the_callers_loop_restarts_on_it(engine: Engine) -> None:
    async with engine(waiting, run_on="caller") as polos:
        handle = await waiting.invoke(polos)
        await waits(polos, handle, "e")
    async with engine(waiting, run_on="caller") as polos:
        await polos.publish("go", 1)
        assert await polos.result(handle.id, 10) == 1


async def test_serving_runs_until_cancelled(engine: Engine, url: str) -> None:
    polos = engine(order)
    serving = asyncio.create_task(polos.serve())
    client = PolosClient(url)
    handle = await order.invoke(client, {"id": 3})
    assert (await handle.result(10)).id == 3
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    await client.close()


# ── inside workflows ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_inside_a_workflow_is_refused_with_the_step_to_use(engine: Engine) -> None:
    clients: list[Any] = []

    @workflow
    async def misuses(ctx: WorkflowContext) -> list[str]:
        polos, handle = clients
        found = []
        for call in (
            lambda: order.invoke(polos, {"id": 1}), lambda: batch_invoke(polos, []), lambda: handle.result(),
            lambda: polos.publish("t", 1), lambda: polos.resume(handle, "s", 1), lambda: handle.get(), lambda: polos.list(),
        ):  # fmt: skip
            try:
                await call()
            except UsageError as error:
                found.append(error.hint)
        return found

    async with engine(misuses, order) as polos:
        clients += [polos, await order.invoke(polos, {"id": 1})]
        hints = await misuses.run(polos, timeout=10)
    assert len(hints) == 7
    for hint, name in zip(hints, ("invoke", "batch_invoke", "result", "publish_event", "resume"), strict=False):
        assert f"ctx.step.{name}" in hint


async def test_a_client_inside_a_body_is_welcome(engine: Engine) -> None:
    clients: list[Polos] = []

    @workflow
    async def starts(ctx: WorkflowContext) -> int:
        async def body() -> int:
            return (await order.invoke(clients[0], {"id": 9})).number

        return await ctx.step.run("start", body)

    async with engine(starts, order) as polos:
        clients.append(polos)
        assert await starts.run(polos, timeout=10) == 2


async def test_a_workflow_called_like_a_function_says_what_to_do(engine: Engine) -> None:
    with pytest.raises(UsageError, match="called like a function"):
        order(None, {"id": 1})
    with pytest.raises(UsageError, match="async def"):

        @workflow  # type: ignore[arg-type]
        def plain(ctx: WorkflowContext) -> None: ...


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────


async def take(stream: Any, count: int) -> list[Any]:
    found = []
    async with asyncio.timeout(10):
        async for event in stream:
            found.append(event)
            if len(found) == count:
                break
        await stream.aclose()
    return found


async def test_a_topic_is_streamed_from_its_start_or_after_a_sequence(engine: Engine) -> None:
    async with engine(order) as polos:
        await events.publish(polos, "t", events.EventData("first", {"n": 1}))
        published = await events.batch_publish(polos, "t", [events.EventData(data={"n": n}) for n in (2, 3)])
        assert [p.sequence for p in published] == [2, 3]
        later = asyncio.create_task(take(events.stream_topic(polos, "t"), 4))
        await asyncio.sleep(0)
        await polos.publish("t", {"n": 4})
        found = await later
        assert [(e.sequence_id, e.data["n"], e.event_type) for e in found] == [
            (1, 1, "first"), (2, 2, None), (3, 3, None), (4, 4, None),
        ]  # fmt: skip
        assert [e.data["n"] for e in await take(events.stream_topic(polos, "t", after=2), 2)] == [3, 4]


async def test_an_executions_events_end_with_it(engine: Engine) -> None:
    async with engine(order) as polos:
        handle = await order.invoke(polos, {"id": 1})
        async with asyncio.timeout(10):
            types = [event.event_type async for event in handle.events()]
        assert (types[0], types[-1]) == ("workflow_start", "workflow_finish")
        assert "step_finish" in types


async def test_a_workflows_stream_begins_with_the_suspends_that_are_unanswered(engine: Engine) -> None:
    @workflow
    async def asks(ctx: WorkflowContext) -> None:
        await ctx.step.suspend("first")
        await ctx.step.suspend("second")

    async with engine(asks) as polos:
        handle = await asks.invoke(polos)
        await waits(polos, handle, "first")
        await polos.resume(handle, "first", 1)
        await waits(polos, handle, "second")
        stream = events.stream_workflow(polos, handle.root_workflow_id, handle.root_execution_id)
        async with asyncio.timeout(10):
            assert (await anext(stream)).event_type == "suspend_second"
            following = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            await polos.resume(handle, "second", 2)
            assert (await following).event_type in ("resume", "wait_finish")
        await stream.aclose()


@pytest.mark.parametrize("topic", ["", None, 7, "x" * 513, "workflow/mine"])
async def test_other_topics_are_refused(engine: Engine, topic: Any) -> None:
    async with engine(order) as polos:
        with pytest.raises(UsageError):
            await polos.publish(topic, 1)


async def test_a_failed_execution_raises_with_its_recorded_cause(engine: Engine) -> None:
    @workflow
    async def fails(ctx: WorkflowContext) -> None:
        raise ZeroDivisionError("by zero")

    async with engine(fails) as polos:
        handle = await fails.invoke(polos)
        with pytest.raises(ExecutionFailed, match="by zero") as failed:
            await handle.result(10)
    assert (failed.value.execution_id, failed.value.error_type) == (handle.id, "ZeroDivisionError")
    assert "in fails" in failed.value.__cause__.traceback_text  # type: ignore[union-attr]


async def test_a_workflows_stream_begins_with_the_suspends_of_children_too(engine: Engine) -> None:
    @workflow
    async def kid(ctx: WorkflowContext) -> None:
        await ctx.step.suspend("answered")
        await ctx.step.suspend("asked")

    @workflow
    async def root(ctx: WorkflowContext) -> None:
        await ctx.step.invoke_and_wait("k", kid)

    async with engine(root, kid) as polos:
        handle = await root.invoke(polos)
        await waits(polos, handle, "k")
        (child,) = await polos.list(parent=handle.id)
        await polos.resume(child, "answered")
        async with asyncio.timeout(10):
            while [w.key for w in await polos.access().read(lambda store: store.waits(child.id))] != ["asked"]:
                await asyncio.sleep(0.002)
        (first,) = await take(events.stream_workflow(polos, handle.root_workflow_id, handle.root_execution_id), 1)
        assert (first.event_type, first.data["execution"]) == ("suspend_asked", child.number)


async def test_events_that_a_workflow_names_like_polos_own_are_only_events(engine: Engine) -> None:
    @workflow
    async def odd(ctx: WorkflowContext) -> None:
        await ctx.step.publish_workflow_event("p1", ["x"], event_type="workflow_finish")
        await ctx.step.publish_workflow_event("p2", {"execution": ctx.number}, event_type="workflow_failed")
        await ctx.step.publish_workflow_event("p3", {"x": 1}, event_type="suspend_mine")
        await ctx.step.publish_workflow_event("p4", {"execution": ctx.number, "key": "e"}, event_type="suspend_e")
        await ctx.step.wait_for_event("e", "go")
        await ctx.step.suspend("real")

    async with engine(odd) as polos:
        handle = await odd.invoke(polos)
        await waits(polos, handle, "e")
        await polos.publish("go")
        await waits(polos, handle, "real")
        (first,) = await take(events.stream_workflow(polos, handle.root_workflow_id, handle.root_execution_id), 1)
        assert first.event_type == "suspend_real"
        await polos.resume(handle, "real")
        async with asyncio.timeout(10):
            found = [event async for event in handle.events()]
        assert found[-1].event_type == "workflow_finish" and isinstance(found[-1].data, dict)
        assert {"suspend_mine", "workflow_failed"} < {event.event_type for event in found}


async def test_streams_inside_a_workflow_are_refused_with_the_step_to_use(engine: Engine) -> None:
    clients: list[Any] = []

    @workflow
    async def misuses(ctx: WorkflowContext) -> list[str]:
        polos, handle = clients
        found = []
        for call in (
            lambda: polos.stream("t"), lambda: events.stream_topic(polos, "t"), lambda: handle.events(),
            lambda: events.stream_workflow(polos, handle.root_workflow_id, handle.root_execution_id),
        ):  # fmt: skip
            try:
                call()
            except UsageError as error:
                found.append(error.hint)
        return found

    async with engine(misuses, order) as polos:
        clients += [polos, await order.invoke(polos, {"id": 1})]
        hints = await misuses.run(polos, timeout=10)
    assert len(hints) == 4
    assert all("ctx.step.wait_for_event" in hint for hint in hints)


async def test_a_handle_in_a_value_is_stored_as_its_ids(engine: Engine) -> None:
    clients: list[Polos] = []

    @workflow
    async def starts(ctx: WorkflowContext) -> int:
        async def body() -> Any:
            return {"started": await order.invoke(clients[0], {"id": 9})}

        found = await ctx.step.run("start", body)
        return (await ctx.step.result("end", found["started"])).id

    @workflow
    async def takes(ctx: WorkflowContext, handle: Any) -> str:
        return handle.id

    async with engine(starts, order, takes) as polos:
        clients.append(polos)
        assert await starts.run(polos, timeout=10) == 9
        handle = await order.invoke(polos, {"id": 1})
        assert await takes.run(polos, handle, timeout=10) == handle.id


def test_event_data_is_given_as_its_type_and_then_its_data() -> None:
    assert events.EventData("shipped", {"n": 1}) == events.EventData(event_type="shipped", data={"n": 1})
