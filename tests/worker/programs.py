"""Seeded random workflow programs: a tree of shapes, built first and then walked. Runs nothing by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from polos.errors import StepExecutionError
from tests.worker.harness import Ctx, Program
from tests.worker.virtual import Dice

EVENTS = tuple((0.05 + 0.4 * n, f"topic{n % 2}", n) for n in range(40))


@dataclass(frozen=True)
class Block:
    """A shape, its place in the tree (the start of its keys), what is inside, and its numbers."""

    shape: str
    at: str
    inside: tuple[Block, ...] = ()
    number: float = 0.0
    flag: bool = False
    catches: bool = False


LEAVES = ("step",) * 8 + ("flaky", "failing", "value", "sleep", "event", "event_timeout", "raw_sleep", "turns")
SHAPES = (
    "sequence", "sequence", "gather", "gather", "chains", "first_completed", "first_completed", "as_completed",
    "task_group", "task_group", "timeout", "wait_for", "semaphore", "lock", "event_flag", "queue", "shield", "finally",
    "polls", "cancel", "cancel", "wait_timeout", "task_set", "background", "spin",
)  # fmt: skip


def build(seed: int) -> Block:
    """Returns the program of this seed."""
    dice = Dice(seed)
    return _sequence(dice, "p", 4, dice.randint(2, 3))


def _sequence(dice: Dice, at: str, depth: int, most: int) -> Block:
    return Block("sequence", at, tuple(_block(dice, f"{at}.{n}", depth - 1) for n in range(most)))


def _block(dice: Dice, at: str, depth: int) -> Block:
    catches = dice.random() < 0.7
    if depth <= 0 or dice.random() < 0.25:
        return Block(dice.choice(LEAVES), at, number=dice.random(), catches=catches)
    shape = dice.choice(SHAPES)
    if shape == "spin" and dice.random() < 0.7:  # costs 2,000 turns for each outcome
        shape = "gather"
    width = 2 if depth > 1 else dice.randint(2, 3)
    inside = tuple(_block(dice, f"{at}.{n}", depth - 1) for n in range(width))
    return Block(shape, at, inside, dice.random(), dice.random() < 0.5, catches)


def program(seed: int) -> Program:
    """Returns the coroutine function of this seed."""
    tree = build(seed)

    async def main(ctx: Ctx) -> Any:
        return await walk(ctx, tree)

    return main


async def walk(ctx: Ctx, block: Block) -> Any:
    """Runs a block and writes down how it ended."""
    try:
        value = await WALKS[block.shape](ctx, block)
    except (StepExecutionError, TimeoutError, ExceptionGroup) as error:
        ctx.note(f"{block.at} raised", type(error).__name__)
        if block.catches:
            return None
        raise
    except asyncio.CancelledError:
        ctx.note(f"{block.at} cancelled")
        raise
    ctx.note(f"{block.at} {block.shape}", value)
    return value


def _tasks(ctx: Ctx, block: Block) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(walk(ctx, inner)) for inner in block.inside]


async def _end_all(ctx: Ctx, tasks: Any, cancels: bool) -> None:
    for task in tasks:  # a set: in the order of the tasks' hashes
        if cancels:
            task.cancel()
        try:
            ctx.note("rest", await task)
        except asyncio.CancelledError:
            ctx.note("rest was cancelled")
        except Exception as error:
            ctx.note("rest raised", type(error).__name__)


async def step(ctx: Ctx, block: Block) -> Any:
    return await ctx.step(block.at)


async def flaky(ctx: Ctx, block: Block) -> Any:
    return await ctx.step(block.at, fails=True, retries=1)


async def failing(ctx: Ctx, block: Block) -> Any:
    return await ctx.step(block.at, fails=True)


async def value(ctx: Ctx, block: Block) -> Any:
    return await ctx.value(block.at)


async def sleep(ctx: Ctx, block: Block) -> Any:
    return await ctx.sleep(block.at, 0.01 + block.number * (30 if block.catches else 0.1))


async def event(ctx: Ctx, block: Block) -> Any:
    return await ctx.event(block.at, f"topic{round(block.number)}", 40)


async def event_timeout(ctx: Ctx, block: Block) -> Any:
    return await ctx.event(block.at, "never", block.number)


async def raw_sleep(ctx: Ctx, block: Block) -> None:
    await asyncio.sleep(block.number * 0.2)


async def turns(ctx: Ctx, block: Block) -> None:
    for _ in range(int(block.number * 12)):
        await asyncio.sleep(0)
        ctx.note(f"{block.at} turn")


async def sequence(ctx: Ctx, block: Block) -> Any:
    return [await walk(ctx, inner) for inner in block.inside]


async def gather(ctx: Ctx, block: Block) -> Any:
    found = await asyncio.gather(*(walk(ctx, inner) for inner in block.inside), return_exceptions=block.flag)
    return [type(one).__name__ if isinstance(one, BaseException) else one for one in found]


async def chains(ctx: Ctx, block: Block) -> Any:
    async def chain(name: str, lasts: list[float]) -> None:
        for n, seconds in enumerate(lasts):
            ctx.note("link", await ctx.step(f"{block.at}.{name}.{n}", seconds if block.flag else None))

    await asyncio.gather(chain("left", [0.01, 0.05]), chain("right", [0.05, 0.01]))


async def first_completed(ctx: Ctx, block: Block) -> Any:
    done, pending = await asyncio.wait(_tasks(ctx, block), return_when=asyncio.FIRST_COMPLETED)
    ctx.note("winners", len(done))
    await _end_all(ctx, done, False)
    await _end_all(ctx, pending, block.flag)


async def as_completed(ctx: Ctx, block: Block) -> Any:
    for earliest in asyncio.as_completed(_tasks(ctx, block)):
        try:
            ctx.note("next", await earliest)
        except (StepExecutionError, TimeoutError, ExceptionGroup) as error:
            ctx.note("next raised", type(error).__name__)


async def task_group(ctx: Ctx, block: Block) -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(walk(ctx, inner)) for inner in block.inside]
        if block.flag:
            group.create_task(ctx.step(f"{block.at}.bad", fails=True))
    return [task.result() for task in tasks]


async def timeout(ctx: Ctx, block: Block) -> Any:
    async with asyncio.timeout(block.number * 0.3):
        return await walk(ctx, block.inside[0])


async def wait_for(ctx: Ctx, block: Block) -> Any:
    return await asyncio.wait_for(walk(ctx, block.inside[0]), block.number * 0.3)


async def wait_timeout(ctx: Ctx, block: Block) -> Any:
    done, pending = await asyncio.wait(_tasks(ctx, block), timeout=block.number * 0.3)
    ctx.note("done in time", len(done))
    await _end_all(ctx, done, False)
    await _end_all(ctx, pending, block.flag)


def _holding(kind: Callable[[], Any]) -> Callable[[Ctx, Block], Awaitable[Any]]:
    async def held(ctx: Ctx, block: Block) -> Any:
        guard = kind()

        async def one(inner: Block) -> None:
            async with guard:
                ctx.note("inside", inner.at)
                await walk(ctx, inner)

        await asyncio.gather(*(one(inner) for inner in block.inside), ctx.step(f"{block.at}.beside"))

    return held


async def event_flag(ctx: Ctx, block: Block) -> Any:
    flag = asyncio.Event()

    async def waits() -> None:
        await flag.wait()
        await walk(ctx, block.inside[0])

    async def sets() -> None:
        try:
            await walk(ctx, block.inside[1])
        finally:
            flag.set()

    await asyncio.gather(waits(), sets())


async def queue(ctx: Ctx, block: Block) -> Any:
    line: asyncio.Queue[Any] = asyncio.Queue(1)

    async def produce(inner: Block) -> None:
        try:
            await walk(ctx, inner)
        finally:
            await line.put(inner.at)

    async def consume() -> None:
        for n in range(len(block.inside)):
            ctx.note("took", await line.get())
            await ctx.step(f"{block.at}.took.{n}")

    await asyncio.gather(consume(), *(produce(inner) for inner in block.inside))


async def shield(ctx: Ctx, block: Block) -> Any:
    task = asyncio.create_task(walk(ctx, block.inside[0]))
    try:
        async with asyncio.timeout(block.number * 0.15):
            return await asyncio.shield(task)
    except TimeoutError:
        ctx.note("shielded")
        return await task


async def finally_(ctx: Ctx, block: Block) -> Any:
    try:
        async with asyncio.timeout(block.number * 0.2):
            return await walk(ctx, block.inside[0])
    finally:
        ctx.note("cleaned", await ctx.step(f"{block.at}.clean"))


async def polls(ctx: Ctx, block: Block) -> Any:
    task = asyncio.create_task(walk(ctx, block.inside[0]))
    for n in range(4):
        ctx.note("is done", task.done())
        if task.done():
            break
        if block.flag:
            await ctx.step(f"{block.at}.poll.{n}")
        else:
            await asyncio.sleep(0.02 * n)
    await _end_all(ctx, [task], False)


async def cancel(ctx: Ctx, block: Block) -> Any:
    tasks = _tasks(ctx, block)
    if block.flag:
        await ctx.step(f"{block.at}.before")
    else:
        for _ in range(int(block.number * 4)):
            await asyncio.sleep(0)
    ctx.note("cancels", [task.cancel() for task in tasks])
    await _end_all(ctx, tasks, False)


async def task_set(ctx: Ctx, block: Block) -> Any:
    await _end_all(ctx, set(_tasks(ctx, block)), block.flag)


async def background(ctx: Ctx, block: Block) -> Any:
    task = asyncio.create_task(walk(ctx, block.inside[0]))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    await walk(ctx, block.inside[1])  # the task goes on behind the rest, and may never be awaited


async def spin(ctx: Ctx, block: Block) -> Any:
    task = asyncio.create_task(walk(ctx, block.inside[0]))
    count = 0
    while not task.done() and count < 9000:
        count += 1
        await asyncio.sleep(0)
    ctx.note("spun", count)
    await _end_all(ctx, [task], True)


WALKS: dict[str, Callable[[Ctx, Block], Awaitable[Any]]] = {
    "step": step, "flaky": flaky, "failing": failing, "value": value, "sleep": sleep, "event": event,
    "event_timeout": event_timeout, "raw_sleep": raw_sleep, "turns": turns, "sequence": sequence, "gather": gather,
    "chains": chains, "first_completed": first_completed, "as_completed": as_completed, "task_group": task_group,
    "timeout": timeout, "wait_for": wait_for, "wait_timeout": wait_timeout,
    "semaphore": _holding(lambda: asyncio.Semaphore(2)), "lock": _holding(asyncio.Lock), "event_flag": event_flag,
    "queue": queue, "shield": shield, "finally": finally_, "polls": polls, "cancel": cancel, "task_set": task_set,
    "background": background, "spin": spin,
}  # fmt: skip
