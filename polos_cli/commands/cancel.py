"""`polos cancel`: ends an execution and its children. Waits for nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from polos.core.model import Execution, Stopped
from polos_cli.output import stderr, stdout
from polos_cli.session import client_for, run_async


def command(
    execution: Annotated[str, typer.Argument(help="A number, an id, the end of one, last, or last:WORKFLOW.")],
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """End an execution, and its children; their code may clear up."""
    found, done = run_async(_cancel(execution, database))
    if as_json:
        stdout.document(
            {"kind": "cancelled", "v": 1, "execution": found.id, "number": found.number, "ended": list(done.ended),
             "ending": list(done.ending)}
        )  # fmt: skip
        return
    if done.ended:
        stderr.say(f"cancelled: {_named(done.ended)}", "green")
    if done.ending:
        stderr.say(f"told to clear up, and cancelled after that: {_named(done.ending)}", "green")
        stderr.say(f"follow it: polos show {done.ending[0]} -f", "dim")
    if not done.ended and not done.ending:
        stderr.say(f"execution {found.number} was cancelled before", "dim")
    if found.parent_id is None:
        stderr.say(f"to go on with it after all: polos retry {found.number}", "dim")
    elif done.ended or done.ending:
        stderr.say("its parent receives that: where it awaits it, it gets ChildCancelled", "dim")


async def _cancel(reference: str, database: str | None) -> tuple[Execution, Stopped]:
    async with client_for(database) as client:
        found = await client.get(reference)
        return found, await client.cancel(found)


def _named(numbers: tuple[int, ...]) -> str:
    noun = "execution" if len(numbers) == 1 else "executions"
    return f"{noun} {', '.join(map(str, numbers[:20]))}" + (", …" if len(numbers) > 20 else "")
