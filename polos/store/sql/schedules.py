"""Transactions on schedules: declared, made, changed, and fired slot by slot (S7). Decides no instant itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from hashlib import blake2b
from zoneinfo import ZoneInfo

import orjson

from polos.core.codec import encode
from polos.core.cron import fields_from_json, fields_to_json, slots_between
from polos.core.ids import encode_id
from polos.core.manifest import Schedule, ScheduleRule, WorkerInfo
from polos.core.model import NewExecution, Started, Stored
from polos.core.schedules import BACKLOG, firing, moment, next_slot
from polos.core.schedules import instant as instant_of
from polos.errors import UsageError
from polos.store.sql import executions
from polos.store.sql.tx import Due, Row, Tx

FIRED_AT_ONCE = 100


def register(worker: WorkerInfo, now: int) -> Tx[None]:
    """Makes a project's schedules those that its code declares; only a complete manifest removes any (S7.3)."""
    for rule in worker.schedules:
        yield from _put(rule, True, worker.project, _declared_id(rule), now)
    if worker.complete:
        declared = orjson.dumps([f"{rule.workflow_id}/{rule.key}" for rule in worker.schedules]).decode()
        for (number,) in (yield "remove_schedules", {"project": worker.project, "declared": declared}):
            yield from _drop_slots(number)


def put(rule: ScheduleRule, id_: str, now: int) -> Tx[str]:
    """Makes a schedule for the API, or changes the one of that workflow and key, and returns its id.

    Raises:
        UsageError: the code declares one with that key.
    """
    rows = yield "schedule_of", {"workflow_id": rule.workflow_id, "key": rule.key, "is_declared": 1}
    if rows and not rows[0][6]:
        raise UsageError(
            f"the code of {rule.workflow_id!r} declares a schedule with the key {rule.key!r}",
            hint="give this one another key, or change the code",
        )
    return (yield from _put(rule, False, "", id_, now))


def _put(rule: ScheduleRule, is_declared: bool, project: str, id_: str, now: int) -> Tx[str]:
    fields = orjson.dumps(fields_to_json(rule.fields)).decode()
    facts = {
        "project": project, "cron": rule.cron, "fields": fields, "timezone": rule.timezone, "catchup": rule.catchup,
        "overlap": rule.overlap,
    }  # fmt: skip
    named = {"workflow_id": rule.workflow_id, "key": rule.key, "is_declared": int(is_declared)}
    rows = yield "schedule_of", named
    if not rows:
        next_at = next_slot(rule, _zone(rule.timezone), now)
        yield "insert_schedule", {**facts, **named, "id": id_, "next_at": next_at, "now": now}
        yield Due(next_at)
        return id_
    number, known_id, cron, timezone, due_at, is_paused, is_removed, *_ = rows[0]
    if is_paused:
        due_at = None
    elif is_removed or due_at is None or (cron, timezone) != (rule.cron, rule.timezone):
        due_at = next_slot(rule, _zone(rule.timezone), now)  # in force from now on
    yield "change_schedule", {**facts, "number": number, "next_at": due_at}
    if due_at is not None:
        yield Due(due_at)
    return str(known_id)


def change(id_: str, what: str, now: int) -> Tx[None]:
    """Pauses, resumes or deletes a schedule; doing it again changes nothing.

    Raises:
        UsageError: there is none, or the code declares it and it is to be deleted.
    """
    number, workflow_id, is_declared = yield from _known(id_, gone_is_fine=what == "delete")
    if number is None:
        return
    if what == "pause":
        yield "pause_schedule", {"number": number}
        yield from _drop_slots(number)
    elif what == "resume":
        schedule = yield from _schedule(number)
        if not schedule.is_paused:
            return
        next_at = next_slot(schedule.rule, _zone(schedule.rule.timezone), now)
        yield "resume_schedule", {"number": number, "next_at": next_at}
        yield Due(next_at)
    elif is_declared:
        raise UsageError(
            f"the schedule {id_} is declared by the code of {workflow_id!r}",
            hint="take it out of the code, or pause it: polos schedules pause",
        )
    else:
        yield "delete_slots", {"schedule": number}
        yield "delete_schedule", {"number": number}


def trigger(id_: str, execution_id: str, now: int) -> Tx[Started]:
    """Starts a schedule's workflow now, beside its slots; `execution_id` makes a repeated call the same."""
    number, _, _ = yield from _known(id_)
    assert number is not None
    schedule = yield from _schedule(number)
    value = _payload(schedule, now, 0)
    new = NewExecution(id=execution_id, workflow_id=schedule.rule.workflow_id, input=value)
    return (yield from executions.start_one(new, now))


def backfill(id_: str, since: int, until: int, now: int) -> Tx[list[int]]:
    """Starts an execution for each slot of the past in ``[since, until)`` that has none, and returns their numbers."""
    number, _, _ = yield from _known(id_)
    assert number is not None
    schedule = yield from _schedule(number)
    zone = _zone(schedule.rule.timezone)
    first, last = moment(since - 1), moment(min(until - 1, now))
    slots = slots_between(schedule.rule.fields, zone, first, last, 1_001)
    if len(slots) > 1_000:
        raise UsageError("more than 1,000 slots lie in that time", hint="backfill it in parts: --since, --until")
    started = []
    for slot in slots:
        at = instant_of(slot)
        value = _payload(schedule, at, 0)
        new = NewExecution(id=_execution_id(schedule, at), workflow_id=schedule.rule.workflow_id, input=value)
        rows = yield "execution_by_id", {"id": new.id}
        if not rows:
            yield "delete_slot", {"schedule": number, "at": at}  # if it waited for the one before it: it runs now
            started.append((yield from executions.start_one(new, now, schedule=number)).number)
    yield "schedule_backfilled", {"number": number, "count": len(started)}
    return started


