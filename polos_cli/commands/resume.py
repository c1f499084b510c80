"""`polos resume`: answers an execution that waits for a person. Runs nothing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from polos.core import jsontext
from polos.core.completing import command_for
from polos.core.forms import fields_of
from polos.core.manifest import WorkerInfo
from polos.core.model import Execution, Kind, PendingWait
from polos.core.status import TERMINAL, Status
from polos.errors import UsageError
from polos_cli.options import FORMS, read_answer, read_input
from polos_cli.output import stderr, stdout
from polos_cli.session import client_for, run_async, runner_of
from polos_cli.view import prompt


def command(
    execution: Annotated[str, typer.Argument(help="A number, an id, the end of one, last, or last:WORKFLOW.")],
    step: Annotated[str | None, typer.Argument(help="The suspend's key; not needed when there is just one.")] = None,
    data: Annotated[list[str] | None, typer.Argument(help=FORMS)] = None,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Answer an execution that waits for a person."""
    if step is not None and not data and ("=" in step or step[:1] in "{[@" or step == "-"):
        data, step = [step], None  # one open suspend needs no name
    found, key, answer, runner, asking = run_async(_resume(execution, step, data, database))
    if as_json:
        stdout.document(
            {
                "kind": "resumed",
                "v": 1,
                "execution": found.id,
                "number": found.number,
                "step": key,
                "data": answer,
            }
        )
        return
    if key not in asking:
        others = f"; these ask now: {', '.join(asking)}" if asking else ""
        stderr.warn(
            f"{key} of execution {found.number} ({found.workflow_id}) has not asked yet{others}",
            "the answer is kept, and used when a step of that name asks",
        )
        return
    stderr.say(f"answered {key} of execution {found.number} ({found.workflow_id})", "green")
    if found.status is Status.BLOCKED:
        stderr.say(f"it is blocked: the answer is kept until it goes on. See why: polos why {found.number}", "yellow")
    elif found.status not in TERMINAL:
        goes_on = f"it goes on in process {runner.pid}" if runner else "no worker runs it now"
        stderr.say(f"{goes_on}: polos {'show' if runner else 'run --attach'} {found.number}", "dim")


async def _resume(
    reference: str, step: str | None, data: list[str] | None, database: str | None
) -> tuple[Execution, str, Any, WorkerInfo | None, list[str]]:
    async with client_for(database) as client:
        found = await client.get(reference)
        open_ = [w for w in await client.access().read(lambda store: store.waits(found.id)) if w.kind is Kind.SUSPEND]
        key = step or _only(found, open_)
        wait = next((one for one in open_ if one.key == key), None)
        answer = _read(found, data, wait) if data else await _asked(found, key, wait)
        await client.resume(found.id, key, answer)
        runner = await runner_of(client, found, may_be_shown=True)
        return await client.get(found.id), key, answer, runner, [wait.key for wait in open_]  # it may have ended by now


def _read(found: Execution, data: list[str], wait: PendingWait | None) -> Any:
    """Returns the answer as it was typed, which fits the question's form. Raises `UsageError`."""
    fields = fields_of(wait.request) if wait else []
    if wait and fields:
        answer, mistakes = read_answer(data, fields)
        if mistakes:
            raise UsageError(
                "the answer does not fit the form:\n" + "\n".join(f"  {one}" for one in mistakes),
                hint=f"for example: {command_for(found.number, wait)}",
            )
        return answer
    answer = read_input(data)
    if not isinstance(answer, dict) or "=" not in data[0]:
        return answer
    # ``approved=no`` means False: as text it would count as true.
    words = {"yes": True, "no": False}
    return {name: words.get(value, value) if isinstance(value, str) else value for name, value in answer.items()}


def _only(found: Execution, open_: list[PendingWait]) -> str:
    if len(open_) == 1:
        return open_[0].key
    if not open_:
        raise UsageError(
            f"execution {found.number} waits for no answer now (it is {found.status.value})",
            hint=f"to answer ahead of the wait, name its step: polos resume {found.number} STEP DATA",
        )
    keys = ", ".join(wait.key for wait in open_)
    raise UsageError(f"execution {found.number} waits for several answers: {keys}", hint="name the step")


async def _asked(found: Execution, key: str, wait: PendingWait | None) -> Any:
    if not prompt.is_there():
        example = command_for(found.number, wait) if wait else f"polos resume {found.number} {key} DATA"
        raise UsageError("an answer is needed", hint=f"for example: {example}")
    request = jsontext.loads(wait.request) if wait and wait.request else None
    for line in prompt.question_of(request, key):
        stderr.say(line)
    given, answer = await prompt.answer_for(request)
    if not given:
        raise UsageError("nothing was answered")
    return answer
