"""`polos schedules`: what the clock starts: lists, triggers, pauses, makes good. Fires nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from polos import schedules
from polos.authoring.payload import instant
from polos.client.client import PolosClient
from polos.core.durations import show_duration
from polos.core.manifest import Schedule
from polos.errors import UsageError
from polos_cli.output import stderr, stdout
from polos_cli.output.tables import Column, table
from polos_cli.session import client_for, clock, moment, owner_facts, rfc3339, run_async, runner_of, settings_for

_OPTIONS = {"next": ("--count", "--timezone"), "backfill": ("--since", "--until")}
ACTIONS = ("list", "next", "trigger", "pause", "resume", "delete", "backfill")


def command(
    action: Annotated[str, typer.Argument(help="list, next, trigger, pause, resume, delete or backfill.")] = "list",
    schedule: Annotated[
        str | None,
        typer.Argument(help="A workflow, workflow/key, an id or the end of one; with next, also a cron expression."),
    ] = None,
    count: Annotated[int | None, typer.Option("-n", "--count", help="With next: how many times; default: 5.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="With next and a cron expression: its time zone; default: UTC.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="With backfill: from when on: 2d, or a date.")] = None,
    until: Annotated[str | None, typer.Option(help="With backfill: until when; default: now.")] = None,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """List what the clock starts; or next, trigger, pause, resume, delete, backfill a schedule."""
    if action not in ACTIONS:
        raise UsageError(f"there is no action {action!r}", hint=f"one of {', '.join(ACTIONS)}")
    given = {"--count": count, "--timezone": timezone, "--since": since, "--until": until}
    strange = [name for name, value in given.items() if value is not None and name not in _OPTIONS.get(action, ())]
    if strange:
        raise UsageError(
            f"{strange[0]} has no meaning with polos schedules {action}; nothing was done",
            hint=f"it is for {' and '.join(one for one, names in _OPTIONS.items() if strange[0] in names)}",
        )
    if action == "list":
        found, facts = run_async(_read(database, schedule))
        _list(found, facts, as_json)
    elif action == "next":
        run_async(_next(database, schedule, 5 if count is None else count, timezone, as_json))
    elif schedule is None:
        raise UsageError(f"polos schedules {action} needs a schedule", hint="list them: polos schedules")
    elif action == "backfill":
        run_async(_backfill(database, schedule, since, until, as_json))
    else:
        run_async(_change(database, action, schedule, as_json))


async def _read(database: str | None, wanted: str | None) -> tuple[list[Schedule], Mapping[str, Any]]:
    facts = await owner_facts(settings_for(database))
    async with client_for(database) as client:
        if wanted is None:
            return await schedules.list(client), facts
        return await schedules.list(client, wanted) or [await schedules.get(client, wanted)], facts


def _list(found: list[Schedule], facts: Mapping[str, Any], as_json: bool) -> None:
    """`facts`: of the engine that would fire them."""
    are_held = facts.get("schedules") is False
    if as_json:
        for one in found:
            stdout.line({**_json(one), "held": are_held})
        stdout.line({"kind": "end", "v": 1, "reason": "complete"})
        return
    now = clock.now()
    columns: list[str | Column] = [
        Column(head="schedule", fits=False), Column(head="cron", fits=False), "next", "last",
        Column(head="started", right=True, fits=False), Column(head="skipped", right=True, fits=False),
        Column(head="missed", right=True, fits=False), "state",
    ]  # fmt: skip
    table(columns, [_row(one, now) for one in found])
    if found and are_held:
        stderr.say(
            f"none of them fires now: process {facts.get('pid')} has them paused (p in polos dev, --no-schedules)",
            "yellow",
        )
    if not found:
        stderr.say('no schedules: declare one with @workflow(schedule="0 9 * * *"), and start polos worker', "dim")


def _row(one: Schedule, now: int) -> list[str]:
    rule = one.rule
    zone = "" if rule.timezone == "UTC" else f" {rule.timezone}"
    following = (
        ""
        if one.next_at is None
        else f"in {show_duration(max(0, one.next_at - now))}, {_local(one.next_at, rule.timezone)}"
    )
    state = one.fault or ("paused" if one.is_paused else "")
    if one.queued:
        state = f"{state}, {one.queued} queued".lstrip(", ")
    last = "" if one.last_at is None else f"{show_duration(max(0, now - one.last_at))} ago"
    return [
        _named(one), rule.cron + zone, following, last, str(one.started), str(one.skipped), str(one.missed), state
    ]  # fmt: skip


def _named(one: Schedule) -> str:
    return one.rule.workflow_id if one.rule.key == "global" else f"{one.rule.workflow_id}/{one.rule.key}"


def _local(at: int, zone: str) -> str:
    return instant(at).astimezone(ZoneInfo(zone)).strftime("%a %d %b %H:%M")


def _json(one: Schedule) -> dict[str, Any]:
    rule = one.rule
    return {
        "kind": "schedule", "v": 1, "id": one.id, "workflow": rule.workflow_id, "key": rule.key, "cron": rule.cron,
        "timezone": rule.timezone, "catchup": rule.catchup, "overlap": rule.overlap, "declared": one.is_declared,
        "paused": one.is_paused, "next_at": rfc3339(one.next_at), "last_at": rfc3339(one.last_at), "started": one.started,
        "skipped": one.skipped, "missed": one.missed, "queued": one.queued, "execution": one.execution, "fault": one.fault,
    }  # fmt: skip


async def _next(database: str | None, schedule: str | None, count: int, timezone: str | None, as_json: bool) -> None:
    if not 1 <= count <= 1_000:
        raise UsageError(f"-n is a number from 1 to 1,000, not {count}")
    if schedule is not None and (" " in schedule.strip() or schedule.startswith("@")):
        _times(schedule, schedules.next_times(schedule, count, timezone or "UTC"), as_json)
        return
    if timezone is not None:
        raise UsageError("--timezone is for a cron expression; a schedule has its own zone")
    async with client_for(database) as client:
        wanted = await schedules.list(client) if schedule is None else [await schedules.get(client, schedule)]
    for one in wanted:
        _times(_named(one), schedules.next_times(one, count), as_json)


def _times(name: str, times: list[datetime], as_json: bool) -> None:
    if as_json:
        stdout.line({"kind": "times", "v": 1, "schedule": name, "times": [one.isoformat() for one in times]})
        return
    stderr.say(name, "bold")
    for one in times:
        stdout.data(one.strftime("%a %Y-%m-%d %H:%M %z"))


async def _change(database: str | None, action: str, schedule: str, as_json: bool) -> None:
    async with client_for(database) as client:
        one = await schedules.get(client, schedule)
        if action == "trigger":
            await _trigger(client, one, as_json)
            return
        changes = {"pause": schedules.pause, "resume": schedules.resume, "delete": schedules.delete}
        await changes[action](client, one.id)
    done = {"pause": "paused", "resume": "resumed", "delete": "deleted"}[action]
    if as_json:
        stdout.document({"kind": done, "v": 1, "id": one.id, "schedule": _named(one)})
    else:
        stderr.say(f"{done} {_named(one)} ({one.rule.cron})", "green")


async def _trigger(client: PolosClient, one: Schedule, as_json: bool) -> None:
    handle = await schedules.trigger(client, one.id)
    if as_json:
        stdout.document(
            {"kind": "started", "v": 1, "id": handle.id, "number": handle.number, "workflow": handle.workflow_id}
        )
        return
    stdout.data(handle.id)
    runner = await runner_of(client, await client.get(handle.id))
    later = f"it runs in process {runner.pid}" if runner else f"nothing runs it yet: polos run --attach {handle.number}"
    stderr.say(f"started execution {handle.number} of {handle.workflow_id}; {later}")


async def _backfill(database: str | None, schedule: str, since: str | None, until: str | None, as_json: bool) -> None:
    start = moment(since)
    if start is None:
        raise UsageError("say from when on", hint=f"polos schedules backfill {schedule} --since 2d")
    if start >= clock.now():
        raise UsageError("--since lies in the future; a backfill makes good what is past")
    end = moment(until)
    async with client_for(database) as client:
        one = await schedules.get(client, schedule)
        numbers = await schedules.backfill(client, one.id, instant(start), None if end is None else instant(end))
    if as_json:
        stdout.document({"kind": "backfilled", "v": 1, "id": one.id, "schedule": _named(one), "started": numbers})
        return
    noun = "execution" if len(numbers) == 1 else "executions"
    span = f" ({numbers[0]} to {numbers[-1]})" if len(numbers) > 1 else f" ({numbers[0]})" if numbers else ""
    stderr.say(f"started {len(numbers)} {noun} of {_named(one)}{span}; slots that had one are left alone", "green")
