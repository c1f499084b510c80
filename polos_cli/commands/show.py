"""`polos show`: one execution: its tree and timeline, values, waits, error. Reads only; works with nothing running."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

import orjson
import typer

from polos.client.bundle import BundleClient
from polos.client.client import Client, PolosClient
from polos.core import codec
from polos.core.completing import command_for
from polos.core.durations import show_duration
from polos.core.forks import Provenance
from polos.core.ids import short_end
from polos.core.model import Entry, Execution, FailedAttempt, Life, PendingWait, Stored
from polos.core.status import TERMINAL, Status
from polos.errors import UnknownExecution
from polos.ports import ExecutionFilter
from polos_cli.output import stdout, style
from polos_cli.output.sanitize import clip, join, sanitize
from polos_cli.session import clock, clock_time, execution_json, reading, rfc3339, run_async
from polos_cli.view.edits import edited_part
from polos_cli.view.feed import TreeFeed
from polos_cli.view.model import ViewTree
from polos_cli.view.render import tree_lines

LOOK_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class _Facts:
    execution: Execution
    tree: ViewTree
    entries: list[Entry]
    waits: list[PendingWait]
    attempts: list[FailedAttempt]
    lives: list[Life]
    superseded: list[tuple[int, Entry]]
    provenance: Provenance | None


def command(
    execution: Annotated[str, typer.Argument(help="A number, an id, the end of one, last, or last:WORKFLOW.")],
    step: Annotated[str | None, typer.Option(help="One step: its value or error, attempts, times.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show it live until it ends.")] = False,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show one execution: its steps, waits, result or error."""
    client, name = reading(execution, database)
    run_async(_show(client, name, step, follow, as_json))


async def _show(
    client: PolosClient | BundleClient, reference: str, step: str | None, follow: bool, as_json: bool
) -> None:
    try:
        if follow:
            await _follow(client, reference)
        facts = await _read(client, await client.get(reference))
        if step is not None:
            _step(facts, step, as_json)
        elif as_json:
            stdout.document(_json(facts))
        else:
            _whole(facts)
    finally:
        await client.close()


async def _follow(client: Client, reference: str) -> None:
    from polos_cli.output.stderr import Live

    found = await client.get(reference)
    feed = TreeFeed(client, found)
    with Live() as live:
        while found.status not in TERMINAL and found.status is not Status.BLOCKED:
            await feed.read()
            view = feed.tree.executions.get(found.number)
            if view is not None:
                live.update(tree_lines(view, clock.now(), style.columns() - 1))
            await asyncio.sleep(LOOK_EVERY)
            found = await client.get(found.id)
        live.update([])


async def _read(client: Client, execution: Execution) -> _Facts:
    access = client.access()
    feed = TreeFeed(client, execution)
    await feed.read()
    family = ExecutionFilter(root_id=execution.root_id, limit=1_000, with_values=False)
    for one in await access.read(lambda store: store.search(family)):
        if one.number in feed.tree.executions:  # events tell of steps, not that it waits or is in a queue
            feed.tree.executions[one.number].state = one.status.value
    entries = await access.read(lambda store: store.journal(execution.id))
    waits = await access.read(lambda store: store.waits(execution.id))
    attempts = await access.read(lambda store: store.attempts(execution.id))
    lives: list[Life] = []
    superseded: list[tuple[int, Entry]] = []
    if execution.life:
        lives = await access.read(lambda store: store.lives(execution.id))
        superseded = await access.read(lambda store: store.superseded(execution.id))
    provenance = await access.read(lambda store: store.provenance(execution.id))
    return _Facts(execution, feed.tree, entries, waits, attempts, lives, superseded, provenance)


