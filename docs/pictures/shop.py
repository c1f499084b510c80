"""The workflows of the pictures: an order with an attempt that fails, a child, things at once, and a question."""

import asyncio

from pydantic import BaseModel

from polos import WorkflowContext, current_step, workflow


class Order(BaseModel):
    """What is ordered."""

    order_id: str
    amount: int
    express: bool = False


async def validate(order: Order) -> dict[str, object]:
    await asyncio.sleep(0.3)
    return {"order": order.order_id, "ok": True}


async def charge(order: Order) -> dict[str, object]:
    step = current_step()
    await asyncio.sleep(0.7)
    if step is not None and step.attempt == 1:
        raise ConnectionError("the card network did not answer")
    print(f"charged {order.amount} for {order.order_id}")
    return {"payment": f"pay_{order.order_id}", "card": {"brand": "visa", "last4": "4242"}}


async def notify(order: Order) -> bool:
    await asyncio.sleep(0.5)
    return True


async def score(order: Order) -> float:
    await asyncio.sleep(1.2)
    return 0.12


async def ship(order: Order) -> str:
    await asyncio.sleep(0.4)
    return f"parcel {order.order_id}"


@workflow
async def fraud_check(ctx: WorkflowContext, input: Order) -> float:
    """Says how likely it is that an order is fraud."""
    return await ctx.step.run("score", score, input)


@workflow
async def order(ctx: WorkflowContext, input: Order) -> dict[str, object]:
    """Takes an order through payment, a check, a person's approval and shipping."""
    await ctx.step.run("validate", validate, input)
    payment, risk, _ = await asyncio.gather(
        ctx.step.run("charge", charge, input, max_retries=3, base_delay=0.8),
        ctx.step.invoke_and_wait("fraud_check", fraud_check, input),
        ctx.step.run("notify", notify, input),
    )
    answer = await ctx.step.suspend("approve", {"question": f"Ship {input.order_id}?", "risk": risk})
    shipped = await ctx.step.run("ship", ship, input)
    return {"payment": payment, "shipped": shipped, "approved": answer.data["approved"]}


@workflow
async def stock_report(ctx: WorkflowContext, day: str) -> int:
    """Counts what is in stock."""

    def count() -> int:
        raise LookupError(f"no stock list for {day}")

    return await ctx.step.run("count", count, max_retries=0)
