"""`polos retry`: reopens an execution that has failed, was cancelled or is blocked. Runs nothing itself."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from polos.client.client import PolosClient
from polos.client.standing import above
from polos.core.cut import superseded_by_retry
from polos.core.manifest import WorkerInfo
from polos.core.model import Execution, Kind, Outcome, Retried
from polos.core.status import Status
from polos.errors import UsageError
from polos_cli.output import stderr, stdout
from polos_cli.session import client_for, run_async, runner_of
from polos_cli.view.prompt import ask


def command(
    execution: Annotated[str, typer.Argument(help="A number, an id, the end of one, last, or last:WORKFLOW.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask about completed steps that run again.")] = False,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Reopen an execution that failed, was cancelled or is blocked: it goes on from the step that ended it."""
    found, done, runner = run_async(_retry(execution, yes, database))
    if as_json:
        stdout.document(
            {"kind": "retried", "v": 1, "execution": found.id, "number": found.number, "life": done.life,
             "superseded": list(done.superseded), "reopened": list(done.reopened)}
        )  # fmt: skip
        return
    own = [key for key in done.superseded if not key.startswith("polos:")]
    where = f" from {own[0]!r} on" if own else ""
    if found.status is Status.CANCELLED:
        where = " from where it was cancelled"
    elif found.error_type == "WorkflowTimeoutError":
        where = " from where its time was over, with all of it again"
    stderr.say(f"execution {found.number} ({found.workflow_id}) goes on{where}", "green")
    children = [number for number in done.reopened if number != found.number]
    if children:
        noun = "child" if len(children) == 1 else "children"
        stderr.say(f"reopened with it: {noun} {', '.join(map(str, children))}")
    goes_on = f"in process {runner.pid}" if runner else "no worker runs it now"
    stderr.say(f"{goes_on}: polos {'show' if runner else 'run --attach'} {found.number}", "dim")


async def _retry(reference: str, yes: bool, database: str | None) -> tuple[Execution, Retried, WorkerInfo | None]:
    async with client_for(database) as client:
        found = await client.get(reference)
        if not yes:
            await _agreed(client, found)
        done = await client.retry(found)
        return found, done, await runner_of(client, found)


async def _agreed(client: PolosClient, found: Execution) -> None:
    """Asks where completed steps would run again; on no terminal it is refused."""
    if found.status not in (Status.FAILED, Status.CANCELLED):
        return
    taken = superseded_by_retry(await client.journal(found), found.cause_key)
    again = [e.key for e in taken if e.outcome is Outcome.COMPLETED and e.kind is not Kind.STOP]
    if not again:
        return
    _, _, is_refused = await client.access().read(lambda store: above(store, found))
    if is_refused:
        return  # it says so itself
    noun = "step" if len(again) == 1 else "steps"
    came, then = "what ended it", "will run again"
    if any(one.kind is Kind.STOP for one in taken):
        came, then = "it was stopped", "are not undone, and run again when the code asks for them again"
    told = f"{len(again)} completed {noun} came after {came}, and {then}: {', '.join(again)}"
    if not sys.stdin.isatty():
        raise UsageError(told, hint=f"if that is what you want: polos retry {found.number} --yes")
    stderr.say(told, "yellow")
    answer = await ask("retry? [y]es, [n]o: ")
    if (answer or "").strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was changed")
