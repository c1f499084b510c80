"""The load of the benchmark `dashboard`: stores executions, or runs ten steps fifty times a second. Prints one line of JSON."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time

from benchmarks.dashboard import PER_SECOND
from polos import BatchWorkflowInput, Polos, WorkflowContext, workflow

STEPS = 10
_AT_ONCE = 500


@workflow
async def stored(ctx: WorkflowContext, number: int) -> int:
    if number % 100 == 0:
        raise ValueError("each hundredth")
    return number


@workflow
async def steps(ctx: WorkflowContext, number: int) -> int:
    for at in range(STEPS):
        await ctx.step.run(f"step-{at}", lambda at=at: {"at": at, "of": number})
    return number


async def store(polos: Polos, count: int) -> None:
    for first in range(0, count, _AT_ONCE):
        size = min(_AT_ONCE, count - first)
        handles = await polos.batch_invoke([BatchWorkflowInput(stored, first + at) for at in range(size)])
        for handle in handles:
            try:
                await handle.result()
            except Exception as error:
                assert "each hundredth" in str(error), error


async def run(polos: Polos, seconds: float) -> dict[str, float]:
    """Starts executions at a steady pace."""
    took: list[float] = []
    loop = asyncio.get_running_loop()

    async def one(number: int) -> int:
        began = loop.time()
        handle = await polos.invoke(steps, number)
        await handle.result()
        took.append((loop.time() - began) * 1000)
        return handle.number

    began, cpu = loop.time(), time.process_time()
    going: set[asyncio.Task[int]] = set()
    last = 0
    for number in range(int(seconds * PER_SECOND)):
        await asyncio.sleep(max(0.0, began + number / PER_SECOND - loop.time()))
        task = asyncio.create_task(one(number))
        going.add(task)
        task.add_done_callback(going.discard)
    for task in list(going):
        last = max(last, await task)
    spent = loop.time() - began
    return {
        "steps_per_s": len(took) * STEPS / spent, "p50_ms": statistics.median(took), "last": last,
        "cpu_us": (time.process_time() - cpu) / (len(took) * STEPS) * 1e6,
    }  # fmt: skip


async def main() -> None:
    database, what, amount = sys.argv[1:]
    async with Polos(f"sqlite:///{database}", echo=False, run_on="caller", workflows=[stored, steps]) as polos:
        if what == "store":
            await store(polos, int(amount))
            print(json.dumps({"stored": int(amount)}))
        else:
            print(json.dumps(await run(polos, float(amount))))


if __name__ == "__main__":
    asyncio.run(main())
