"""`polos run`: starts a workflow and shows it live until it ends, run in this process unless an engine is there for it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from polos.authoring.registry import REGISTRY, unknown
from polos.authoring.workflow import Workflow
from polos.client.outcome import blocked_error
from polos.core import codec
from polos.core.model import Execution
from polos.core.status import TERMINAL, Status
from polos.errors import UnknownWorkflow, UsageError
from polos.local.polos import Polos
from polos.local.project import load_environment
from polos.settings import Settings, make_project
from polos.worker.identity import changed_on_disk
from polos_cli import errors
from polos_cli.options import FORMS, read_input
from polos_cli.output import stderr, stdout
from polos_cli.session import (
    client_for,
    execution_json,
    modules_here,
    run_async,
    runner_of,
    settings_for,
    workflow_here,
)
from polos_cli.view.live import LiveView
from polos_cli.view.prompt import ask_line


def command(
    workflow: Annotated[
        str, typer.Argument(help="A workflow's id, or file.py:name. With --attach only for a file's.")
    ] = "",
    input: Annotated[list[str] | None, typer.Argument(help=FORMS)] = None,
    attach: Annotated[
        str | None,
        typer.Option("--attach", metavar="EXECUTION", help="Go on with an execution that is there."),
    ] = None,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for the end; the execution stays resumable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON document.")] = False,
) -> int:
    """Start a workflow, watch it live, print its result."""
    if not (workflow or attach) or (attach and input):
        raise UsageError(
            "name a workflow, or an execution to go on with",
            hint="polos run WORKFLOW [INPUT], or polos run --attach last",
        )
    settings = settings_for(database)
    names = load_environment(settings)
    if names:
        stderr.say(f"set from {settings.env_file}: {', '.join(names)}", "dim")
    if attach:
        if not settings.database:
            client_for(database)  # says that there is no project
        wanted = None
        if workflow:
            wanted = workflow_here(settings, workflow).id
        else:
            modules_here(settings)
        return run_async(_run(settings, None, None, attach, workflow, timeout, as_json, wanted))
    found = workflow_here(settings, workflow)
    ask = ask_line if sys.stdin.isatty() and stderr.is_terminal() else None
    payload = read_input(input or [], found.input_schema(), ask)
    found.encode_input(payload)  # a bad payload is refused before the engine is started
    if not settings.database:
        settings = make_project(Path.cwd())
        stderr.say(f"made {settings.project_root}/.polos for the database (no project was here)", "dim")
    return run_async(_run(settings, found, payload, None, workflow, timeout, as_json))


async def _run(
    settings: Settings,
    workflow: Workflow | None,
    payload: Any,
    attach: str | None,
    name: str,
    timeout: float | None,
    as_json: bool,
    wanted: str | None = None,
) -> int:
    """`wanted`: the id of the workflow of which the execution to `attach` to is said to be."""
    view = LiveView()
    polos = Polos(settings.database, durability=settings.durability, echo=False, begin=False, on_warning=view.warning)
    async with polos:
        if attach:
            execution = await polos.get(attach)
            if wanted is not None and execution.workflow_id != wanted:
                raise UsageError(
                    f"execution {execution.number} is of {execution.workflow_id!r}, not of {wanted!r}",
                    hint=f"polos run --attach {execution.number}; of {wanted}: polos ps --workflow {wanted}",
                )
            if execution.parent_id is not None:
                execution = await polos.get(execution.root_id)
            if await runner_of(polos, execution) is None:
                _check_code(execution)
            if execution.status is Status.BLOCKED:
                await polos.retry(execution)
        else:
            assert workflow is not None
            execution = await polos.get(await workflow.invoke(polos, payload))
        helping = asyncio.create_task(_run_or_leave(polos, execution, settings.project_root, view))
        watching = asyncio.create_task(view.watch(polos, execution, timeout))
        helping.add_done_callback(lambda done: watching.cancel() if _failed(done) else None)
        try:
            ended = await watching
        except asyncio.CancelledError:
            view.close()
            if _failed(helping):
                helping.result()  # raises what keeps it from running
            if polos.host.worker is not None and polos.host.worker.roots is None:  # it was never begun here
                stderr.say(f"it goes on in its worker; watch it again: polos run --attach {execution.number}", "yellow")
            else:
                stderr.say(f"stopping; nothing is lost. Go on with it: {go_on(execution, name)}", "yellow")
            raise
        finally:
            helping.cancel()
            watching.cancel()
            await asyncio.wait({helping, watching})
    if ended.status is Status.BLOCKED:
        stderr.say(f"watch it again, once that is mended: {go_on(ended, name)}", "dim")
    elif ended.status not in TERMINAL:
        stderr.say(f"go on with it: {go_on(ended, name)}", "dim")
    return _end(ended, as_json)


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


async def _run_or_leave(polos: Polos, execution: Execution, root: Path | None, view: LiveView) -> None:
    """Leaves an execution to the worker that takes all of its kind, while there is one; else runs it here.

    Raises:
        UsageError: that worker has gone, and the code on the disk is not what this process has loaded any more.
    """
    if execution.status in TERMINAL:
        return
    runner = await runner_of(polos, execution)
    if runner is None and not (_is_kept(polos) and await _is_declared(polos, execution.workflow_id)):
        await _say_others(polos, execution)
        await polos.begin({execution.id})
        return
    if runner is not None:
        view.note(f"it runs in process {runner.pid}, a worker of {runner.project or 'this database'}")
    is_told = False
    while execution.status not in TERMINAL:
        if await runner_of(polos, execution) is not None:
            is_told = False
        elif _is_kept(polos):
            if not is_told:
                name = execution.workflow_id
                view.note(
                    f"the dev server is up, and no worker of it has {name!r} just now: it waits for one", "yellow"
                )
            is_told = True
        elif changed := changed_on_disk(REGISTRY, root):
            raise UsageError(
                f"its worker has gone, and {changed[0].name} has changed since this process read it",
                hint=f"go on with the code of now: polos run --attach {execution.number}",
            )
        else:
            view.note("that worker has gone: it runs here from now on", "yellow")
            await polos.begin({execution.id})
            return
        await asyncio.sleep(1.0)
        execution = await polos.get(execution.id)


def _is_kept(polos: Polos) -> bool:
    """Tells whether a dev server owns the database: it sees to it that there are workers."""
    store = polos.host.store
    return store is not None and store.remote is not None and bool(store.remote.facts.get("keeps"))


async def _is_declared(polos: Polos, workflow_id: str) -> bool:
    """Tells whether the newest workers have told of a workflow."""
    declared = await polos.access().read(lambda store: store.declared())
    return any(one.workflow_id == workflow_id for one in declared)


def _check_code(execution: Execution) -> None:
    """Refuses to wait for ever for an execution whose code is not here."""
    if execution.status not in TERMINAL and REGISTRY.get(execution.workflow_id) is None:
        error = unknown(execution.workflow_id, [w.id for w in REGISTRY])
        raise UnknownWorkflow(
            f"execution {execution.number} runs {execution.workflow_id!r}, and no workflow of that id is here",
            hint=f"name its file: polos run FILE.py:{execution.workflow_id} --attach {execution.number}; {error.hint}",
        )


def go_on(execution: Execution, workflow: str) -> str:
    """Returns the command that goes on with an execution; one of a file's needs the file again."""
    file = f"{workflow} " if workflow.partition(":")[0].endswith(".py") else ""
    return f"polos run {file}--attach {execution.number}"


