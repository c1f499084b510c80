"""A first workflow: every line that matters says why it is written like this."""

import asyncio

from pydantic import BaseModel

from polos import WorkflowContext, workflow


class Greeting(BaseModel):
    """The input. It is checked before anything is stored, so the workflow never sees a bad one."""

    name: str


# Step bodies are ordinary functions, sync or async. What touches the world (a request, a file, a clock)
# belongs in one: its result is recorded, and a body whose result is recorded never runs again.
def compose(name: str) -> str:
    return f"Hello, {name}!"


async def count_letters(text: str) -> int:
    return sum(letter.isalpha() for letter in text)


def shout(text: str) -> str:
    return text.upper()


def say(line: str) -> str:
    print(line)  # stored with its step: `polos logs last`
    return line


@workflow
async def hello(ctx: WorkflowContext, input: Greeting) -> dict[str, object]:
    """Greets somebody. After a crash it is run again from the top, and recorded steps answer at once."""
    # A step has a key, unique in its execution: the name under which its result is recorded.
    greeting = await ctx.step.run("compose", compose, input.name)

    # Steps run side by side with plain asyncio.
    letters, loud = await asyncio.gather(
        ctx.step.run("count_letters", count_letters, greeting),
        ctx.step.run("shout", shout, greeting),
    )

    # In a loop the key carries what changes, or the second round would be refused.
    said = []
    for number, line in enumerate([greeting, loud]):
        said.append(await ctx.step.run(f"say-{number}", say, line))

    # A durable wait: stop the process here, start it again, and it goes on when the time is up.
    # It may as well say days=3; use it instead of time.sleep.
    await ctx.step.wait_for("pause", seconds=1)

    return {"greeting": greeting, "letters": letters, "said": said}
