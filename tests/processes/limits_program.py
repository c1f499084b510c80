"""What the processes of the tests of limits and events do: ``python -m tests.processes.limits_program ACT OPTIONS``."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from polos import Polos, PolosClient, Queue, WorkflowContext, workflow
from polos.errors import StoreUnavailable
from tests.crash.ledger import Ledger
from tests.processes.flows import DONE, LEDGER, PLACE, body, note, until_open
from tests.processes.program import stop_asked

SEEN = Ledger(PLACE / "seen")
ACKNOWLEDGED = Ledger(PLACE / "acknowledged")
TOPICS = 3
AGAIN = 10
"""Every so many events are sent once more after their answer."""


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────


async def measured(queue: str, key: str, number: int, part: int, gate: str | None) -> dict[str, int]:
    """Tells when it begins and when it ends; with a gate, it ends after that is open."""
    LEDGER.add("begin", queue, key, number, part, time.monotonic_ns())
    noted = note()
    if gate is None:
        await asyncio.sleep(0.002 * (1 + number % 5))
    else:
        while not (PLACE / "gates" / gate).exists():
            await asyncio.sleep(0.005)
    LEDGER.add("end", queue, key, number, part, time.monotonic_ns())
    return noted


async def limited(ctx: WorkflowContext, queue: str, key: str, number: int, wave: int, is_held: bool) -> str:
    """A body, a wait without a place, and another body, which may be held up until the wave's gate is open."""
    LEDGER.add("enter", queue, number)
    await ctx.step.run("one", measured, queue, key, number, 1, None)
    await ctx.step.wait_for_event("wave", topic=f"wave-{wave}")
    await ctx.step.run("two", measured, queue, key, number, 2, f"wave-{wave}" if is_held else None)
    return DONE


@workflow(id="single", queue=Queue("single", 1))
async def single(ctx: WorkflowContext, given: dict[str, Any]) -> str:
    return await limited(ctx, "single", **given)


@workflow(id="triple", queue=Queue("triple", 3))
async def triple(ctx: WorkflowContext, given: dict[str, Any]) -> str:
    return await limited(ctx, "triple", **given)


# ── compensation ─────────────────────────────────────────────────────────────────────────────────────


@workflow(id="never")
async def never(ctx: WorkflowContext) -> None:
    await ctx.step.wait_for_event("never", topic="never")


@workflow(id="middle")
async def middle(ctx: WorkflowContext) -> None:
    await ctx.step.invoke_and_wait("never", never)


@workflow(id="busy")
async def busy(ctx: WorkflowContext) -> None:
    await ctx.step.run("busy", until_open, "never")


@workflow(id="booking")
async def booking(ctx: WorkflowContext) -> str:
    """Undoes what it did, when it is cancelled; the first of these bodies lasts until the gate is open."""
    await ctx.step.run("book", body)
    try:
        await asyncio.gather(ctx.step.invoke_and_wait("middle", middle), ctx.step.invoke_and_wait("busy", busy))
    except asyncio.CancelledError:
        await ctx.step.run("undo-1", until_open, "undo")
        await ctx.step.run("undo-2", body)
        raise
    finally:
        await ctx.step.run("undo-3", body)
        await ctx.step.run("undo-4", body)
    return DONE


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


@workflow(id="follows")
async def follows(ctx: WorkflowContext, topic: str) -> int:
    """Waits for one event of a topic after the other, until the one that says that it is the last."""
    for turn in range(1_000_000):
        key = f"event-{turn}"
        event = await ctx.step.wait_for_event(key, topic=topic)
        SEEN.add("saw", ctx.execution_id, key, event.sequence_id, event.id)
        if event.data["last"]:
            break
    return turn + 1


async def publish(url: str, first: int, publishers: int, events: int) -> None:
    """Publishes, by several publishers at once, and each event until it is acknowledged."""

    async def acknowledged(client: PolosClient, topic: str, event_id: str, data: Any) -> int:
        while True:
            try:
                return (await client.publish(topic, data, event_id=event_id)).sequence
            except StoreUnavailable as error:
                ACKNOWLEDGED.add("refused", event_id, type(error).__name__)
                await asyncio.sleep(0.02)

    async def publisher(client: PolosClient, name: int) -> None:
        for number in range(events):
            topic, event_id, data = f"topic-{(name + number) % TOPICS}", f"{name}-{number}", {"last": False}
            sequence = await acknowledged(client, topic, event_id, data)
            ACKNOWLEDGED.add("ack", topic, event_id, sequence)
            if number % AGAIN == 0:
                ACKNOWLEDGED.add("again", topic, event_id, await acknowledged(client, topic, event_id, data))

    async with PolosClient(url) as client:
        await asyncio.gather(*[publisher(client, first + n) for n in range(publishers)])


# ── the processes ────────────────────────────────────────────────────────────────────────────────────


async def serve(url: str, works: bool = True, **options: Any) -> None:
    """Works, or owns only, until it is asked to stop."""
    stop = stop_asked()
    async with Polos(url, workflows=ALL if works else [], echo=False, complete=works, **options) as polos:
        serving, stopping = asyncio.create_task(polos.serve()), asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        for task in (serving, stopping):
            task.cancel()
        await asyncio.wait({serving, stopping})


ALL = [single, triple, never, middle, busy, booking, follows]
ACTS = {act.__name__: act for act in (serve, publish)}

if __name__ == "__main__":
    asyncio.run(ACTS[sys.argv[1]](**json.loads(sys.argv[2])))
