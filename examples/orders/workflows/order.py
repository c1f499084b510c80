"""An order: checked, three things at once, a wait, shipped. Each body notes in a ledger file that it ran."""

import asyncio
import os
from pathlib import Path

from pydantic import BaseModel

from polos import WorkflowContext, current_step, workflow

LEDGER = Path(os.environ.get("ORDERS_LEDGER", "ledger.txt"))


class Order(BaseModel):
    """What is ordered."""

    order_id: str
    amount: int


def note() -> None:
    """Notes outside the database that this step's body ran."""
    step = current_step()
    assert step is not None
    with LEDGER.open("a") as ledger:
        ledger.write(f"{step.step_key}\n")


async def validate(order: Order) -> Order:
    note()
    print(f"order {order.order_id} over {order.amount} is fine")
    return order


async def charge(order: Order) -> dict[str, object]:
    note()
    await asyncio.sleep(0.3)
    return {"payment": f"pay_{order.order_id}", "amount": order.amount}


async def reserve(order: Order) -> str:
    note()
    await asyncio.sleep(0.2)
    return "shelf 7"


async def notify(order: Order) -> bool:
    note()
    await asyncio.sleep(0.1)
    return True


async def ship(shelf: str) -> str:
    note()
    await asyncio.sleep(0.2)
    return f"shipped from {shelf}"


@workflow
async def order(ctx: WorkflowContext, input: Order) -> dict[str, object]:
    """Takes an order through payment, stock and shipping."""
    checked = await ctx.step.run("validate", validate, input)
    payment, shelf, _ = await asyncio.gather(
        ctx.step.run("charge", charge, checked),
        ctx.step.run("reserve", reserve, checked),
        ctx.step.run("notify", notify, checked),
    )
    await ctx.step.wait_for("cooling_off", seconds=2)
    shipped = await ctx.step.run("ship", ship, shelf)
    return {"order_id": checked.order_id, "payment": payment, "shipping": shipped}
