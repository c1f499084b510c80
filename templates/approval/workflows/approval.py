"""A purchase that a person approves: the workflow waits for the answer, for seconds or for weeks."""

from pydantic import BaseModel, PositiveFloat

from polos import WorkflowContext, current_step, workflow


class Purchase(BaseModel):
    """The request. It is checked before anything is stored; every wrong field is named."""

    item: str
    amount: PositiveFloat
    currency: str = "EUR"


def look_up_budget(item: str) -> dict[str, object]:
    """Stands for a request to another system."""
    return {"item": item, "budget": 5000}


def place_order(item: str, amount: float) -> str:
    """Does what must not be done twice."""
    # A crash between the order and its record repeats this body, with the same key each time:
    # give it to the other side (as most payment services let you), and twice is once.
    step = current_step()
    key = step.idempotency_key if step else "outside a workflow"
    print(f"ordering {item} for {amount:.2f} ({key})")
    return f"order of {item}"


def tell(text: str) -> None:
    """Stands for a message to the person who asked."""
    print(text)


@workflow
async def approval(ctx: WorkflowContext, input: Purchase) -> dict[str, object]:
    """Asks before it buys."""
    budget = await ctx.step.run("look_up_budget", look_up_budget, input.item)

    # The execution rests here until someone answers; it costs nothing, and survives restarts.
    # `data` is shown to whoever is asked. On a terminal `polos run` asks right away; otherwise:
    #   polos resume last await_approval approved:=true
    answer = await ctx.step.suspend(
        "await_approval",
        data={
            "question": f"Buy {input.item} for {input.amount:.2f} {input.currency}?",
            "item": input.item,
            "amount": input.amount,
            "budget": budget["budget"],
        },
    )

    # From here on the answer is recorded: a crash cannot lose it, and nobody is asked twice.
    if answer.data["approved"]:
        order = await ctx.step.run("execute", place_order, input.item, input.amount)
        return {"approved": True, "order": order}

    await ctx.step.run("tell", tell, f"{input.item} was not approved")
    return {"approved": False, "reason": answer.data.get("reason")}
