"""Schedules made by programs, beside those that code declares (S7). Inside a workflow they have no place."""

from __future__ import annotations

import builtins
from datetime import datetime
from zoneinfo import ZoneInfo

from polos.authoring.handle import ExecutionHandle
from polos.authoring.payload import instant, microseconds
from polos.authoring.scheduled import rule
from polos.authoring.workflow import Workflow, id_of
from polos.client.client import Client, _clock, _ids
from polos.client.drive import inside_workflow
from polos.core.cron import due_after
from polos.core.manifest import Schedule
from polos.errors import UnknownSchedule, UsageError
from polos.ports import ScheduleChange


async def create(
    client: Client, workflow: Workflow | str, cron: str, timezone: str = "UTC", key: str = "global", *,
    catchup: str = "latest", overlap: str = "skip",
) -> str:  # fmt: skip
    """Makes a schedule and returns its id; the one of that workflow and key, if there is one, is changed.

    Args:
        cron: five fields, in `timezone` (an IANA name).
        key: tells the schedules of one workflow apart: a user's id, say.
        catchup: slots that passed with no engine up: ``latest`` (one run for all of them), ``all`` or ``skip``.
        overlap: a slot whose execution would run beside the one before: ``skip``, ``allow`` or ``queue``.

    Raises:
        UsageError: the expression or the zone cannot be, or the code declares a schedule of that key.
    """
    made = rule(id_of(workflow), cron, timezone, key, catchup, overlap)
    inside_workflow("schedules", "a step whose body asks for it: ctx.step.run")
    return await client.access().write(lambda store: store.put_schedule(made, _ids.new("sch")))


async def list(client: Client, workflow: Workflow | str | None = None) -> builtins.list[Schedule]:
    """Returns the schedules, by workflow and key."""
    inside_workflow("schedules", "a step whose body asks for it: ctx.step.run")
    found = await client.access().read(lambda store: store.schedules())
    wanted = None if workflow is None else id_of(workflow)
    return [one for one in found if wanted is None or one.rule.workflow_id == wanted]


async def get(client: Client, schedule: str) -> Schedule:
    """Returns a schedule by its id, the end of one, ``workflow`` or ``workflow/key``.

    Raises:
        UnknownSchedule: none answers to that.
        UsageError: more than one does.
    """
    found = await list(client)
    exact = [one for one in found if schedule in (one.id, f"{one.rule.workflow_id}/{one.rule.key}")]
    named = exact or [one for one in found if one.rule.workflow_id == schedule]
    ends = named or [one for one in found if len(schedule) >= 4 and one.id.endswith(schedule)]
    if len(ends) == 1:
        return ends[0]
    if ends:
        some = ", ".join(f"{one.rule.workflow_id}/{one.rule.key}" for one in ends[:5])
        raise UsageError(f"{schedule!r} has several schedules: {some}", hint="name one of these")
    raise UnknownSchedule(
        f"there is no schedule {schedule!r}",
        hint="list them: polos schedules; one that code declares is there once a worker has it: polos dev, polos worker",
    )


async def pause(client: Client, schedule: str) -> None:
    """Lets slots pass without a start, until `resume`; they do not count as missed."""
    await _change(client, schedule, "pause")


async def resume(client: Client, schedule: str) -> None:
    """Goes on with the next slot."""
    await _change(client, schedule, "resume")


async def delete(client: Client, schedule: str) -> None:
    """Deletes a schedule that the API made. Raises `UsageError`: the code declares it."""
    await _change(client, schedule, "delete")


async def _change(client: Client, schedule: str, change: ScheduleChange) -> None:
    found = await get(client, schedule)
    await client.access().write(lambda store: store.change_schedule(found.id, change))


async def trigger(client: Client, schedule: str) -> ExecutionHandle:
    """Starts its workflow now, beside its slots."""
    found = await get(client, schedule)
    started = await client.access().write(lambda store: store.trigger_schedule(found.id, _ids.new("exec")))
    return ExecutionHandle(
        started.id, started.number, started.workflow_id, started.root_id, started.root_workflow_id, client
    )


async def backfill(client: Client, schedule: str, since: datetime, until: datetime | None = None) -> builtins.list[int]:
    """Starts an execution for each slot from `since` until `until` (now) that has none; returns their numbers.

    Raises:
        UsageError: there are more than 1,000 such slots.
    """
    found = await get(client, schedule)
    start, end = microseconds(since), _clock.now() if until is None else microseconds(until)
    if start >= end:
        raise UsageError("the time to backfill ends before it begins")
    return await client.access().write(lambda store: store.backfill_schedule(found.id, start, end))


def next_times(
    schedule: Schedule | str, count: int = 5, timezone: str = "UTC", after: datetime | None = None
) -> builtins.list[datetime]:
    """Returns the next slots of a schedule, or of a cron expression in `timezone`, in that zone's time.

    Raises:
        UsageError: the expression or the zone cannot be.
    """
    made = rule("next_times", schedule, timezone) if isinstance(schedule, str) else schedule.rule
    zone = ZoneInfo(made.timezone)
    at = instant(_clock.now()) if after is None else instant(microseconds(after))
    found = []
    for _ in range(count):
        at = due_after(made.fields, zone, at)
        found.append(at.astimezone(zone))
    return found
