"""Workflows for the tests of `polos chaos`: one that is as it should be, and some with a fault planted in each."""

from __future__ import annotations

import random
import time
from pathlib import Path

from polos import WorkflowContext, current_step, workflow

LEDGER = Path(__file__).with_name("ledger.txt")


def add(number: int) -> int:
    return number + 1


def charge(number: int) -> str:
    step = current_step()
    assert step is not None
    return f"charged {number}, once per key" if step.idempotency_key else ""


def mail(number: int) -> str:
    """Not idempotent, and does not ask for the key."""
    with LEDGER.open("a") as file:
        file.write(f"sent {number}\n")
    return "sent"


@workflow
async def child(ctx: WorkflowContext, number: int) -> int:
    await ctx.step.wait_for("a while", hours=2)
    return await ctx.step.run("work", add, number)


@workflow
async def sound(ctx: WorkflowContext, number: int) -> list[object]:
    chance = await ctx.step.random("chance")
    total = await ctx.step.run("add", add, number)
    done = await ctx.step.invoke_and_wait("child", child, total)
    paid = await ctx.step.wait_for_event("paid", topic="paid")
    agreed = await ctx.step.suspend("agree", {"total": total})
    return [chance, done, paid.data, agreed.data, await ctx.step.run("charge", charge, total)]


@workflow
async def repeats(ctx: WorkflowContext, number: int) -> str:
    return await ctx.step.run("mail", mail, number)


@workflow
async def tosses(ctx: WorkflowContext, number: int) -> int:
    first = await ctx.step.run("first", add, number)
    if random.random() < 0.5:
        return await ctx.step.run("heads", add, first)
    return await ctx.step.run("tails", add, first)


@workflow
async def draws(ctx: WorkflowContext, number: int) -> list[float]:
    return [await ctx.step.run("first", add, number), random.random()]


@workflow
async def clocks(ctx: WorkflowContext, number: int) -> int:
    return await ctx.step.run("read", lambda: time.perf_counter_ns()) * 0 + number


@workflow
async def breaks(ctx: WorkflowContext, number: int) -> int:
    return await ctx.step.run("divide", lambda: number // 0, max_retries=0)


@workflow
async def hangs(ctx: WorkflowContext, number: int) -> int:
    while True:
        number += 1
