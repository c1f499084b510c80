"""How a pending wait gets its outcome: the one way for timers, events, answers and children's ends (S8.1)."""

from __future__ import annotations

import orjson

from polos.core import failure as failures
from polos.core.durations import SECOND
from polos.core.model import Failure, Kind, Outcome, Stored, verified
from polos.core.status import TERMINAL, Change, Status, after
from polos.core.waits import children_channel, execution_channel
from polos.store.sql.lifecycle import lifecycle, told
from polos.store.sql.tx import Changed, Due, Queued, Tx

OFFERED_FOR = SECOND
"""How long a woken execution is offered first to the worker that parked it (S8.1)."""
AWAKE = after(Status.WAITING, Change.WAKE)

_CHILD_OUTCOME = {
    Status.COMPLETED: Outcome.COMPLETED,
    Status.FAILED: Outcome.FAILED,
    Status.CANCELLED: Outcome.CANCELLED,
}


def complete(
    execution: int,
    key: str,
    outcome: Outcome,
    now: int,
    *,
    value: Stored | None = None,
    failure: Failure | None = None,
    event: int | None = None,
) -> Tx[bool]:
    """Gives a pending wait its outcome and wakes its execution; False if it was not pending any more."""
    rows = yield "delete_wait", {"execution": execution, "key": key}
    if not rows:
        return False
    kind, after_, request, site, started_at = rows[0]
    if kind == Kind.RETRY:
        # The delay before an attempt: no outcome, only time to wake up.
        woken = yield "wake", {"execution": execution, "asleep": Status.WAITING, "awake": AWAKE, "now": now}
        if woken:
            yield Queued()
            yield Due(now + OFFERED_FOR)
        return True
    rows = yield "take_seq", {"execution": execution, "asleep": Status.WAITING, "awake": AWAKE, "now": now}
    seq, status, topic_id, worker_id = rows[0]
    yield "insert_entry", {
        "execution": execution, "key": key, "seq": seq, "after": after_, "kind": kind, "outcome": outcome, "attempt": 1,
        "value": value.text if value else None, "shape": value.shape if value else None,
        "checksum": value.checksum if value else None,
        "failure": failures.to_json(failure) if failure else None,
        "request": request, "event": event, "site": site, "arguments": None, "code": None,
        "started_at": started_at, "ended_at": now,
    }  # fmt: skip
    yield from lifecycle(topic_id, [("wait_finish", told(execution, key, kind, now - started_at, outcome))], now)
    yield Changed(execution, None, worker_id, outcome=True)
    if status == AWAKE:
        yield Queued()
        if worker_id is not None:
            yield Due(now + OFFERED_FOR)
    return True


def timed_out(execution: int, key: str, kind: str, now: int) -> Tx[bool]:
    """Completes a wait whose deadline has passed: a timer has fired, anything else has timed out (S4.3)."""
    if kind in (Kind.SLEEP, Kind.TIMER, Kind.RETRY):
        return (yield from complete(execution, key, Outcome.COMPLETED, now, value=Stored("null")))
    what = "event" if kind == Kind.EVENT else "answer" if kind == Kind.SUSPEND else "end"
    failure = Failure(type_name="TimeoutError", message=f"no {what} came in time")
    return (yield from complete(execution, key, Outcome.TIMED_OUT, now, failure=failure))


def ended(execution_id: str, parent: tuple[int, str] | None, now: int) -> Tx[None]:
    """Brings the end of an execution to whoever awaits it. `parent`: (number, key) of a child."""
    waits = yield "waits_on", {"channel": execution_channel(execution_id)}
    if waits:
        outcome, value, failure = yield from end_of(execution_id)
        for execution, key, _kind, _match, _since in waits:
            yield from complete(execution, key, outcome, now, value=value, failure=failure)
    if parent is None:
        return
    number, key = parent
    rows = yield "child_ended", {"channel": children_channel(number, key), "child": execution_id}
    if rows and rows[0][2] == 0:
        results = yield from batch_results(number, key)
        yield from complete(number, key, Outcome.COMPLETED, now, value=results)


def end_of(execution_id: str) -> Tx[tuple[Outcome, Stored | None, Failure | None]]:
    """Returns an ended execution's outcome, value and failure."""
    rows = yield "ended_result", {"id": execution_id}
    number, status, value, shape, checksum, failure = rows[0]
    stored = verified(value, shape, checksum, f"the result of {execution_id}") if value is not None else None
    outcome = _CHILD_OUTCOME[Status(status)]
    if failure is not None:
        found = failures.from_json(failure)
        if found.type_name == "WorkflowTimeoutError":
            outcome = Outcome.TIMED_OUT
        return outcome, None, found
    if outcome is Outcome.CANCELLED:
        return outcome, None, Failure(type_name="ExecutionCancelled", message=f"execution {number} was cancelled")
    return outcome, stored, None


def is_ended(status: str) -> bool:
    """Tells whether an execution in that status is over."""
    return Status(status) in TERMINAL


def batch_results(parent: int, key: str) -> Tx[Stored]:
    """Returns the results of a batch of children, in order, as one value (S6.1)."""
    rows = yield "children_results", {"parent": parent, "key": key}
    parts: list[str] = []
    shape: dict[str, str] = {}
    for index, (workflow_id, status, value, value_shape, checksum, failure) in enumerate(rows):
        success = status == Status.COMPLETED
        if value is not None:
            verified(value, value_shape, checksum, f"the result of child {index} of {key!r}")
        error = None if success else failures.from_json(failure) if failure else None
        head = orjson.dumps(
            {"workflow_id": workflow_id, "success": success,
             "error": None if success else f"{error.type_name}: {error.message}" if error else status}
        ).decode()  # fmt: skip
        parts.append(f'{head[:-1]},"result":{value if success and value is not None else "null"}}}')
        if success and value_shape:
            shape.update({f"/{index}/result{at}": name for at, name in orjson.loads(value_shape).items()})
    return Stored("[" + ",".join(parts) + "]", orjson.dumps(shape).decode() if shape else None)
