"""`polos invoke`: starts an execution and prints its id. Runs nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from polos.authoring.handle import ExecutionHandle
from polos.core.durations import SECOND, parse_duration
from polos.core.manifest import WorkerInfo
from polos.errors import UsageError
from polos.local.project import workflow_named
from polos_cli.options import FORMS, read_input
from polos_cli.output import stderr, stdout
from polos_cli.session import client_for, run_async, runner_of, settings_for, warn_of_broken


def command(
    workflow: Annotated[str, typer.Argument(help="A workflow's id, or file.py:name.")],
    input: Annotated[list[str] | None, typer.Argument(help=FORMS)] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key gives back the same execution.")] = None,
    delay: Annotated[str | None, typer.Option(help="Start it after a span of time: 30s, 5m, 2h.")] = None,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Start a workflow and print its execution's id."""
    found = workflow_named(settings_for(database), workflow, warn_of_broken)
    payload = read_input(input or [], found.input_schema())
    seconds = None
    if delay is not None:
        try:
            seconds = parse_duration(delay) / SECOND
        except ValueError as error:
            raise UsageError(str(error)) from None

    async def start() -> tuple[ExecutionHandle, WorkerInfo | None]:
        async with client_for(database, may_be_new=True) as client:
            handle: ExecutionHandle = await found.invoke(
                client, payload, idempotency_key=idempotency_key, delay=seconds
            )
            return handle, await runner_of(client, await client.get(handle))

    handle, runner = run_async(start())
    if as_json:
        stdout.document(
            {
                "kind": "started",
                "v": 1,
                "id": handle.id,
                "number": handle.number,
                "workflow": handle.workflow_id,
            }
        )
    else:
        stdout.data(handle.id)
    if runner is not None:
        stderr.say(f"execution {handle.number} runs in process {runner.pid}: polos show {handle.number}", "dim")
    else:
        stderr.say(
            f"execution {handle.number} is queued; nothing runs it yet: polos worker, or polos run --attach {handle.number}",
            "dim",
        )
