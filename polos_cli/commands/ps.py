"""`polos ps`: lists executions. Reads only; works with nothing running."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from polos.client.client import PolosClient
from polos.core.durations import show_duration
from polos.core.ids import short_end
from polos.core.model import Execution, PendingWait
from polos.core.status import Status
from polos.errors import UsageError
from polos_cli.output import stderr, stdout
from polos_cli.output.tables import Cell, Column, status_cell, table
from polos_cli.session import client_for, clock, execution_json, moment, rfc3339, run_async

_SIGNS = {"event": " ← event", "suspend": " ← answer", "child": " ← child", "retry": " ← next attempt"}


def command(
    status: Annotated[
        str | None,
        typer.Option(help="Only these: queued, running, waiting, blocked, completed, failed, cancelled."),
    ] = None,
    workflow: Annotated[str | None, typer.Option(help="Only this workflow's.")] = None,
    since: Annotated[str | None, typer.Option(help="Started since: 10m, 2h, or a date.")] = None,
    until: Annotated[str | None, typer.Option(help="Started before.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 30,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines.")] = False,
) -> None:
    """List executions, newest first."""
    if status is not None and status not in set(Status):
        raise UsageError(f"{status!r} is no status", hint="one of " + ", ".join(Status))
    if limit < 1:
        raise UsageError(f"--limit is at least 1, not {limit}")
    found, waits = run_async(_list(client_for(database), status, workflow, moment(since), moment(until), limit))
    if as_json:
        for execution in found:
            stdout.line({**execution_json(execution), "waits": [_wait_json(w) for w in waits.get(execution.id, [])]})
        stdout.line({"kind": "end", "v": 1, "reason": "limit" if len(found) == limit else "complete"})
        return
    now = clock.now()
    columns: list[str | Column] = [
        Column(head="no.", right=True, fits=False),
        Column(head="id", fits=False),
        "workflow",
        Column(head="state", fits=False),
        Column(head="age", right=True, fits=False),
        Column(head="took", right=True, fits=False),
        "what",
    ]
    table(columns, [_row(e, depth, waits.get(e.id, []), now) for e, depth in _families(found)])
    if not found:
        stderr.say(
            "no executions" + (" like that" if status or workflow or since else " yet: polos run WORKFLOW"),
            "dim",
        )
    elif len(found) == limit:
        stderr.say(f"the newest {limit}; more with --limit", "dim")


async def _list(
    client: PolosClient,
    status: str | None,
    workflow: str | None,
    since: int | None,
    until: int | None,
    limit: int,
) -> tuple[list[Execution], dict[str, list[PendingWait]]]:
    try:
        found = await client.list(status=status, workflow=workflow, since=since, until=until, limit=limit)
        waits = {}
        for execution in found:
            if execution.status in (Status.WAITING, Status.RUNNING):
                of = execution.id
                waits[of] = await client.access().read(lambda store, of=of: store.waits(of))  # type: ignore[misc]  # a bound default
        return found, waits
    finally:
        await client.close()


def _families(found: list[Execution]) -> Iterator[tuple[Execution, int]]:
    """Yields executions, each with how deep it stands: children under their parent, the family with the newest one first."""
    here = {one.id for one in found}
    children: dict[str, list[Execution]] = {}
    tops: list[Execution] = []
    for one in found:
        (children.setdefault(one.parent_id, []) if one.parent_id in here else tops).append(one)
    newest: dict[str, int] = {}
    for one in found:  # newest first: a parent comes behind its children
        newest[one.id] = max([one.number, *(newest[child.id] for child in children.get(one.id, ()))])
    left = [(one, 0) for one in sorted(tops, key=lambda one: newest[one.id])]
    while left:
        one, depth = left.pop()
        yield one, depth
        left += [(child, depth + 1) for child in children.get(one.id, ())]


def _row(execution: Execution, depth: int, waits: list[PendingWait], now: int) -> list[str | Cell]:
    took = "" if execution.ended_at is None else show_duration(execution.ended_at - execution.created_at)
    age = show_duration(now - execution.created_at)
    number = f"{execution.number}"
    what = execution.error_type or ""
    if waits:
        first = waits[0]
        what = first.key + _SIGNS.get(first.kind.value, "")
        if first.deadline is not None and first.kind.value == "sleep":
            what += f", {show_duration(max(0, first.deadline - now))} left"
        if len(waits) > 1:
            what += f" (+{len(waits) - 1})"
    sign = "  " * (depth - 1) + "└ " if depth else "↳ " if execution.parent_id is not None else ""
    name = sign + execution.workflow_id
    return [number, short_end(execution.id), name, status_cell(execution.status.value), age, took, what]


def _wait_json(wait: PendingWait) -> dict[str, object]:
    return {"step": wait.key, "kind": wait.kind.value, "on": wait.channel, "until": rfc3339(wait.deadline)}
