"""A program that is killed: orders with every kind of step, run to their end by as many starts as it takes.

Run as ``python -m tests.crash.order_program '{"database": ..., "ledger": ..., ...}'``; see `Plan`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polos import (
    AlreadyResumed,
    EventPayload,
    ExecutionEnded,
    ExecutionHandle,
    NonRetryableError,
    Polos,
    StepExecutionError,
    WorkflowContext,
    crashpoints,
    current_step,
    workflow,
)
from polos.core.status import TERMINAL, Status
from tests.crash.ledger import Ledger, plain


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one start of the program does, and where it dies."""

    database: str
    ledger: str
    durability: str = "full"
    point: str | None = None
    """Dies when this crash point is reached..."""
    occurrence: int = 1
    """...for the n-th time."""
    record: str | None = None
    """Writes the name of each point reached to this file."""
    power: str | None = None
    """Writes the size of the log that is surely on disk to this file, whenever it grows."""
    cut_at_sync: int = 0
    """The power fails while the n-th sync is under way: it holds for a while, and is never acknowledged."""
    mutant: str | None = None
    short: bool = False
    """Only the order, without the clean stop and the execution that diverges."""


LEDGER: Ledger
fickle_code = "old"
priced: Callable[[], None] = lambda: None  # noqa: E731


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────


def note_body() -> int:
    step = current_step()
    assert step is not None
    LEDGER.add("body", step.execution_id, step.step_key, step.attempt, step.idempotency_key)
    return step.attempt


async def reserve(sku: str) -> dict[str, Any]:
    note_body()
    print(f"reserving {sku}")
    return {"sku": sku, "places": [1, 2, 3], "note": None}


def price(places: list[int]) -> int:
    note_body()
    return 2**64 + sum(places)


async def pack(place: int) -> str:
    note_body()
    await asyncio.sleep(0)
    return f"box {place} 📦"


def charge(amount: int) -> bool:
    note_body()
    return False


async def mail(to: str) -> str:
    if note_body() == 1:
        raise ConnectionError("the first attempt never arrives")
    return ""


async def receipt(lines: list[str]) -> list[str]:
    note_body()
    return [line.upper() for line in lines]


async def weigh(boxes: list[str]) -> int:
    note_body()
    return len(boxes)


async def wrap(paper: str) -> dict[str, Any]:
    note_body()
    return {"paper": paper}


# ── workflows ────────────────────────────────────────────────────────────────────────────────────────


async def seen(ctx: WorkflowContext, key: str, call: Any) -> Any:
    value = await call
    LEDGER.add("saw", ctx.execution_id, key, plain(value))
    return value


async def run(ctx: WorkflowContext, key: str, fn: Any, *args: Any) -> Any:
    return await seen(ctx, key, ctx.step.run(key, fn, *args, base_delay=0.01))


@workflow(id="ship")
async def ship(ctx: WorkflowContext, input: dict[str, Any]) -> dict[str, Any]:
    weight = await run(ctx, "weigh", weigh, input["boxes"])
    label = await seen(ctx, "label", ctx.step.suspend("label", {"weight": weight}))
    return {"weight": weight, "label": label.data}


@workflow(id="gift")
async def gift(ctx: WorkflowContext, input: dict[str, Any]) -> dict[str, Any]:
    return {"wrapped": await run(ctx, "wrap", wrap, input["paper"])}


