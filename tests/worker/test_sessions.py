"""What a session does besides replaying: ends, duplicate keys, parking, eviction, retries, spinning, foreign loops."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from polos.core.model import Kind, Outcome
from polos.core.ops import Await, CloseWait, Finish, Park, Record, Release, RetryAt, StepStarted
from polos.core.status import Status
from polos.errors import DuplicateStepKey, NonRetryableError, StepExecutionError
from polos.worker.loop import CURRENT, OrderedTask, route
from tests.worker.harness import Ctx, Host, Result, play
from tests.worker.memory_store import MemoryStore
from tests.worker.virtual import VirtualLoop


def ops_of(result: Result, kind: type) -> list[Any]:
    return [op for op in result.store.ops if isinstance(op, kind)]


def failure_of(result: Result) -> tuple[str, str]:
    assert isinstance(result.end, Finish) and result.end.failure is not None, result.end
    return result.end.failure.type_name, result.end.failure.message


def on_virtual_loop(main: Any) -> Any:
    """Runs `main(loop)` to its end on a loop whose time jumps."""
    loop = VirtualLoop()
    try:
        found = loop.run_until_complete(main(loop))
        assert loop.faults == []
        return found
    finally:
        loop.settle()


# ── keys and ends ────────────────────────────────────────────────────────────────────────────────────


def test_a_key_used_twice_names_both_lines() -> None:
    async def main(ctx: Ctx) -> Any:
        await ctx.step("k")
        with pytest.raises(DuplicateStepKey) as caught:
            await ctx.value("k")
        return str(caught.value)

    text = play(main).value
    assert text.count("here:k") == 2 and "loop variable" in text


def test_a_call_never_awaited_fails_the_execution() -> None:
    async def main(ctx: Ctx) -> Any:
        ctx.step("lost")
        return await ctx.step("a")

    result = play(main)
    name, message = failure_of(result)
    assert name == "UnawaitedStep" and "'lost'" in message and "never awaited" in message
    gc.collect()


def test_a_step_still_running_at_the_return_fails_the_execution_and_records_nothing() -> None:
    async def main(ctx: Ctx) -> Any:
        task = asyncio.create_task(ctx.step("slow", lasts=50))
        await ctx.step("a")
        return task.done()

    result = play(main)
    name, message = failure_of(result)
    assert name == "UnawaitedStep" and "'slow'" in message and "here:slow" in message
    assert result.journal == ["a"]


def test_a_recorded_but_undelivered_step_at_the_return_is_unawaited_not_diverged() -> None:
    async def main(ctx: Ctx) -> Any:
        task = asyncio.create_task(ctx.step("b", lasts=1))
        await ctx.step("a", lasts=1)
        return task.done()

    for seed in range(20):  # in some of these both are recorded in one group
        result = play(main, seed=seed)
        assert result.faults == []
        again = play(main, seed=seed, snapshot=result.store.snapshots[-1])
        assert failure_of(result) == failure_of(again)


@pytest.mark.parametrize(
    "wait", [lambda ctx: ctx.event("w", "t"), lambda ctx: ctx.sleep("w", 50)], ids=["event", "timer"]
)
def test_a_wait_left_over_at_the_return_is_just_closed(wait: Any) -> None:
    async def main(ctx: Ctx) -> Any:
        task = asyncio.create_task(wait(ctx))
        await ctx.step("a")
        return task.done()

    result = play(main)
    assert result.value is False and result.faults == []


def test_an_error_is_the_end_and_what_still_runs_records_nothing() -> None:
    async def main(ctx: Ctx) -> Any:
        asyncio.create_task(ctx.step("slow", lasts=50))
        await ctx.step("a")
        raise LookupError("no")

    result = play(main)
    assert failure_of(result) == ("LookupError", "no")
    assert result.journal == ["a"]


def test_the_cause_of_a_failed_end_is_the_step_in_its_chain() -> None:
    async def main(ctx: Ctx) -> Any:
        try:
            await ctx.step("bad", fails=True)
        except StepExecutionError as error:
            raise RuntimeError("wrapped") from error

    end = play(main).end
    assert isinstance(end, Finish) and end.cause_key == "bad"


def test_the_end_is_written_even_while_another_commit_is_under_way() -> None:
    async def main(ctx: Ctx) -> Any:
        return await asyncio.gather(
            ctx.step("bad", lasts=1, fails=True), *(ctx.step(f"s{n}", lasts=1) for n in range(5))
        )

    for seed in range(30):
        result = play(main, seed=seed, lag=0.5)
        assert failure_of(result)[0] == "StepExecutionError" and result.faults == []


def test_a_result_that_cannot_be_stored_fails_the_execution() -> None:
    async def main(ctx: Ctx) -> Any:
        return object()

    assert failure_of(play(main))[0] == "UnserializableResult"


def test_ctx_inside_a_body_is_a_usage_error() -> None:
    async def main(ctx: Ctx) -> Any:
        async def body() -> None:
            await ctx.step("inner")

        await ctx.run("outer", body)

    result = play(main)
    assert failure_of(result)[0] == "StepExecutionError" and "UsageError" in failure_of(result)[1]


def test_system_exit_in_a_workflow_is_its_failure_and_not_the_workers_end() -> None:
    async def main(ctx: Ctx) -> Any:
        await ctx.step("a")
        raise SystemExit(3)

    assert failure_of(play(main))[0] == "SystemExit"


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_step_raises_the_recorded_error_with_its_cause() -> None:
    async def main(ctx: Ctx) -> Any:
        with pytest.raises(StepExecutionError) as caught:
            await ctx.step("bad", fails=True, retries=2)
        error = caught.value
        return [error.step_key, error.attempts, error.error_type, type(error.__cause__).__name__]

    live = play(main)
    assert live.value == ["bad", 3, "ValueError", "RecordedError"]
    assert play(main, snapshot=live.store.snapshots[-1]).value == live.value
    assert [op.failed.attempt for op in ops_of(live, RetryAt)] == [1, 2]
    assert [op.attempt for op in ops_of(live, StepStarted)] == [1, 2, 3]


def test_a_non_retryable_error_is_tried_once() -> None:
    async def main(ctx: Ctx) -> Any:
        async def body() -> None:
            raise NonRetryableError("never")

        with pytest.raises(StepExecutionError) as caught:
            await ctx.run("bad", body, retries=5)
        return caught.value.attempts

    assert play(main).value == 1


def test_a_timeout_is_a_failed_attempt_even_if_the_body_swallows_its_cancellation() -> None:
    async def main(ctx: Ctx) -> Any:
        async def body() -> str:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                pass
            return "late"

        with pytest.raises(StepExecutionError) as caught:
            await ctx.run("slow", body, timeout=2)
        return caught.value.error_type

    assert play(main).value == "TimeoutError"


def test_a_cancelled_step_whose_body_goes_on_is_recorded_for_nobody() -> None:
    async def main(ctx: Ctx) -> Any:
        async def stubborn() -> str:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(1)
            return "done"

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await ctx.run("stubborn", stubborn)
        ctx.note("cancelled")
        return await ctx.step("long", lasts=5)

    result = play(main)
    assert result.journal == ["polos:timer/0", "stubborn", "long"]
    assert ("gets", "stubborn") not in [seen[1:] for seen in result.trace]


def test_a_body_that_ends_after_the_execution_writes_nothing() -> None:
    async def main(ctx: Ctx) -> Any:
        async def stubborn() -> str:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(1)
            return "done"

        asyncio.create_task(ctx.run("stubborn", stubborn))
        await ctx.step("a")
        raise ValueError("ends")

    for seed in range(10):
        result = play(main, seed=seed, lag=3.0)
        assert result.journal == ["a"] and result.faults == []


def test_a_sync_body_runs_in_a_thread_outside_the_workflow() -> None:
    async def main(ctx: Ctx) -> Any:
        def body() -> list[Any]:
            return [threading.current_thread() is threading.main_thread(), CURRENT.get() is None]

        return await ctx.run("sync", body)

    assert play(main, real=True).value == [False, True]


def test_a_long_retry_delay_parks_and_the_attempt_goes_on_under_the_new_lease() -> None:
    held: list[bool] = []

    async def main(ctx: Ctx) -> Any:
        async def flaky() -> str:
            held.append(ctx.session.parked)
            if len(held) < 3:
                raise ValueError("again")
            return "ok"

        return await ctx.run("flaky", flaky, retries=5, base_delay=60)

    result = play(main)
    assert result.value == "ok" and len(ops_of(result, Park)) == 2
    assert held == [False, False, False]
    assert result.faults == []


def test_a_long_retry_delay_survives_eviction() -> None:
    calls: list[int] = []

    async def main(ctx: Ctx) -> Any:
        async def flaky() -> str:
            calls.append(1)
            if len(calls) < 3:
                raise ValueError("again")
            return "ok"

        return await ctx.run("flaky", flaky, retries=2, base_delay=60)

    result = play(main, evicts=lambda: True)
    assert (result.value, len(calls), len(result.passes)) == ("ok", 3, 3)


# ── parking and eviction ─────────────────────────────────────────────────────────────────────────────


async def waits_and_steps(ctx: Ctx) -> Any:
    ctx.note("first", await ctx.step("a"))
    both = await asyncio.gather(ctx.event("e", "t"), ctx.sleep("s", 30), ctx.step("b"))
    ctx.note("both", both)
    await ctx.sleep("s2", 30)
    return [both, await ctx.step("c")]


def test_an_evicted_execution_ends_as_one_kept_hot() -> None:
    events = ((10.0, "t", {"n": 1}),)
    hot = play(waits_and_steps, events=events)
    cold = play(waits_and_steps, events=events, evicts=lambda: True)
    assert len(hot.passes) == 1 and len(cold.passes) > 2
    assert hot.value == cold.value and hot.trace == cold.trace
    assert hot.faults == cold.faults == []


def test_dropping_a_parked_session_closes_its_code_and_writes_nothing() -> None:
    seen: list[str] = []

    async def main(ctx: Ctx) -> Any:
        async def child() -> None:
            try:
                await ctx.event("e", "t")
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
            finally:
                seen.append("closed")
                await ctx.step("cleanup")

        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            group.create_task(ctx.event("e2", "t"))

    async def go(loop: VirtualLoop) -> None:
        host = Host(loop, main)
        session = host.enter()
        await host._moved.wait()
        assert session.parked
        written = len(host.store.ops)
        session.drop()
        await asyncio.sleep(100)
        assert seen == ["closed"] and len(host.store.ops) == written
        assert not [task for task in asyncio.all_tasks() if isinstance(task, OrderedTask)]

    on_virtual_loop(go)
    gc.collect()


def test_an_open_loop_timer_parks_along_with_a_durable_wait() -> None:
    async def main(ctx: Ctx) -> Any:
        try:
            async with asyncio.timeout(3600):
                return await ctx.event("e", "t")
        except TimeoutError:
            return "late"

    result = play(main)
    assert result.value == "late"
    assert [(op.key, op.kind) for op in ops_of(result, Await)] == [("e", Kind.EVENT), ("polos:timer/0", Kind.TIMER)]
    assert set(ops_of(result, Park)[0].on) == {"e", "polos:timer/0"}
    assert [op.key for op in ops_of(result, CloseWait)] in (["e"], [])
    evicted = play(main, evicts=lambda: True)
    assert evicted.value == "late" and evicted.trace == result.trace


def test_a_timeout_that_parked_and_did_not_expire_is_closed() -> None:
    async def main(ctx: Ctx) -> Any:
        async with asyncio.timeout(3600):
            found = await ctx.event("e", "t")
        await ctx.step("long", lasts=7200)
        return found

    result = play(main, events=((5.0, "t", "it"),))
    assert result.value == "it" and result.journal == ["e", "long"]
    assert [op.key for op in ops_of(result, CloseWait)] == ["polos:timer/0"]


def test_a_timer_alone_does_not_park() -> None:
    async def main(ctx: Ctx) -> Any:
        await asyncio.sleep(7200)

    result = play(main)
    assert ops_of(result, Park) == [] and result.journal == ["polos:timer/0"]


def test_a_cancelled_timer_writes_nothing_and_leaves_nothing_on_the_loop() -> None:
    async def main(ctx: Ctx) -> Any:
        async with asyncio.timeout(3600):
            await ctx.step("quick")
        return len(
            [h for h in ctx.session.loop._scheduled if not h.cancelled() and h.when() > ctx.session.loop.time() + 60]
        )

    result = play(main)
    assert result.value == 0 and result.journal == ["quick"]


def test_code_behind_shield_parks() -> None:
    async def main(ctx: Ctx) -> Any:
        return await asyncio.shield(asyncio.create_task(ctx.event("e", "t")))

    result = play(main, events=((50.0, "t", 1),))
    assert result.value == 1 and len(ops_of(result, Park)) == 1


def test_nothing_parks_while_a_body_runs() -> None:
    async def main(ctx: Ctx) -> Any:
        return await asyncio.gather(ctx.event("e", "t"), ctx.step("long", lasts=100))

    result = play(main, events=((200.0, "t", 1),))
    park = result.store.ops.index(ops_of(result, Park)[0])
    assert any(isinstance(op, Record) and op.key == "long" for op in result.store.ops[:park])


def test_an_outcome_from_elsewhere_reaches_code_whose_commit_is_under_way() -> None:
    async def main(ctx: Ctx) -> Any:
        async def told() -> None:
            await ctx.event("e", "t")
            ctx.note("told", ctx.session.clock.now() < 1_700_000_000_000_000 + 1_020_000_000)

        await asyncio.gather(told(), *(ctx.step(f"s{n}", lasts=0.5) for n in range(3)), ctx.step("long", lasts=100))

    for seed in range(20):  # the event comes while the commit of the three is being answered
        result = play(main, seed=seed, events=((1.0, "t", 1),), lag=2.0)
        assert ("told", True) in [seen[1:] for seen in result.trace], seed


def test_released_work_goes_on_elsewhere_and_keeps_what_had_ended() -> None:
    async def main(ctx: Ctx) -> Any:
        return await asyncio.gather(ctx.step("quick", lasts=1), ctx.step("slow", lasts=50), asyncio.sleep(60))

    async def go(loop: VirtualLoop) -> Result:
        host = Host(loop, main, lag=0.5)
        session = host.enter()
        await asyncio.sleep(1.0001)
        session.drain()
        session.release()
        await host._moved.wait()
        assert host.store.status is Status.QUEUED and ops_of(host.result, Release)
        assert [entry.key for entry in host.store.entries] == ["quick"]
        assert "polos:timer/0" in host.store.pending
        host._moved.clear()
        host._over = False
        host.enter()
        return await host.finish()

    result = on_virtual_loop(go)
    assert result.value[:2] == ["quick", "slow"] and result.bodies == ["quick", "slow", "slow"]
    assert result.faults == []


def test_a_lost_lease_drops_the_code_and_writes_nothing_more() -> None:
    async def go(loop: VirtualLoop) -> None:
        async def main(ctx: Ctx) -> Any:
            for n in range(10):
                await ctx.step(f"s{n}", lasts=1)

        host = Host(loop, main)
        host.enter()
        await asyncio.sleep(3.5)
        host.store._set(Status.QUEUED)
        host.store.take()  # somebody else
        written = len(host.store.ops)
        result = await host.finish()
        assert len(host.store.ops) == written
        assert any("LeaseLost" in fault for fault in result.faults)
        await asyncio.sleep(50)
        assert len(host.store.ops) == written

    on_virtual_loop(go)


def test_a_commit_that_fails_after_the_drop_is_not_told_twice() -> None:
    async def go(loop: VirtualLoop) -> None:
        async def main(ctx: Ctx) -> Any:
            await asyncio.gather(*(ctx.step(f"s{n}") for n in range(10)))

        host = Host(loop, main, lag=1.0)
        session = host.enter()
        await asyncio.sleep(0.11)
        session.drop()
        host.store._set(Status.QUEUED)
        await asyncio.sleep(50)
        assert host.result.faults == [] and not host._over

    on_virtual_loop(go)


# ── the loop ─────────────────────────────────────────────────────────────────────────────────────────


def test_spinning_counts_as_rest() -> None:
    async def main(ctx: Ctx) -> Any:
        task = asyncio.create_task(ctx.step("slow", lasts=5))
        turns = 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    live = play(main)
    assert live.value == play(main, snapshot=live.store.snapshots[-1]).value
    assert 1900 < live.value < 2100


def test_an_outcome_for_nobody_does_not_let_a_spinner_go_on() -> None:
    async def main(ctx: Ctx) -> Any:
        async def stubborn() -> None:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(1)

        dropped = asyncio.create_task(ctx.run("nobody", stubborn))
        await ctx.step("a", lasts=1)
        dropped.cancel()
        task = asyncio.create_task(ctx.step("slow", lasts=5))
        turns = 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    live = play(main)
    assert live.journal == ["a", "nobody", "slow"] and live.value < 2100
    for snapshot in live.store.snapshots:
        assert play(main, snapshot=snapshot).value == live.value


def test_foreign_awaits_work_and_are_warned_about_once_a_line() -> None:
    async def main(ctx: Ctx) -> Any:
        for _ in range(3):
            await asyncio.to_thread(lambda: 1)
        return await ctx.step("a", lasts=0)

    result = play(main, real=True)
    assert result.value == "a"
    assert len(result.warnings) == 1 and "test_sessions.py" in result.warnings[0]


def test_sockets_and_servers_work_in_workflow_code() -> None:
    async def main(ctx: Ctx) -> Any:
        async def greet(reader: Any, writer: Any) -> None:
            writer.write(b"hello " + await reader.readline())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"you\n")
            await ctx.step("beside", lasts=0)
            found = await reader.read()
            writer.close()
            await writer.wait_closed()
        return found.decode()

    assert play(main, real=True).value == "hello you\n"


def test_workflows_run_on_a_loop_of_the_callers() -> None:
    async def main(ctx: Ctx) -> Any:
        async with asyncio.timeout(5):
            first = await asyncio.gather(ctx.step("a", lasts=0), ctx.step("b", lasts=0.001))
        await asyncio.sleep(0.001)
        return [first, await ctx.sleep("s", 0.001)]

    async def outer() -> Result:
        loop = asyncio.get_running_loop()
        route(loop)
        assert route(loop) is route(loop)
        beside = asyncio.create_task(asyncio.sleep(0.001, "beside"))
        result = await Host(loop, main, lag=0.001).finish()
        assert await beside == "beside"
        return result

    result = asyncio.run(outer())
    assert result.value == [["a", "b"], None] and result.faults == []
    assert result.journal == ["a", "b", "polos:timer/1", "s"]


def test_the_callers_loop_ends_cleanly_with_a_dropped_session_on_it() -> None:
    async def main(ctx: Ctx) -> Any:
        await asyncio.gather(ctx.event("e", "t"), ctx.event("f", "t"))

    async def outer() -> Host:
        host = Host(asyncio.get_running_loop(), main, lag=0.001)
        session = host.enter()
        await host._moved.wait()
        session.drop()
        return host

    host = asyncio.run(outer())
    assert host.session is not None and host.session.run.closed


def test_executions_on_one_loop_do_not_mix() -> None:
    async def main(ctx: Ctx) -> Any:
        found = []
        for n in range(5):
            found += await asyncio.gather(*(ctx.step(f"s{n}.{m}") for m in range(3)))
        return found

    async def go(loop: VirtualLoop) -> list[Result]:
        return await asyncio.gather(*(Host(loop, main, seed=n).finish() for n in range(20)))

    results = on_virtual_loop(go)
    alone = [play(main, seed=n) for n in range(20)]
    assert [r.trace for r in results] == [r.trace for r in alone]


def test_a_task_made_in_a_fresh_context_still_belongs_to_its_execution() -> None:
    import contextvars

    async def main(ctx: Ctx) -> Any:
        return await asyncio.create_task(ctx.step("a"), context=contextvars.Context())

    assert play(main).value == "a"


def test_a_decode_that_breaks_ends_the_session_instead_of_hanging_it() -> None:
    async def main(ctx: Ctx) -> Any:
        from polos.calls import ValueCall

        def broken(stored: Any) -> Any:
            raise ZeroDivisionError("in decode")

        return await ctx.call(ValueCall(key="v", kind=Kind.VALUE, site="", decode=broken, make=lambda c, i, r: 1))

    result = play(main)
    assert result.store.status is Status.BLOCKED or any("ZeroDivisionError" in fault for fault in result.faults)


def test_thousands_of_tasks_cost_no_more_than_their_number() -> None:
    async def main(ctx: Ctx) -> Any:
        await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(3000)))

    result = play(main)
    assert len(result.journal) == 3000


def test_the_store_of_these_tests_refuses_a_second_outcome() -> None:
    async def go(loop: VirtualLoop) -> None:
        from tests.worker.virtual import Dice, VirtualClock

        store = MemoryStore(loop, VirtualClock(loop).now, Dice(0))
        lease = store.take().lease
        twice = [Record(key="a", kind=Kind.RUN, outcome=Outcome.COMPLETED, after=0)] * 2
        answer = await store.commit(lease, 1, twice, 0)
        assert [entry.seq for entry in answer.outcomes] == [1] and store.faults == ["a is recorded twice"]
        assert await store.commit(lease, 1, twice, 0) is answer

    on_virtual_loop(go)
