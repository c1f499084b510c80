"""How an execution ends or is blocked: the one way, whoever ends it (S8.3, S8.4, S9.3). Decides nothing about why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from polos.core import failure as failures
from polos.core.durations import show_duration
from polos.core.model import Ending, Failure, Outcome, Stored
from polos.core.status import Change, Status, after
from polos.store.sql import schedules
from polos.store.sql.completion import ended
from polos.store.sql.lifecycle import lifecycle
from polos.store.sql.tx import Changed, Queued, Row, Tx

CHANGES = {Outcome.COMPLETED: Change.COMPLETE, Outcome.FAILED: Change.FAIL, Outcome.CANCELLED: Change.CANCEL}
_EVENTS = {
    Outcome.COMPLETED: "workflow_finish",
    Outcome.FAILED: "workflow_failed",
    Outcome.CANCELLED: "workflow_cancelled",
}


@dataclass(frozen=True, slots=True)
class End:
    """How an execution ends."""

    outcome: Outcome
    value: Stored | None = None
    failure: Failure | None = None
    cause_key: str | None = None


def stopped(ending: Ending, run_timeout: int | None) -> End:
    """Returns the end of an execution that was stopped, whatever its code returned (S8.4, S8.5)."""
    if ending is Ending.CANCEL:
        return End(Outcome.CANCELLED)
    allowed = "its time" if run_timeout is None else show_duration(run_timeout)
    message = f"it ran for longer than {allowed}, waits not counted"
    return End(Outcome.FAILED, failure=Failure(type_name="WorkflowTimeoutError", message=message))


def end(number: int, how: End, before: Status, now: int) -> Tx[None]:
    """Ends an execution that was in the status `before`, and brings its end to whoever awaits it."""
    status = after(before, CHANGES[how.outcome])
    assert status is not None, f"{before} cannot become {how.outcome}"
    id_, topic, parent, parent_key, schedule, _, queue = (yield "ending_facts", {"execution": number})[0]
    error_type = how.failure.type_name if how.failure else None
    yield "delete_waits", {"execution": number}
    yield "finish", {"execution": number, "status": status, "now": now, "error_type": error_type}
    value = how.value
    yield "insert_result", {
        "execution": number, "value": value.text if value else None, "shape": value.shape if value else None,
        "checksum": value.checksum if value else None, "failure": failures.to_json(how.failure) if how.failure else None,
        "cause_key": how.cause_key, "reason": None,
    }  # fmt: skip
    data: dict[str, Any] = {"execution": number, "id": id_}
    if error_type:
        data["error_type"] = error_type
    yield from lifecycle(topic, [(_EVENTS[how.outcome], data)], now)
    yield from ended(id_, None if parent is None else (int(parent), str(parent_key)), now)
    if schedule is not None:
        yield from schedules.execution_ended(int(schedule), now)
    if queue is not None:
        yield Queued()  # its place is free
    yield Changed(number, id_)


def block(number: int, reason: str, code: str, before: Status, now: int) -> Tx[None]:
    """Blocks an execution (S8.3), or ends it if it was about to be stopped: no code will clear up after it."""
    id_, topic, _, _, _, run_timeout, queue = (yield "ending_facts", {"execution": number})[0]
    status = after(before, Change.BLOCK)
    rows = yield "block", {"execution": number, "status": status, "now": now, "code": code}
    ending = rows[0][0]
    if ending is not None:
        yield from end(number, stopped(Ending(ending), run_timeout), Status.BLOCKED, now)
        return
    yield "insert_result", {
        "execution": number, "value": None, "shape": None, "checksum": None, "failure": None, "cause_key": None,
        "reason": reason,
    }  # fmt: skip
    told = {"execution": number, "reason": orjson.loads(reason).get("kind")}
    yield from lifecycle(topic, [("workflow_blocked", told)], now)
    if queue is not None:
        yield Queued()
    yield Changed(number, id_)


def unblocked(rows: Sequence[Row], now: int) -> Tx[None]:
    """Makes known that blocked executions, each (number, id, topic), are queued again."""
    for number, id_, topic in rows:
        yield from lifecycle(topic, [("workflow_unblocked", {"execution": number})], now)
        yield Changed(number, id_)
    if rows:
        yield Queued()
