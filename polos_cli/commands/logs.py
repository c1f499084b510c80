"""`polos logs`: captured output, by execution, step and attempt. Reads only; works with nothing running."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from polos.core.model import LogLine
from polos.errors import UnknownExecution
from polos.ports import LogFilter
from polos_cli.output import stderr, stdout
from polos_cli.output.sanitize import sanitize
from polos_cli.session import clock_time, moment, reading, rfc3339, run_async

POLL = 0.2


def command(
    target: Annotated[str | None, typer.Argument(help="An execution (number, id, last, …) or a workflow's id.")] = None,
    step: Annotated[str | None, typer.Option(help="Only this step's.")] = None,
    level: Annotated[str | None, typer.Option(help="From this level on: DEBUG, INFO, WARNING, ERROR.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    since: Annotated[str | None, typer.Option(help="Since: 10m, 2h, or a date.")] = None,
    until: Annotated[str | None, typer.Option(help="Before.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many lines.")] = 1000,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines.")] = False,
) -> None:
    """Show captured output, by execution, step and attempt."""
    wanted = LogFilter(step_key=step, level=level, since=moment(since), until=moment(until), limit=limit)
    run_async(_show(wanted, target, follow, database, as_json))


async def _show(wanted: LogFilter, target: str | None, follow: bool, database: str | None, as_json: bool) -> None:
    client, name = reading(target, database)
    try:
        if target is not None:
            try:
                wanted = replace(wanted, execution_id=(await client.get(name)).id)
            except UnknownExecution:
                if target.isdecimal() or not await client.list(workflow=target, limit=1):
                    raise
                wanted = replace(wanted, workflow_id=target)
        shown = 0
        while True:
            lines = await client.access().read(lambda store, wanted=wanted: store.logs(wanted))  # type: ignore[misc]  # a bound default
            for position, execution_id, line in lines:
                wanted = replace(wanted, after_position=position)
                shown += 1
                _write(execution_id, line, as_json)
            if not follow:
                break
            await asyncio.sleep(POLL)
        if as_json:
            stdout.line({"kind": "end", "v": 1, "reason": "complete"})
        elif not shown:
            stderr.say("nothing was printed or logged there", "dim")
    finally:
        await client.close()


def _write(execution_id: str, line: LogLine, as_json: bool) -> None:
    if as_json:
        stdout.line(
            {"kind": "log", "v": 1, "execution": execution_id, "step": line.step_key, "attempt": line.attempt,
             "level": line.level, "stream": line.stream, "text": line.text, "at": rfc3339(line.at)}
        )  # fmt: skip
        return
    where = line.step_key or "workflow"
    if line.attempt > 1:
        where += f" (attempt {line.attempt})"
    stdout.data(f"{clock_time(line.at)}  {line.level:<7}  {sanitize(where)}  {sanitize(line.text)}")
