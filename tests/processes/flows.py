"""The workflows that the processes run. Every body notes itself in a ledger outside the database before it works.

`PLACE` in the environment is the folder of the ledger and of the gates that bodies wait at.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from polos import WorkflowContext, current_step, workflow
from tests.crash.ledger import Ledger

PLACE = Path(os.environ["PLACE"])
LEDGER = Ledger(PLACE / "ledger")
DONE = "done"
PARTS = 3


def note() -> dict[str, int]:
    """Notes that a body runs; what it returns tells its record which of the runs it is the record of."""
    step = current_step()
    assert step is not None
    LEDGER.add("body", step.execution_id, step.step_key, step.attempt, step.idempotency_key)
    return {"pid": os.getpid(), "attempt": step.attempt}


def is_open(gate: str) -> bool:
    return (PLACE / "gates" / gate).exists()


async def body(seconds: float = 0.0) -> dict[str, int]:
    noted = note()
    await asyncio.sleep(seconds)
    return noted


def threaded() -> dict[str, int]:
    noted = note()
    time.sleep(0.001)
    return noted


async def until_open(gate: str) -> dict[str, int]:
    noted = note()
    while not is_open(gate):
        await asyncio.sleep(0.01)
    return noted


@workflow(id="leaf")
async def leaf(ctx: WorkflowContext) -> str:
    await ctx.step.run("only", body)
    return DONE


@workflow(id="mixed")
async def mixed(ctx: WorkflowContext, seconds: float) -> str:
    """Steps, a gather, a timer, a child and an event that all executions wait for; below 0 its last body is held up."""
    await ctx.step.run("first", body, seconds)
    parts = [threaded if part == 0 else body for part in range(PARTS)]
    await asyncio.gather(*[ctx.step.run(f"part-{part}", fn) for part, fn in enumerate(parts)])
    await ctx.step.wait_for("pause", seconds=0.02)
    await ctx.step.invoke_and_wait("child", leaf)
    await ctx.step.wait_for_event("go", topic="go")
    if seconds < 0:
        await ctx.step.run("last", until_open, "half")
    else:
        await ctx.step.run("last", body, seconds)
    return DONE


@workflow(id="quick")
async def quick(ctx: WorkflowContext) -> dict[str, int]:
    return dict(await ctx.step.run("only", body))


@workflow(id="held")
async def held(ctx: WorkflowContext, gate: str) -> dict[str, Any]:
    """Its second body lasts until the gate is open."""
    await ctx.step.run("before", body)
    noted = await ctx.step.run("held", until_open, gate)
    after = await ctx.step.run("after", body)
    return {"held": noted["pid"], "attempt": noted["attempt"], "after": after["pid"]}


@workflow(id="family")
async def family(ctx: WorkflowContext, gate: str) -> dict[str, Any]:
    """A child before and after a body that lasts until the gate is open."""
    await ctx.step.invoke_and_wait("elder", leaf)
    noted = await ctx.step.run("held", until_open, gate)
    await ctx.step.invoke_and_wait("younger", leaf)
    return dict(noted)


@workflow(id="wanders")
async def wanders(ctx: WorkflowContext) -> list[int]:
    """Waits for an event, three times over, and tells where it was after each."""
    pids = []
    for turn in range(3):
        await ctx.step.wait_for_event(f"event-{turn}", topic=f"turn-{turn}")
        pids.append((await ctx.step.run(f"body-{turn}", body))["pid"])
    return pids


@workflow(id="slow")
async def slow(ctx: WorkflowContext, seconds: float) -> str:
    await ctx.step.run("first", body, seconds)
    await ctx.step.run("second", body)
    return DONE


@workflow(id="blocking")
async def blocking(ctx: WorkflowContext, gate: str) -> str:
    """Blocks the loop in workflow code, until the gate is open."""
    while not is_open(gate):
        time.sleep(0.05)  # the line that is told
    await ctx.step.run("only", body)
    return DONE


async def timed(line: str, n: int, part: str) -> None:
    """Notes when it begins and ends, by the machine's clock, which all processes share."""
    LEDGER.add("begins", line, n, part, time.monotonic_ns())
    await asyncio.sleep(0.002)
    LEDGER.add("ends", line, n, part, time.monotonic_ns())


async def in_line(ctx: WorkflowContext, input: dict[str, Any]) -> str:
    """A body, an event that all wait for, and another body."""
    await ctx.step.run("first", timed, input["line"], input["n"], "first")
    await ctx.step.wait_for_event("go", topic="lines")
    await ctx.step.run("second", timed, input["line"], input["n"], "second")
    return DONE


one_at_once = workflow(id="one_at_once", queue={"name": "one", "concurrency_limit": 1})(in_line)
three_at_once = workflow(id="three_at_once", queue={"name": "three", "concurrency_limit": 3})(in_line)


@workflow(id="trip")
async def trip(ctx: WorkflowContext) -> str:
    """Is cancelled while it waits for a child, and makes up for what it did."""
    await ctx.step.run("book", body)
    try:
        await ctx.step.invoke_and_wait("pay", waits_for_ever)
    except asyncio.CancelledError:
        await ctx.step.run("undo-0", until_open, "undo")
        for n in range(1, 3):
            await ctx.step.run(f"undo-{n}", body)
        raise
    return DONE


@workflow(id="waits_for_ever")
async def waits_for_ever(ctx: WorkflowContext) -> None:
    try:
        await ctx.step.wait_for_event("never", topic="never")
    finally:
        await ctx.step.run("left", body)


@workflow(id="listens")
async def listens(ctx: WorkflowContext, input: dict[str, Any]) -> list[int]:
    """Tells the sequences of the first events that it sees on a topic."""
    seen = []
    for n in range(input["count"]):
        seen.append((await ctx.step.wait_for_event(f"event-{n}", topic=input["topic"])).sequence_id)
    return seen


ALL = [
    leaf, mixed, quick, held, family, wanders, slow, blocking, one_at_once, three_at_once, trip, waits_for_ever, listens,
]  # fmt: skip
