"""`polos why`: explains why an execution is where it is, and what to type. Reads only."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Annotated

import typer

from polos.client.bundle import BundleClient
from polos.client.standing import facts_of
from polos.core.explain import explain
from polos.core.model import Execution
from polos.core.standing import Explanation
from polos_cli.output import stderr, stdout
from polos_cli.session import clock_of, execution_json, reading, run_async


def command(
    execution: Annotated[str, typer.Argument(help="A number, an id, the end of one, last, or last:WORKFLOW.")],
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Explain why an execution is where it is."""
    found, explained = run_async(_explain(execution, database))
    if as_json:
        stdout.document(
            {**execution_json(found), "kind": "why", "why": explained.why.value, "headline": explained.headline,
             "details": list(explained.details), "commands": [command for command, _ in explained.commands]}
        )  # fmt: skip
        return
    stdout.data(f"{found.number} {found.workflow_id}: {explained.headline}")
    for line in explained.details:
        stdout.data(f"  {line}")
    if explained.commands:
        width = max(len(command) for command, _ in explained.commands)
        for command, what in explained.commands:
            stderr.say(f"  {command:<{width}}   {what}", "dim")


async def _explain(reference: str, database: str | None) -> tuple[Execution, Explanation]:
    client, name = reading(reference, database)
    async with client:
        found = await client.get(name)
        explained = explain(await facts_of(client, found, clock_of(client).now()))
        if isinstance(client, BundleClient):  # which is looked at as the file it is in, and nothing else is done to it
            shows = tuple((f"polos show {shlex.quote(reference)}", what) for command, what in explained.commands
                          if command == f"polos show {found.number}")  # fmt: skip
            explained = replace(explained, commands=shows)
        return found, explained
