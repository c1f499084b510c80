"""The workloads as DBOS programs, on SQLite. Runs in the peer's own environment; imports nothing of Polos.

Workflows are awaited directly, which was the fastest way that DBOS offers here; W4 takes the
better of two ways.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from dbos import DBOS
from sqlalchemy import event
from sqlalchemy.engine import Engine

from benchmarks.side import (
    HUNG,
    READY,
    STEP,
    answer,
    arguments,
    calls_of,
    latencies,
    percentile,
    stamp,
    step_figures,
    timed,
    units,
)

args = arguments()
stamps: list[float] = []
crash: dict[str, Any] = {"bodies": 0, "hang": args.workload == "W5-first"}
connections: set[tuple[str, int]] = set()


@event.listens_for(Engine, "connect")
def set_durability(connection: Any, _record: Any) -> None:
    """Every connection of every engine: the same durability as the other side, set and read back."""
    if args.durability == "relaxed" or args.journal == "wal":
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = " + ("FULL" if args.durability == "full" else "NORMAL"))
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    connections.add((mode, connection.execute("PRAGMA synchronous").fetchone()[0]))


@DBOS.step()
async def trivial(i: int) -> int:
    return i


@DBOS.step()
async def counted(i: int, last: int) -> int:
    crash["bodies"] += 1
    if i == last:
        stamp(HUNG if crash["hang"] else STEP)
        if crash["hang"]:
            await asyncio.sleep(3600)
    return i


@DBOS.workflow()
async def ten() -> None:
    for i in range(10):
        await trivial(i)


@DBOS.workflow()
async def sequence(count: int) -> None:
    stamps.append(time.perf_counter())
    for i in range(count):
        await trivial(i)
        stamps.append(time.perf_counter())


@DBOS.workflow()
async def wide(count: int) -> int:
    return sum(await asyncio.gather(*[trivial(i) for i in range(count)]))


@DBOS.workflow()
async def one() -> int:
    return await trivial(1)


@DBOS.workflow()
async def parent(count: int) -> int:
    return sum(await asyncio.gather(*[one() for _ in range(count)]))


@DBOS.workflow()
async def long(count: int) -> None:
    for i in range(count + 1):
        await counted(i, count)


def told() -> dict[str, Any]:
    """Tells what durability every connection had."""
    wanted = 2 if args.durability == "full" else 1
    how = " and ".join(f"journal_mode={mode} synchronous={level}" for mode, level in sorted(connections))
    equal = all(level == wanted for _, level in connections)
    return {"durability": how + " on every connection", "durability_ok": equal}


async def measure(workload: str, count: int) -> dict[str, float]:
    if workload == "W1":
        at_once = asyncio.Semaphore(100)

        async def go() -> None:
            async with at_once:
                await ten()

        async def all_of_them() -> None:
            await asyncio.gather(*[go() for _ in range(count)])

        return {"steps_per_s": count * 10 / await timed(all_of_them)}
    if workload == "W2":
        await sequence(count)
        return step_figures(stamps)
    if workload == "W3":
        return {"steps_per_s": count / await timed(lambda: wide(count))}
    if workload == "W4":

        async def by_handle() -> None:
            await (await DBOS.start_workflow_async(one)).get_result()

        ways = [await latencies(way, calls_of(count)) for way in (one, by_handle)]
        found = min(ways, key=lambda seconds: percentile(seconds, 0.5))
        return {"p50_ms": percentile(found, 0.5) * 1000, "p99_ms": percentile(found, 0.99) * 1000}
    if workload == "W7":
        return {"children_per_s": count / await timed(lambda: parent(count))}
    raise SystemExit(f"no workload {workload}")


async def main() -> None:
    DBOS(
        config={
            "name": "benchmark", "system_database_url": f"sqlite:///{args.database}", "log_level": "ERROR",
            "application_version": "1", "executor_id": "benchmark",
        }
    )  # fmt: skip
    DBOS.launch()
    count = max(10, round(1000 * args.scale))
    try:
        if args.workload == "W5-first":
            await long(count)
            raise SystemExit("was not killed")
        if args.workload == "W5-again":
            stamp(READY)
            while not (pending := await DBOS.list_workflows_async(name="long")):
                await asyncio.sleep(0.01)
            await (await DBOS.retrieve_workflow_async(pending[0].workflow_id)).get_result()
            answer(figures={}, bodies=crash["bodies"], **told())
            return
        await ten()
        await wide(2)
        await asyncio.sleep(0.5)
        cpu = time.process_time()
        figures = await measure(args.workload, count)
        ways = 2 if args.workload == "W4" else 1
        figures["cpu_us"] = (time.process_time() - cpu) / (ways * units(args.workload, count)) * 1e6
        answer(figures=figures, **told())
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