def _whole(facts: _Facts) -> None:
    import sys

    execution = facts.execution
    now = clock.now()
    took = show_duration((execution.ended_at or now) - execution.created_at)
    state = style.status_text(execution.status.value, sys.stdout)
    name = style.paint(execution.workflow_id, "bold", sys.stdout)
    began = f"started {clock_time(execution.created_at)}, {'took' if execution.ended_at else 'for'} {took}"
    stdout.data(join((name, f"  {execution.number} ({short_end(execution.id)})  ", state, f"  {began}")))
    if execution.parent_id is not None:
        stdout.data(f"child of {_parent(facts)}, step {sanitize(execution.parent_key or '')}")
    if facts.provenance is not None:
        _origin(facts, facts.provenance)
    stdout.data(f"input   {_short(execution.input)}")
    if execution.queue is not None:
        key = f", key {sanitize(execution.concurrency_key)}" if execution.concurrency_key else ""
        stdout.data(f"queue   {sanitize(execution.queue)}{key}")
    for life in facts.lives:
        _life(facts, life)
    view = facts.tree.executions.get(execution.number)
    if view is not None and (view.steps or view.children):
        for line in tree_lines(view, now, style.columns(), sys.stdout, bars=True):
            stdout.data(line)
    if execution.state is not None:
        stdout.data(f"state   {_short(execution.state)}")
    if execution.ending is not None:
        what = "cancelled" if execution.ending.value == "cancel" else "stopped: it ran for too long"
        stdout.data(f"ending  it is being {what}; its code clears up")
    if execution.result is not None:
        stdout.data(f"result  {_short(execution.result)}")
    if execution.failure is not None:
        stdout.data(f"error   {execution.failure.type_name}: {sanitize(execution.failure.message)}")
        for text in execution.failure.traceback_text.splitlines():
            stdout.data("        " + sanitize(text))
    if execution.blocked_reason is not None:
        reason = orjson.loads(execution.blocked_reason)
        stdout.data(f"blocked {sanitize(str(reason.get('message')))}")
        stdout.data(f"        {sanitize(str(reason.get('hint')))}")
    if execution.deaths and execution.status not in (*TERMINAL, Status.BLOCKED):  # which the reason tells
        stdout.data(f"deaths  {execution.deaths} of the process since the last outcome")
    _next(facts)


def _parent(facts: _Facts) -> str:
    own = facts.tree.executions.get(facts.execution.number)
    parent = None if own is None or own.parent is None else facts.tree.executions.get(own.parent)
    return str(facts.execution.parent_id) if parent is None else f"{parent.number} ({sanitize(parent.workflow_id)})"


def _origin(facts: _Facts, origin: Provenance) -> None:
    """Says whose fork it is, and what was edited."""
    at = "from the start" if origin.at is None else f"at {sanitize(origin.at)}, {origin.kept} outcomes kept"
    other = ", with another input" if origin.has_other_input else ""
    stdout.data(f"fork    of {origin.source_number} ({sanitize(origin.source_workflow_id)}), {at}{other}")
    entries = {entry.key: entry for entry in facts.entries}
    for edit in origin.edits:
        now, before = entries.get(edit.key), edit.outcome.value
        if now is None or now.value is None:
            continue  # a retry has taken it back
        if edit.value is not None:
            before = clip(sanitize(stdout.to_json(edited_part(now.kind, edit.value))), 40)
        after = clip(sanitize(stdout.to_json(edited_part(now.kind, now.value))), 40)
        stdout.data(join((f"edited  {sanitize(edit.key)}: ", before, " → ", after)))


def _life(facts: _Facts, life: Life) -> None:
    """Says how a life before has ended, and what a retry took back."""
    taken = [
        entry.key for number, entry in facts.superseded if number == life.number and not entry.key.startswith("polos:")
    ]
    how = life.outcome.value + (f" with {life.error_type}" if life.error_type else "")
    back = f"; taken back: {', '.join(taken)}" if taken else ""
    stdout.data(
        f"life {life.number}  {how} at {clock_time(life.ended_at)}, retried at {clock_time(life.retried_at)}{sanitize(back)}"
    )


def _next(facts: _Facts) -> None:
    execution = facts.execution
    for wait in facts.waits:
        if command := command_for(execution.number, wait):
            stdout.data(f"next    {command}")
    if execution.status not in TERMINAL:
        stdout.data(f"next    polos run --attach {execution.number}")
        stdout.data(f"next    polos why {execution.number}")
    elif execution.status is not Status.COMPLETED:
        stdout.data(f"next    polos retry {execution.number}")


def _short(stored: Stored, room: int | None = None) -> str:
    text = stdout.to_json(codec.plain(stored))
    return clip(sanitize(text), room or max(20, style.columns() - 10))


