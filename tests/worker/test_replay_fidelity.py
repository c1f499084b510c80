"""A replay sees what the live run saw: 600 random programs, each cut after every outcome, and each shape by name (S1.6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from polos.core.delivery import Deliver, Delivery
from polos.worker.loop import OrderedTask
from polos.worker.session import Session
from tests.worker.harness import Ctx, play, replay_differences
from tests.worker.programs import EVENTS, program
from tests.worker.virtual import Dice, Stuck

CHUNK = 50


def differences(seed: int) -> list[str]:
    """Checks the program of a seed, with every second parked pass evicted."""
    evictions = Dice(seed)
    try:
        return replay_differences(program(seed), seed=seed, events=EVENTS, evicts=lambda: evictions.random() < 0.5)
    except Stuck as stuck:
        return [f"hangs: {stuck}"]


SEEDS = [pytest.param(start, marks=[pytest.mark.long] if start >= 300 else []) for start in range(0, 2_000, CHUNK)]
"""300 programs each time, 2,000 with --long."""


@pytest.mark.parametrize("start", SEEDS)
def test_random_programs_replay_as_they_ran(start: int) -> None:
    bad = []
    for seed in range(start, start + CHUNK):
        found = differences(seed)
        if found:
            bad.append(
                f'python -c "from tests.worker.test_replay_fidelity import *; print(differences({seed}))"  # {found[0]}'
            )
    assert not bad, "\n" + "\n".join(bad)


def differences_stopped(seed: int) -> list[str]:
    """Checks the program of a seed that is stopped at some instant: its clearing up replays as well (S8.4)."""
    dice = Dice(seed)
    stops_at = dice.random() ** 2 * 2
    try:
        return replay_differences(
            program(seed), seed=seed, events=EVENTS, evicts=lambda: dice.random() < 0.5, stops_at=stops_at
        )
    except Stuck as stuck:
        return [f"hangs: {stuck}"]


@pytest.mark.parametrize("start", SEEDS)
def test_random_programs_that_are_stopped_replay_as_they_ran(start: int) -> None:
    bad = []
    for seed in range(start, start + CHUNK):
        found = differences_stopped(seed)
        if found:
            bad.append(
                f'python -c "from tests.worker.test_replay_fidelity import *; print(differences_stopped({seed}))"'
                f"  # {found[0]}"
            )
    assert not bad, "\n" + "\n".join(bad)


# ── shapes by name ───────────────────────────────────────────────────────────────────────────────────


async def sequential(ctx: Ctx) -> Any:
    return [await ctx.step(f"s{n}") for n in range(5)]


async def gathered(ctx: Ctx) -> Any:
    return await asyncio.gather(*(ctx.step(f"g{n}") for n in range(5)))


async def gather_in_gather(ctx: Ctx) -> Any:
    async def inner(name: str) -> Any:
        found = await asyncio.gather(*(ctx.step(f"{name}.{n}") for n in range(3)))
        ctx.note(name, found)
        return await ctx.step(f"{name}.last")

    return await asyncio.gather(*(inner(name) for name in "abc"))


async def swapped_chains(ctx: Ctx) -> Any:
    async def chain(name: str, lasts: tuple[float, ...]) -> None:
        for n, seconds in enumerate(lasts):
            ctx.note(f"{name}{n}", await ctx.step(f"{name}{n}", seconds))

    await asyncio.gather(chain("a", (0.1, 0.5, 0.1)), chain("b", (0.5, 0.1, 0.1)))


async def first_completed(ctx: Ctx) -> Any:
    left = {asyncio.create_task(ctx.step(f"f{n}")) for n in range(4)}
    while left:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            ctx.note("won", task.result())
            await ctx.step(f"after {task.result()}")


async def as_completed(ctx: Ctx) -> Any:
    tasks = [asyncio.create_task(ctx.step(f"f{n}")) for n in range(4)]
    return [await earliest for earliest in asyncio.as_completed(tasks)]


async def task_group(ctx: Ctx) -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ctx.step(f"t{n}")) for n in range(4)]
    return [task.result() for task in tasks]


async def task_group_with_a_failing_child(ctx: Ctx) -> Any:
    async def cleans(n: int) -> None:
        try:
            await ctx.step(f"t{n}", lasts=n)
        finally:
            ctx.note("leaves", n)
            await ctx.step(f"clean{n}")

    try:
        async with asyncio.TaskGroup() as group:
            for n in range(1, 5):
                group.create_task(cleans(n))
            group.create_task(ctx.step("bad", lasts=2.5, fails=True))
    except* Exception as failed:
        ctx.note("failed", [type(error).__name__ for error in failed.exceptions])


async def timeout_that_expires(ctx: Ctx) -> Any:
    try:
        async with asyncio.timeout(1):
            await ctx.step("slow", lasts=3)
    except TimeoutError:
        ctx.note("expired")
    return await ctx.step("next")


async def timeout_that_does_not_expire(ctx: Ctx) -> Any:
    async with asyncio.timeout(1):
        await ctx.step("quick", lasts=0.5)
    return await ctx.step("next")


async def wait_for(ctx: Ctx) -> Any:
    for n in range(4):
        try:
            ctx.note("in time", await asyncio.wait_for(ctx.step(f"w{n}", lasts=n * 0.4), 0.5))
        except TimeoutError:
            ctx.note("late", n)


async def raw_sleeps(ctx: Ctx) -> Any:
    async def naps(n: int) -> None:
        await asyncio.sleep(0.1 * n)
        ctx.note("woke", n)
        await ctx.step(f"n{n}")

    await asyncio.gather(*(naps(n) for n in range(5)), ctx.step("beside", lasts=0.25))


async def semaphore_lock_event_queue(ctx: Ctx) -> Any:
    room, lock, flag, line = asyncio.Semaphore(2), asyncio.Lock(), asyncio.Event(), asyncio.Queue[str]()

    async def producer(n: int) -> None:
        async with room:
            got = await ctx.step(f"p{n}")
        async with lock:
            await ctx.step(f"l{n}")
        await line.put(got)
        flag.set()

    async def consumer() -> None:
        await flag.wait()
        for n in range(4):
            ctx.note("took", await line.get())
            await ctx.step(f"c{n}")

    await asyncio.gather(consumer(), *(producer(n) for n in range(4)))


async def shielded(ctx: Ctx) -> Any:
    task = asyncio.create_task(ctx.step("slow", lasts=2))
    try:
        await asyncio.wait_for(asyncio.shield(task), 1)
    except TimeoutError:
        ctx.note("goes on")
    return await task


async def step_in_finally(ctx: Ctx) -> Any:
    try:
        async with asyncio.timeout(1):
            await ctx.event("e", "never")
    except TimeoutError:
        pass
    finally:
        await ctx.step("clean")


async def done_polls(ctx: Ctx) -> Any:
    task = asyncio.create_task(ctx.step("slow", lasts=1))
    polls = 0
    while not task.done():
        await ctx.step(f"poll{polls}", lasts=0.3)
        polls += 1
    return polls


async def sleep_zero_loop(ctx: Ctx) -> Any:
    async def turns(n: int) -> None:
        for _ in range(n):
            await asyncio.sleep(0)
        ctx.note("turned", n)
        await ctx.step(f"t{n}")

    await asyncio.gather(*(turns(n) for n in (1, 40, 7, 1999)), ctx.step("beside"))


async def spinning(ctx: Ctx) -> Any:
    task = asyncio.create_task(ctx.step("slow", lasts=1))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    ctx.note("turns", turns)
    return await ctx.step("next")


async def spinning_after_a_timer(ctx: Ctx) -> Any:
    await asyncio.sleep(0.1)
    await asyncio.sleep(0.1)
    return await spinning(ctx)


async def spinning_on_a_wait(ctx: Ctx) -> Any:
    task = asyncio.create_task(ctx.sleep("long", 500))
    while not task.done():
        await asyncio.sleep(0)
    return "slept"


async def cancels_a_task(ctx: Ctx) -> Any:
    tasks = [asyncio.create_task(ctx.step(f"c{n}", lasts=n)) for n in range(1, 4)]
    await tasks[0]
    tasks[1].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    ctx.note("found", [repr(one) for one in found])
    return await ctx.step("next")


async def cancels_itself_late(ctx: Ctx) -> Any:
    task = asyncio.create_task(ctx.sleep("s", 20))
    await ctx.step("a")
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait({task})
    return await ctx.step("b")


async def sets_of_tasks(ctx: Ctx) -> Any:
    tasks = {asyncio.create_task(ctx.step(f"t{n}")) for n in range(8)}
    return [await task for task in tasks]


async def waits_of_all_kinds(ctx: Ctx) -> Any:
    first = await ctx.event("first", "topic0")
    both = await asyncio.gather(ctx.event("e", "topic1"), ctx.sleep("s", 3), ctx.step("r"))
    try:
        await ctx.event("late", "never", timeout=30)
    except Exception as error:
        ctx.note("late", type(error).__name__)
    return [first, both, await ctx.event("second", "topic0")]


async def loop_timer_around_a_wait(ctx: Ctx) -> Any:
    try:
        async with asyncio.timeout(3600):
            await ctx.event("e", "never")
    except TimeoutError:
        ctx.note("an hour")
    async with asyncio.timeout(3600):
        return await ctx.event("e2", "topic0")


async def many_retries(ctx: Ctx) -> Any:
    try:
        await ctx.step("bad", fails=True, retries=3)
    except Exception as error:
        return str(error)


SHAPES = [
    sequential, gathered, gather_in_gather, swapped_chains, first_completed, as_completed, task_group,
    task_group_with_a_failing_child, timeout_that_expires, timeout_that_does_not_expire, wait_for, raw_sleeps,
    semaphore_lock_event_queue, shielded, step_in_finally, done_polls, sleep_zero_loop, spinning,
    spinning_after_a_timer, spinning_on_a_wait, cancels_a_task, cancels_itself_late, sets_of_tasks,
    waits_of_all_kinds, loop_timer_around_a_wait, many_retries,
]  # fmt: skip


@pytest.mark.parametrize("evicts", [False, True], ids=["hot", "evicted"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_each_shape_replays_as_it_ran(shape: Any, evicts: bool) -> None:
    for seed in range(3):
        assert replay_differences(shape, seed=seed, events=EVENTS, evicts=lambda: evicts) == []


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_full_replay_runs_no_body_again(shape: Any) -> None:
    live = play(shape, events=EVENTS)
    again = play(shape, snapshot=live.store.snapshots[-1], events=EVENTS)
    recorded = {entry.key for entry in live.store.entries}
    assert not recorded & set(again.bodies)


# ── the checker can fail ─────────────────────────────────────────────────────────────────────────────


def found_by_the_checker(seeds: int = 12) -> int:
    return sum(bool(differences(seed)) for seed in range(seeds))


def test_delivering_without_rest_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Session.deliver_next

    def deliver_all(self: Session) -> bool:
        went = own(self)
        while went and isinstance(step := self.delivery.next(), Deliver):
            self._deliver(step.entry)
        return went

    monkeypatch.setattr(Session, "deliver_next", deliver_all)
    assert found_by_the_checker() > 0


def test_tasks_hashed_by_address_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrderedTask, "__hash__", object.__hash__)
    assert any(replay_differences(sets_of_tasks, seed=seed) for seed in range(20))


def test_an_order_other_than_seq_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Delivery.add

    def add(self: Delivery, entries: Any) -> None:
        entries = list(entries)
        own(self, entries)
        if len(entries) > 1:
            self._entries[-2:] = self._entries[-2:][::-1]

    monkeypatch.setattr(Delivery, "add", add)
    assert found_by_the_checker() > 0
