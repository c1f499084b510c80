"""Races that were run live, with timing by chance, have the same winner and the same values in each replay (S1.6)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

from polos import Polos, WorkflowContext
from polos.authoring.registry import Registry
from polos.authoring.workflow import Workflow
from polos.clock import SystemClock, SystemRng, TimeOrderedIds
from polos.core.codec import plain
from polos.core.model import Outcome
from polos.worker.replay import History, Replayer, silence

RACES = 1_000
AT_ONCE = 50


async def nap(name: str) -> str:
    await asyncio.sleep(random.random() * 0.004)
    return f"{name} {random.random()}"


def quick(name: str) -> str:
    return f"{name} {random.random()}"


async def race(ctx: WorkflowContext, number: int) -> dict[str, Any]:
    """Three sorts of race, each decided by which body ends first."""

    async def chain(name: str) -> list[str]:
        first = await ctx.step.run(f"{name} 1", random.choice((nap, quick)), name)
        order.append(name)
        return [first, await ctx.step.run(f"{name} 2", nap, name)]

    order: list[str] = []
    tasks = {asyncio.create_task(ctx.step.run(f"sprint {name}", nap, name), name=name) for name in "abcd"}
    done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    winners = sorted(task.get_name() for task in done)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    chains = await asyncio.gather(*(chain(name) for name in ("left", "middle", "right")))
    arrivals = []
    for arriving in asyncio.as_completed([ctx.step.run(f"as {name}", nap, name) for name in "xyz"]):
        arrivals.append(await arriving)
    return {"winners": winners, "chains": chains, "order": order, "arrivals": arrivals}


async def test_a_thousand_races_replay_as_they_were_run(tmp_path: Path) -> None:
    flow = Workflow(race, id="races.live", description=None, run_timeout_seconds=None)
    async with Polos(f"sqlite:///{tmp_path}/races.db", workflows=[flow], durability="relaxed", echo=False) as polos:
        numbers = iter(range(RACES))
        ended: list[Any] = []

        async def some() -> None:
            for number in numbers:
                handle = await flow.invoke(polos, number)
                await handle.result(60)
                ended.append(await polos.get(handle.id))

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        read = polos.access().read
        histories = [
            History(execution=one, entries=await read(lambda store, one=one: store.journal(one.id)))  # type: ignore[misc]  # a bound default
            for one in ended
        ]
    first = Counter(plain(one.result)["winners"][0] for one in ended)
    orders = Counter(tuple(plain(one.result)["order"]) for one in ended)
    assert len(ended) == RACES and len(first) == 4 and len(orders) == 6, "chance has decided each of them"
    replayer = Replayer(Registry([flow]), clock=SystemClock(), ids=TimeOrderedIds(), rng=SystemRng())
    with silence():
        for history in histories:
            verdict = await replayer.replay(history, 30)
            assert (verdict.kind, verdict.ends, verdict.message) == ("continues", Outcome.COMPLETED, "")
            assert verdict.value == history.execution.result, history.execution.number