def _step(facts: _Facts, key: str, as_json: bool) -> None:
    entry = next((e for e in facts.entries if e.key == key), None)
    wait = next((w for w in facts.waits if w.key == key), None)
    attempts = [a for a in facts.attempts if a.key == key]
    if entry is None and wait is None and not attempts:
        known = ", ".join([e.key for e in facts.entries][:12] + [w.key for w in facts.waits])
        raise UnknownExecution(
            f"execution {facts.execution.number} has no step {key!r} yet", hint=f"its steps: {known}"
        )
    document: dict[str, object] = (
        _entry_json(entry) if entry else _wait_json(wait) if wait else {"step": key, "state": "retrying"}
    )
    document["failed_attempts"] = [
        {"attempt": a.attempt, "error": f"{a.failure.type_name}: {a.failure.message}", "at": rfc3339(a.ended_at),
         "traceback": a.failure.traceback_text} for a in attempts
    ]  # fmt: skip
    if as_json:
        stdout.document({"kind": "step", "v": 1, **document})
        return
    for name, value in document.items():
        if value in (None, [], ""):
            continue
        if isinstance(value, str):
            stdout.data(f"{name:<16} " + sanitize(value, multiline=True).replace("\n", "\n" + " " * 17))
        else:
            stdout.data(f"{name:<16} {stdout.to_json(value)}")


def _json(facts: _Facts) -> dict[str, object]:
    execution = facts.execution
    failure = execution.failure
    return {
        **execution_json(execution),
        "input": codec.plain(execution.input),
        "result": None if execution.result is None else codec.plain(execution.result),
        "error": None
        if failure is None
        else {"type": failure.type_name, "message": failure.message, "traceback": failure.traceback_text},
        "blocked": None if execution.blocked_reason is None else orjson.loads(execution.blocked_reason),
        "deaths": execution.deaths,
        "ending": execution.ending,
        "queue": execution.queue,
        "concurrency_key": execution.concurrency_key,
        "workflow_state": None if execution.state is None else codec.plain(execution.state),
        "lives": [
            {
                "life": life.number,
                "outcome": life.outcome.value,
                "error_type": life.error_type,
                "cause": life.cause_key,
                "ended_at": rfc3339(life.ended_at),
                "retried_at": rfc3339(life.retried_at),
            }
            for life in facts.lives
        ],
        "fork": None if facts.provenance is None else _origin_json(facts.provenance),
        "superseded": [{"life": life, **_entry_json(entry)} for life, entry in facts.superseded],
        "steps": [_entry_json(entry) for entry in facts.entries],
        "waits": [_wait_json(wait) for wait in facts.waits],
    }


def _origin_json(origin: Provenance) -> dict[str, object]:
    return {
        "execution": origin.source_id, "number": origin.source_number, "at": origin.at, "kept": origin.kept,
        "other_input": origin.has_other_input,
        "edited": [
            {"step": one.key, "state": one.outcome.value, "value": None if one.value is None else codec.plain(one.value),
             "error": None if one.failure is None else f"{one.failure.type_name}: {one.failure.message}"}
            for one in origin.edits
        ],
    }  # fmt: skip


def _entry_json(entry: Entry) -> dict[str, object]:
    failure = entry.failure
    return {
        "step": entry.key, "kind_of_step": entry.kind.value, "state": entry.outcome.value, "seq": entry.seq, "after": entry.after,
        "attempt": entry.attempt, "value": None if entry.value is None else codec.plain(entry.value),
        "error": None if failure is None else f"{failure.type_name}: {failure.message}",
        "traceback": None if failure is None else failure.traceback_text,
        "request": None if entry.request is None else orjson.loads(entry.request), "site": entry.site,
        "code": entry.code or None,
        "started_at": rfc3339(entry.started_at), "ended_at": rfc3339(entry.ended_at),
        "duration_ms": (entry.ended_at - entry.started_at) // 1000,
    }  # fmt: skip


def _wait_json(wait: PendingWait) -> dict[str, object]:
    return {
        "step": wait.key, "kind_of_step": wait.kind.value, "state": "waiting", "on": wait.channel, "until": rfc3339(wait.deadline),
        "request": None if wait.request is None else orjson.loads(wait.request), "site": wait.site,
        "started_at": rfc3339(wait.started_at),
    }  # fmt: skip
