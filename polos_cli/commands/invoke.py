"""`polos invoke`: starts an execution and prints its id. Runs nothing."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
import typer

from polos.authoring.handle import ExecutionHandle
from polos.authoring.workflow import Workflow
from polos.client.client import PolosClient
from polos.client.standing import facts_of
from polos.core.durations import SECOND, parse_duration, show_duration
from polos.core.explain import explain
from polos.core.standing import Why
from polos.core.status import TERMINAL, Status
from polos.errors import UsageError
from polos.settings import Settings
from polos_cli.options import FORMS, read_input
from polos_cli.output import stderr, stdout
from polos_cli.session import client_for, clock, owner_facts, run_async, runner_of, settings_for, workflow_here


def command(
    workflow: Annotated[str, typer.Argument(help="A workflow's id, or file.py:name.")],
    input: Annotated[list[str] | None, typer.Argument(help=FORMS)] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key gives back the same execution.")] = None,
    delay: Annotated[str | None, typer.Option(help="Start it after a span of time: 30s, 5m, 2h.")] = None,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Start a workflow and print its execution's id."""
    settings = settings_for(database)
    is_there = settings.database.startswith("http") and not workflow.partition(":")[0].endswith(".py")
    found: Workflow | None = None
    if not is_there:  # else the server's code is what counts
        found = workflow_here(settings, workflow)
    seconds = None
    if delay is not None:
        try:
            seconds = parse_duration(delay) / SECOND
        except ValueError as error:
            raise UsageError(str(error)) from None

    async def start() -> tuple[ExecutionHandle, str]:
        async with client_for(database, may_be_new=True) as client:
            schema = await _schema(client, workflow) if found is None else found.input_schema()
            handle: ExecutionHandle = await client.invoke(
                found or workflow, read_input(input or [], schema), idempotency_key=idempotency_key, delay=seconds
            )
            return handle, await _whither(client, handle, settings)

    handle, whither = run_async(start())
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
    stderr.say(f"execution {handle.number} {whither}", "dim")


async def _schema(client: PolosClient, workflow: str) -> dict[str, Any]:
    """Returns the input schema that the newest workers have told of; empty where none has."""
    declared = await client.access().read(lambda store: store.declared())
    about = next((one.about for one in declared if one.workflow_id == workflow), "")
    schema = orjson.loads(about).get("input_schema") if about else None
    return schema if isinstance(schema, dict) else {}


async def _whither(client: PolosClient, handle: ExecutionHandle, settings: Settings) -> str:
    """Returns where it goes from here."""
    execution = await client.get(handle)
    runner = await runner_of(client, execution)
    if runner is None:
        if (await owner_facts(settings)).get("keeps"):
            return "is queued; polos dev is up, and has no worker for it just now: see what it says"
        return f"is queued; nothing runs it yet: polos worker, or polos run --attach {handle.number}"
    if execution.status in TERMINAL:
        return f"is {execution.status.value}: polos show {handle.number}"
    if execution.available_at > clock.now() and execution.status is Status.QUEUED:
        left = show_duration(execution.available_at - clock.now())
        return f"starts in {left}, in process {runner.pid}: polos show {handle.number}"
    if execution.status is Status.QUEUED and execution.queue:
        told = explain(await facts_of(client, execution, clock.now()))
        if told.why is Why.IN_QUEUE:
            return f"is queued: {told.headline}"
    return f"runs in process {runner.pid}: polos show {handle.number}"