@workflow(id="order")
async def order(ctx: WorkflowContext, input: dict[str, Any]) -> dict[str, Any]:
    reserved = await run(ctx, "reserve", reserve, input["sku"])
    amount = await run(ctx, "price", price, reserved["places"])
    priced()
    boxes = await asyncio.gather(*[run(ctx, f"pack-{place}", pack, place) for place in reserved["places"]])
    await seen(ctx, "tag", ctx.step.uuid("tag"))
    await seen(ctx, "settle", ctx.step.wait_for("settle", seconds=0.05))
    unwanted = asyncio.create_task(ctx.step.wait_for_event("unwanted", topic="never"))
    wrapped = await seen(ctx, "gift", ctx.step.invoke_and_wait("gift", gift, {"paper": "blue"}))
    unwanted.cancel()
    paid = await seen(ctx, "paid", ctx.step.wait_for_event("paid", topic="payments"))
    charged = await run(ctx, "charge", charge, amount)
    handle = await seen(ctx, "ship", ctx.step.invoke("ship", ship, {"boxes": boxes}))
    await seen(ctx, "labelled", ctx.step.resume("labelled", handle, "label", {"code": 0}))
    shipped = await seen(ctx, "shipped", ctx.step.result("shipped", handle))
    await seen(ctx, "tell", ctx.step.publish_event("tell", "orders", {"sku": input["sku"]}))
    await seen(ctx, "cooled", asyncio.sleep(0.01))
    mailed = await run(ctx, "mail", mail, "a@example.org")
    approved = await seen(ctx, "approve", ctx.step.suspend("approve", {"amount": amount}))
    lines = await run(ctx, "receipt", receipt, boxes)
    return {
        "amount": amount, "boxes": boxes, "gift": wrapped, "paid": paid.data, "charged": charged, "shipped": shipped,
        "mailed": mailed, "approved": approved.data, "receipt": lines,
    }  # fmt: skip


async def old_step() -> str:
    note_body()
    return "old"


@workflow(id="fickle")
async def fickle(ctx: WorkflowContext) -> str:
    """Its code changes while it waits, and changes back."""
    if fickle_code == "old":
        first = await run(ctx, "first", old_step)
    else:
        first = await run(ctx, "other", old_step)
    await seen(ctx, "go", ctx.step.wait_for_event("go", topic="signals"))
    return str(first)


async def undo(what: str) -> str:
    note_body()
    return f"{what} undone"


@workflow(id="halted")
async def halted(ctx: WorkflowContext) -> str:
    """Is cancelled while it waits, and clears up."""
    held = await run(ctx, "hold", old_step)
    try:
        await ctx.step.wait_for_event("never", topic="never")
    except asyncio.CancelledError:
        for n in range(2):
            await run(ctx, f"undo-{n}", undo, held)
    return "whatever"


async def breaks(times_before: int) -> str:
    note_body()
    if times_before == 0:
        raise NonRetryableError("not yet")
    return "mended"


@workflow(id="mended")
async def mended(ctx: WorkflowContext) -> str:
    """Fails, and completes once it is retried."""
    sound = await run(ctx, "sound", old_step)
    try:
        return str(sound) + await run(ctx, "broken", breaks, ctx.retry_count)
    except StepExecutionError:
        await run(ctx, "apology", undo, "nothing")
        raise


@workflow(id="greets", trigger_on_event="orders")
async def greets(ctx: WorkflowContext, event: EventPayload) -> Any:
    """Is started by the order's own event."""
    return await run(ctx, "greet", undo, str(event.data["sku"]))


# ── the main program ─────────────────────────────────────────────────────────────────────────────────


async def status_of(polos: Polos, handle: ExecutionHandle) -> Status:
    return (await polos.get(handle)).status


async def reach(polos: Polos, handle: ExecutionHandle, *wanted: Status) -> Status:
    """Waits until the execution is in one of these statuses, or over."""
    while True:
        status = await status_of(polos, handle)
        if status in wanted or status in TERMINAL:
            return status
        await polos.access().changed(handle.id, 0.05)


async def start_order(polos: Polos) -> ExecutionHandle:
    handle = await polos.invoke(order, {"sku": "tea / 茶"}, idempotency_key="order-1")
    LEDGER.add("acknowledged", "start", handle.id)
    return handle