def _known(id_: str, gone_is_fine: bool = False) -> Tx[tuple[int | None, str, bool]]:
    rows = yield "schedule_by_id", {"id": id_}
    if not rows and gone_is_fine:
        return None, "", False
    if not rows:
        raise UsageError(f"there is no schedule {id_}", hint="list them: polos schedules")
    return int(rows[0][0]), rows[0][1], bool(rows[0][2])


# ── firing ───────────────────────────────────────────────────────────────────────────────────────────


def fire_due(now: int) -> Tx[int | None]:
    """Starts what is due, and returns the instant of the next slot; both while there is a worker for all (S7.2)."""
    for (number,) in (yield "due_schedules", {"now": now, "limit": FIRED_AT_ONCE}):
        yield from _fire(number, now)
    due: int | None = (yield "next_schedule", {})[0][0]
    return due


def _fire(number: int, now: int) -> Tx[None]:
    schedule = yield from _schedule(number)
    assert schedule.next_at is not None
    try:
        found = firing(schedule.rule, _zone(schedule.rule.timezone), schedule.next_at, now)
    except (UsageError, ValueError) as error:  # this machine does not know its zone: nobody else is to suffer for it
        yield "schedule_fault", {"number": number, "fault": str(error)}
        return
    skipped = 0
    yield "advance_schedule", {"number": number, "next_at": found.next_at, "skipped": 0, "missed": found.missed}
    for index, slot in enumerate(found.slots):
        waiting = (yield "count_slots", {"schedule": number})[0][0]
        is_busy = waiting or bool((yield "is_schedule_busy", {"number": number}))
        if schedule.rule.overlap == "allow" or not is_busy:
            yield from _start_slot(number, slot, now)
        elif index < found.made_good or (schedule.rule.overlap == "queue" and waiting < BACKLOG):
            yield "insert_slot", {"schedule": number, "at": slot, "missed": 0}
        else:
            skipped += 1
    if skipped:
        yield "advance_schedule", {"number": number, "next_at": found.next_at, "skipped": skipped, "missed": 0}
    yield from execution_ended(number, now)


def execution_ended(number: int, now: int) -> Tx[None]:
    """Starts the slot that waited for the end of an execution of its schedule."""
    while rows := (yield "first_slot", {"schedule": number}):
        if (yield "is_schedule_busy", {"number": number}):
            return
        at = rows[0][0]
        yield "delete_slot", {"schedule": number, "at": at}
        yield from _start_slot(number, at, now)


def _drop_slots(number: int) -> Tx[None]:
    """Counts those that wait as skipped: a schedule that is paused or gone starts nothing."""
    waiting = (yield "count_slots", {"schedule": number})[0][0]
    if waiting:
        yield "skip_slots", {"number": number, "skipped": waiting}
        yield "delete_slots", {"schedule": number}


def _start_slot(number: int, slot: int, now: int) -> Tx[None]:
    row = (yield "schedule_row", {"number": number})[0]
    schedule = schedule_from(row)
    value = _payload(schedule, slot, row[19])
    new = NewExecution(id=_execution_id(schedule, slot), workflow_id=schedule.rule.workflow_id, input=value)
    rows = yield "execution_by_id", {"id": new.id}
    if rows:
        return  # a backfill came first: a slot starts at most one
    started = yield from executions.start_one(new, now, schedule=number)
    yield "schedule_started", {"number": number, "at": slot, "execution": started.number}


def _payload(schedule: Schedule, slot: int, missed: int) -> Stored:
    rule = schedule.rule
    following = next_slot(rule, _zone(rule.timezone), slot)
    return encode(
        {"timestamp": moment(slot), "last_timestamp": None if schedule.last_at is None else moment(schedule.last_at),
         "timezone": rule.timezone, "schedule_id": schedule.id, "key": rule.key, "upcoming": moment(following),
         "missed": missed}
    )  # fmt: skip


def _execution_id(schedule: Schedule, slot: int) -> str:
    """Returns the id of the one execution that a slot may start: it follows from the schedule and the slot (S7.2)."""
    tail = int.from_bytes(blake2b(f"{schedule.id}/{slot}".encode(), digest_size=10).digest(), "big")
    return f"exec_{encode_id(slot // 1000, tail)}"


def _declared_id(rule: ScheduleRule) -> str:
    tail = int.from_bytes(blake2b(f"{rule.workflow_id}/{rule.key}".encode(), digest_size=16).digest(), "big")
    return f"sch_{encode_id(tail >> 80, tail)}"


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────


def _schedule(number: int) -> Tx[Schedule]:
    return schedule_from((yield "schedule_row", {"number": number})[0])


def schedule_from(row: Row) -> Schedule:
    """Returns the schedule of a row of `schedule_row`."""
    (number, id_, workflow_id, key, is_declared, cron, fields, timezone, catchup, overlap, is_paused, next_at, last_at,
     started, skipped, missed, execution, fault, queued, _) = row  # fmt: skip
    rule = ScheduleRule(
        workflow_id=workflow_id, cron=cron, fields=fields_from_json(orjson.loads(fields)), timezone=timezone, key=key,
        catchup=catchup, overlap=overlap,
    )  # fmt: skip
    return Schedule(
        number=number, id=id_, rule=rule, is_declared=bool(is_declared), is_paused=bool(is_paused), next_at=next_at,
        last_at=last_at, started=started, skipped=skipped, missed=missed, queued=queued, execution=execution, fault=fault,
    )  # fmt: skip


def schedules_from(rows: Sequence[Row]) -> list[Schedule]:
    """Returns the schedules of rows."""
    return [schedule_from(row) for row in rows]


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"this machine does not know the time zone {name!r}", hint="pip install tzdata") from error
