"""Routes of what code declares: workflows, schedules, queues, workers."""

from __future__ import annotations

import orjson

from polos import schedules
from polos.api.declared import (
    BackfillIn,
    NumbersOut,
    QueueOut,
    ScheduleIdOut,
    ScheduleIn,
    ScheduleOut,
    WorkerOut,
    WorkflowOut,
)
from polos.api.executions import StartedOut
from polos.api.values import Done
from polos.authoring.checks import check_text
from polos.authoring.registry import unknown
from polos.authoring.scheduled import rule
from polos.clock import TimeOrderedIds
from polos.core.manifest import Declared
from polos.http.routes import Call, NoBody, NoQuery, Route

_ids = TimeOrderedIds()


def _said(found: Declared) -> WorkflowOut:
    about = orjson.loads(found.about or "{}")
    return WorkflowOut(
        id=found.workflow_id, queue=found.queue, description=about.get("description"), site=about.get("site") or "",
        input_schema=about.get("input_schema") or {},
    )  # fmt: skip


async def workflows(call: Call[NoBody, NoQuery]) -> list[WorkflowOut]:
    """Lists them."""
    return [_said(one) for one in await call.engine.store.declared()]


async def workflow(call: Call[NoBody, NoQuery]) -> WorkflowOut:
    """Looks at one."""
    found = await call.engine.store.declared()
    for one in found:
        if one.workflow_id == call.path["workflow"]:
            return _said(one)
    raise unknown(call.path["workflow"], [one.workflow_id for one in found])


async def list_schedules(call: Call[NoBody, NoQuery]) -> list[ScheduleOut]:
    """Lists them."""
    return [ScheduleOut.of(one) for one in await call.engine.store.schedules()]


async def make_schedule(call: Call[ScheduleIn, NoQuery]) -> ScheduleIdOut:
    """Makes one, or changes the one of that workflow and key."""
    asked = call.body
    for what, text in (("a key", asked.key), ("a cron expression", asked.cron), ("a time zone", asked.timezone)):
        check_text(text, what)
    made = rule(asked.workflow, asked.cron, asked.timezone, asked.key, asked.catchup, asked.overlap)
    return ScheduleIdOut(id=await call.engine.store.put_schedule(made, _ids.new("sch")))


async def show_schedule(call: Call[NoBody, NoQuery]) -> ScheduleOut:
    """Looks at one."""
    return ScheduleOut.of(await schedules.get(call.engine.client, call.path["schedule"]))


async def delete_schedule(call: Call[NoBody, NoQuery]) -> Done:
    """Deletes one that was made by the API."""
    await schedules.delete(call.engine.client, call.path["schedule"])
    return Done()


async def pause_schedule(call: Call[NoBody, NoQuery]) -> Done:
    """Lets its slots pass."""
    await schedules.pause(call.engine.client, call.path["schedule"])
    return Done()


async def resume_schedule(call: Call[NoBody, NoQuery]) -> Done:
    """Goes on with its next slot."""
    await schedules.resume(call.engine.client, call.path["schedule"])
    return Done()


async def trigger_schedule(call: Call[NoBody, NoQuery]) -> StartedOut:
    """Starts its workflow now."""
    found = await schedules.get(call.engine.client, call.path["schedule"])
    return StartedOut.of(await call.engine.store.trigger_schedule(found.id, _ids.new("exec")))


async def backfill_schedule(call: Call[BackfillIn, NoQuery]) -> NumbersOut:
    """Starts what past slots did not."""
    asked = call.body
    started = await schedules.backfill(call.engine.client, call.path["schedule"], asked.since, asked.until)
    return NumbersOut(executions=started)


async def queues(call: Call[NoBody, NoQuery]) -> list[QueueOut]:
    """Lists them."""
    return [QueueOut.of(one) for one in await call.engine.store.queues()]


async def workers(call: Call[NoBody, NoQuery]) -> list[WorkerOut]:
    """Lists those that are there."""
    return [WorkerOut.of(one) for one in await call.engine.store.workers() if one.ended_at is None]


_S = "/schedules/{schedule}"
ROUTES = (
    Route(method="GET", path="/workflows", name="listWorkflows", summary="The workflows that workers have, with input schemas",
          gives=list[WorkflowOut], handler=workflows),
    Route(method="GET", path="/workflows/{workflow}", name="getWorkflow", summary="Look at a workflow", gives=WorkflowOut,
          handler=workflow, refuses=(404,)),
    Route(method="GET", path="/schedules", name="listSchedules", summary="What the clock starts", gives=list[ScheduleOut],
          handler=list_schedules),
    Route(method="POST", path="/schedules", name="putSchedule", summary="Make a schedule, or change it", body=ScheduleIn,
          gives=ScheduleIdOut, status=201, handler=make_schedule),
    Route(method="GET", path=_S, name="getSchedule", summary="Look at a schedule, by its id",
          gives=ScheduleOut, handler=show_schedule),
    Route(method="DELETE", path=_S, name="deleteSchedule", summary="Delete a schedule that was made by the API", gives=Done,
          handler=delete_schedule),
    Route(method="POST", path=f"{_S}/pause", name="pauseSchedule", summary="Let its slots pass", gives=Done,
          handler=pause_schedule),
    Route(method="POST", path=f"{_S}/resume", name="resumeSchedule", summary="Go on with the next slot", gives=Done,
          handler=resume_schedule),
    Route(method="POST", path=f"{_S}/trigger", name="triggerSchedule", summary="Start its workflow now", gives=StartedOut,
          status=201, handler=trigger_schedule),
    Route(method="POST", path=f"{_S}/backfill", name="backfillSchedule", summary="Start what past slots did not",
          body=BackfillIn, gives=NumbersOut, status=201, handler=backfill_schedule),
    Route(method="GET", path="/queues", name="listQueues", summary="Queues: limits, who runs, how many wait",
          gives=list[QueueOut], handler=queues),
    Route(method="GET", path="/workers", name="listWorkers", summary="The workers that are there", gives=list[WorkerOut],
          handler=workers),
)  # fmt: skip