async def _say_others(polos: Polos, execution: Execution) -> None:
    counts: dict[str, int] = {}
    for status in (Status.QUEUED, Status.RUNNING):
        found = [e for e in await polos.list(status=status, limit=1000) if e.root_id != execution.root_id]
        if found:
            counts[status.value] = len(found)
    waiting = [e for e in await polos.list(status=Status.WAITING, limit=1000) if e.root_id != execution.root_id]
    if waiting:
        counts["waiting"] = len(waiting)
    others = sum(counts.values())
    if others:
        noun = "other execution is" if others == 1 else "other executions are"
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        stderr.say(f"{others} {noun} unfinished ({told}); this runs only its own: polos ps", "dim")


def _end(execution: Execution, as_json: bool) -> int:
    if as_json:
        result = None if execution.result is None else codec.plain(execution.result)
        failure = execution.failure
        error = None if failure is None else {"type": failure.type_name, "message": failure.message}
        stdout.document({**execution_json(execution), "result": result, "error": error})
    elif execution.status is Status.COMPLETED and execution.result is not None and execution.result.text != "null":
        stdout.data(stdout.to_json(codec.plain(execution.result), indent=sys.stdout.isatty()))
    if execution.status is Status.FAILED and not as_json:
        failed(execution)
    if execution.status is Status.BLOCKED:
        return errors.report(blocked_error(execution), as_json)
    return {
        Status.COMPLETED: errors.DONE,
        Status.FAILED: errors.WORKFLOW_FAILED,
        Status.CANCELLED: errors.CANCELLED,
    }.get(execution.status, errors.TIMED_OUT)


def failed(execution: Execution) -> None:
    """Says why an execution failed, with the user's frames."""
    failure = execution.failure
    if failure is None:
        return
    trace = [line for line in failure.traceback_text.splitlines() if line.strip()][:-1]
    stderr.error("", f"{failure.type_name}: {failure.message}", why=trace[-14:], fix=[f"polos show {execution.number}"])