async def until_priced(plan: Plan) -> None:
    """Runs until the order is under way, and stops cleanly."""
    global priced
    loop, under_way = asyncio.get_running_loop(), asyncio.Event()
    priced = lambda: loop.call_soon_threadsafe(under_way.set)  # noqa: E731
    async with Polos(plan.database, durability=plan.durability, run_on="thread", echo=False) as polos:  # type: ignore[arg-type]
        handle = await start_order(polos)
        waits = [
            asyncio.ensure_future(under_way.wait()),
            asyncio.ensure_future(reach(polos, handle, Status.WAITING)),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    priced = lambda: None  # noqa: E731


async def finish_order(polos: Polos) -> None:
    handle = await start_order(polos)
    published = await polos.publish("payments", {"paid": True}, event_id="payment-1")
    LEDGER.add("acknowledged", "event", published.id)
    while await reach(polos, handle, Status.WAITING) not in TERMINAL:
        if any(wait.key == "approve" for wait in await polos.access().read(lambda store: store.waits(handle.id))):
            break
        await polos.access().changed(handle.id, 0.05)
    try:
        await polos.resume(handle, "approve", {"by": "Åsa"})
    except (AlreadyResumed, ExecutionEnded):
        pass
    result = await polos.result(handle, timeout=20)
    LEDGER.add("result", handle.id, plain(result))
    (greeting,) = await polos.list(workflow="greets")
    await polos.result(greeting.id, timeout=20)


async def finish_halted(polos: Polos) -> None:
    handle = await polos.invoke(halted, idempotency_key="halted-1")
    LEDGER.add("acknowledged", "start", handle.id)
    if await reach(polos, handle, Status.WAITING) is Status.WAITING:
        await polos.cancel(handle)
    await reach(polos, handle)


async def finish_mended(polos: Polos) -> None:
    handle = await polos.invoke(mended, idempotency_key="mended-1")
    LEDGER.add("acknowledged", "start", handle.id)
    if await reach(polos, handle) is Status.FAILED:
        await polos.retry(handle)
    result = await polos.result(handle, timeout=20)
    LEDGER.add("result", handle.id, plain(result))


async def finish_fickle(polos: Polos) -> None:
    global fickle_code
    handle = await polos.invoke(fickle, idempotency_key="fickle-1")
    LEDGER.add("acknowledged", "start", handle.id)
    if await reach(polos, handle, Status.WAITING, Status.BLOCKED) is Status.WAITING:
        worker = polos.host.worker
        assert worker is not None
        while worker.running:  # (the file tells that it waits a sync before the worker is told)
            await polos.access().changed(handle.id, 0.01)
        worker.evict_all()
        fickle_code = "new"
        published = await polos.publish("signals", {"go": 1}, event_id="go-1")
        LEDGER.add("acknowledged", "event", published.id)
        status = await reach(polos, handle, Status.BLOCKED)
        assert status is Status.BLOCKED, f"changed code ran on to {status}"
        fickle_code = "old"
    if await status_of(polos, handle) is Status.BLOCKED:
        await polos.retry(handle)
    result = await polos.result(handle, timeout=20)
    LEDGER.add("result", handle.id, plain(result))


async def main(plan: Plan) -> None:
    if not plan.short:
        await until_priced(plan)
    async with Polos(plan.database, durability=plan.durability, run_on="caller", echo=False) as polos:  # type: ignore[arg-type]
        await finish_order(polos)
        if not plan.short:
            await finish_halted(polos)
            await finish_mended(polos)
            await finish_fickle(polos)


def install(plan: Plan) -> None:
    """Puts the crash points, the power meter and the mutant in place."""
    counts: Counter[str] = Counter()
    tape = os.open(plan.record, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if plan.record else None

    def reached(name: str) -> None:
        counts[name] += 1
        if tape is not None:
            os.write(tape, f"{name}\n".encode())
        if name == plan.point and counts[name] == plan.occurrence:
            die()

    crashpoints.install(reached)
    if plan.power is not None:
        from tests.crash.power import install_meter

        install_meter(Path(plan.power), plan.cut_at_sync, die)
    if plan.mutant is not None:
        from tests.planted.mutants import MUTANTS

        MUTANTS[plan.mutant]()


if __name__ == "__main__":
    chosen = Plan(**json.loads(sys.argv[1]))
    LEDGER = Ledger(Path(chosen.ledger))
    install(chosen)
    asyncio.run(main(chosen))
