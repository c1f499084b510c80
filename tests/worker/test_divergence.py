"""Code that has left its history is told so at rest, by name, without a hang and without a false alarm (S1.7)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from polos.core.ops import Block
from polos.core.status import Status
from tests.worker.harness import Ctx, Program, Result, play


def steps(*keys: str) -> Program:
    async def main(ctx: Ctx) -> Any:
        return [await ctx.step(key) for key in keys]

    return main


def replayed(before: Program, after: Program, cut: int | None = None, **options: Any) -> Result:
    """Plays `before` to its end, then `after` on what it had recorded by the outcome `cut`."""
    snapshots = play(before).store.snapshots
    return play(after, snapshot=snapshots[-1] if cut is None else snapshots[cut - 1], **options)


def assert_diverged(result: Result, step: str) -> dict[str, Any]:
    assert result.store.status is Status.BLOCKED
    assert result.faults == []
    assert (result.reason["kind"], result.reason["step"]) == ("diverged", step)
    assert result.store.snapshots == [], "something was written past the divergence"
    return result.reason


@pytest.mark.parametrize(
    ("changed", "step"),
    [
        (("a", "c"), "b"),
        (("a", "b2", "c"), "b"),
        (("a", "new", "b", "c"), "b"),
        (("a", "c", "b"), "b"),
        (("b", "a", "c"), "a"),
        (("a", "b"), "c"),
        ((), "a"),
    ],
    ids=["removed", "renamed", "inserted", "swapped", "swapped first", "ended early", "emptied"],
)
def test_a_changed_sequence_diverges_at_the_step_that_is_missing(changed: tuple[str, ...], step: str) -> None:
    result = replayed(steps("a", "b", "c"), steps(*changed))
    assert_diverged(result, step)
    assert result.bodies == []


def test_the_reason_names_both_steps_and_both_lines() -> None:
    reason = assert_diverged(replayed(steps("a", "b"), steps("a", "z")), "b")
    assert (reason["asked"], reason["recorded_site"], reason["site"]) == ("z", "here:b", "here:z")
    assert "'b'" in reason["message"] and "'z'" in reason["message"] and reason["hint"]


def test_a_changed_kind_diverges_at_its_request() -> None:
    async def now_a_value(ctx: Ctx) -> Any:
        await ctx.step("a")
        return await ctx.value("b")

    reason = assert_diverged(replayed(steps("a", "b"), now_a_value), "b")
    assert "value" in reason["message"] and "run" in reason["message"]


def test_code_that_raises_before_a_recorded_step_diverges() -> None:
    async def raises(ctx: Ctx) -> Any:
        await ctx.step("a")
        raise KeyError("x")

    reason = assert_diverged(replayed(steps("a", "b"), raises), "b")
    assert "raised KeyError" in reason["message"]


def test_a_removed_pending_wait_diverges() -> None:
    async def waits(ctx: Ctx) -> Any:
        await asyncio.gather(ctx.event("e", "never", timeout=100), ctx.step("a", lasts=5))

    assert_diverged(replayed(waits, steps("a"), cut=1), "e")


@pytest.mark.parametrize("changed", [("a", "z"), ("a", "z", "b")], ids=["removed", "inserted"])
def test_behind_a_foreign_await_divergence_waits_for_the_stall(changed: tuple[str, ...]) -> None:
    async def with_io(ctx: Ctx) -> Any:
        await ctx.step("a")
        arrived = asyncio.get_running_loop().create_future()
        ctx.session.run.outside(ctx.session.loop.call_later, 3600, arrived.cancel)
        await arrived

    result = replayed(steps("a", "b"), with_io, replay_stall=60.0)
    reason = assert_diverged(result, "b")
    assert "test_divergence.py" in reason["message"]
    assert any("the replay waits at" in line and "test_divergence.py" in line for line in result.warnings)


def test_a_foreign_await_that_ends_in_time_is_no_divergence() -> None:
    async def with_io(ctx: Ctx) -> Any:
        await ctx.step("a")
        arrived = asyncio.get_running_loop().create_future()
        ctx.session.run.outside(ctx.session.loop.call_later, 30, arrived.set_result, None)
        await arrived
        return await ctx.step("b")

    result = replayed(steps("a", "b"), with_io, replay_stall=60.0)
    assert (result.value, result.bodies, result.faults) == ("b", [], [])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda task: asyncio.shield(task),
        lambda task: asyncio.wait({task}),
        lambda task: asyncio.wait_for(task, 5000),
        lambda task: asyncio.gather(task),
        lambda task: asyncio.gather(asyncio.gather(task)),
        lambda task: anext_completed(task),
        lambda task: task,
    ],
    ids=["shield", "wait", "wait_for", "gather", "gather in gather", "as_completed", "task"],
)
def test_waiting_on_asyncios_own_primitives_diverges_at_once(wrap: Any) -> None:
    async def main(ctx: Ctx) -> Any:
        await ctx.step("a")
        await wrap(asyncio.create_task(ctx.step("z")))

    result = replayed(steps("a", "b"), main, replay_stall=1e9)
    assert_diverged(result, "b")
    assert result.warnings == []


async def anext_completed(task: asyncio.Task[Any]) -> None:
    for earliest in asyncio.as_completed([task]):
        await earliest


def test_waiting_on_locks_and_queues_diverges_at_once() -> None:
    async def main(ctx: Ctx) -> Any:
        await ctx.step("a")
        flag, line, lock = asyncio.Event(), asyncio.Queue[int](), asyncio.Lock()
        await lock.acquire()
        async with asyncio.TaskGroup() as group:
            group.create_task(flag.wait())
            group.create_task(line.get())
            group.create_task(lock.acquire())

    assert_diverged(replayed(steps("a", "b"), main, replay_stall=1e9), "b")


def test_a_body_in_flight_at_the_crash_is_no_entry_and_runs_again() -> None:
    async def main(ctx: Ctx) -> Any:
        return await asyncio.gather(ctx.step("quick", lasts=1), ctx.step("slow", lasts=5))

    result = replayed(main, main, cut=1)
    assert (result.value, result.bodies) == (["quick", "slow"], ["slow"])


def test_a_body_in_flight_at_the_crash_may_be_gone_from_the_code() -> None:
    async def main(ctx: Ctx) -> Any:
        return await asyncio.gather(ctx.step("quick", lasts=1), ctx.step("slow", lasts=5))

    result = replayed(main, steps("quick"), cut=1)
    assert result.value == ["quick"]


def test_new_steps_after_the_history_are_no_divergence() -> None:
    assert replayed(steps("a", "b"), steps("a", "b", "new")).value == ["a", "b", "new"]


def test_a_sequence_made_parallel_is_no_divergence_and_is_noted_as_early() -> None:
    noted: list[Any] = []

    async def parallel(ctx: Ctx) -> Any:
        found = await asyncio.gather(ctx.step("a"), ctx.step("b"))
        noted.extend(ctx.session.delivery.early)
        return found

    assert replayed(steps("a", "b"), parallel).value == ["a", "b"]
    assert noted == [("b", 0, 1)]


def test_a_diverged_replay_runs_no_body_before_it_is_noticed() -> None:
    async def more(ctx: Ctx) -> Any:
        await asyncio.gather(ctx.step("a"), ctx.step("new"))
        await ctx.step("z")

    result = replayed(steps("a", "b"), more)
    assert_diverged(result, "b")
    assert result.bodies == []


def test_nothing_but_the_block_is_written() -> None:
    result = replayed(steps("a", "b"), steps("a", "z"))
    assert [type(op) for op in result.store.ops] == [Block]
