"""The workloads as Polos programs. One process, one workload, one fresh database."""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import time
from typing import Any

from benchmarks.attached import SUFFIX, OtherOwner, other_owner
from benchmarks.durability import watch
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
from polos import Polos, WorkflowContext, workflow

stamps: list[float] = []
crash: dict[str, Any] = {"bodies": 0, "hang": False}


async def trivial(i: int) -> int:
    return i


async def counted(i: int, last: int) -> int:
    crash["bodies"] += 1
    if i == last:
        stamp(HUNG if crash["hang"] else STEP)
        if crash["hang"]:
            await asyncio.sleep(3600)
    return i


@workflow
async def ten(ctx: WorkflowContext) -> None:
    for i in range(10):
        await ctx.step.run(f"s{i}", trivial, i)


@workflow
async def sequence(ctx: WorkflowContext, count: int) -> None:
    stamps.append(time.perf_counter())
    for i in range(count):
        await ctx.step.run(f"s{i}", trivial, i)
        stamps.append(time.perf_counter())


@workflow
async def wide(ctx: WorkflowContext, count: int) -> int:
    return sum(await asyncio.gather(*[ctx.step.run(f"s{i}", trivial, i) for i in range(count)]))


@workflow
async def one(ctx: WorkflowContext) -> int:
    return await ctx.step.run("s", trivial, 1)


@workflow
async def parent(ctx: WorkflowContext, count: int) -> int:
    return sum(await asyncio.gather(*[ctx.step.invoke_and_wait(f"c{i}", one) for i in range(count)]))


@workflow
async def long(ctx: WorkflowContext, count: int) -> None:
    for i in range(count + 1):
        await ctx.step.run(f"s{i}", counted, i, count)


async def measure(polos: Polos, workload: str, count: int, profile: cProfile.Profile | None) -> dict[str, float]:

    async def profiled(work: Any) -> float:
        if profile is None:
            return await timed(work)
        profile.enable()
        try:
            return await timed(work)
        finally:
            profile.disable()

    if workload == "W1":
        at_once = asyncio.Semaphore(100)

        async def go() -> None:
            async with at_once:
                await ten.run(polos)

        async def all_of_them() -> None:
            await asyncio.gather(*[go() for _ in range(count)])

        return {"steps_per_s": count * 10 / await profiled(all_of_them)}
    if workload == "W2":
        await profiled(lambda: sequence.run(polos, count))
        return step_figures(stamps)
    if workload == "W3":
        return {"steps_per_s": count / await profiled(lambda: wide.run(polos, count))}
    if workload == "W4":
        found: list[float] = []

        async def calls() -> None:
            found.extend(await latencies(lambda: one.run(polos), calls_of(count)))

        await profiled(calls)
        return {"p50_ms": percentile(found, 0.5) * 1000, "p99_ms": percentile(found, 0.99) * 1000}
    if workload == "W7":
        return {"children_per_s": count / await profiled(lambda: parent.run(polos, count))}
    raise SystemExit(f"no workload {workload}")


async def crashed(args: argparse.Namespace, count: int) -> None:
    """W5: the process that is killed, or the one after it."""
    crash["hang"] = args.workload == "W5-first"
    async with Polos(f"sqlite:///{args.database}", durability=args.durability, run_on="caller") as polos:
        if crash["hang"]:
            await long.run(polos, count)
            raise SystemExit("was not killed")
        stamp(READY)
        told = watch(polos)
        (last,) = await polos.list(workflow=long, limit=1)
        await polos.result(last)
        answer(figures={}, bodies=crash["bodies"], **told())


async def worked(args: argparse.Namespace, count: int, owner: OtherOwner | None) -> None:
    """Measures one workload; `owner`: the database is another process's, and this one is attached to it."""
    workload = args.workload.removesuffix(SUFFIX)
    profile = cProfile.Profile() if args.profile else None
    async with Polos(
        f"sqlite:///{args.database}", durability=args.durability, run_on="caller", complete=owner is not None
    ) as polos:  # fmt: skip
        told = watch(polos) if owner is None else owner.ask
        await ten.run(polos)
        await wide.run(polos, 2)  # its payload is typed: the first one of a process loads what checks it
        await asyncio.sleep(0.5)
        before, cpu = told(), time.process_time()
        figures = await measure(polos, workload, count, profile)
        figures["cpu_us"] = (time.process_time() - cpu) / units(workload, count) * 1e6
        after = told()
        if owner is not None:
            figures["owner_cpu_us"] = (after["cpu"] - before["cpu"]) / units(workload, count) * 1e6
        if polos.host.owns != (owner is None):
            raise SystemExit("the wrong process owned the database")
        answer(figures=figures, durability=after["durability"], durability_ok=after["durability_ok"])
    if profile is not None:
        profile.dump_stats(args.profile)


async def main() -> None:
    args = arguments()
    count = max(10, round(1000 * args.scale))
    if args.workload.startswith("W5"):
        await crashed(args, count)
    elif args.workload.endswith(SUFFIX):
        with other_owner(args) as owner:
            await worked(args, count, owner)
    else:
        await worked(args, count, None)


if __name__ == "__main__":
    asyncio.run(main())
