"""Answers to suspends, before or after they are reached (S4.4). Starts and claims nothing."""

from __future__ import annotations

import shlex

from polos.core.model import Event, Kind, Outcome, Stored
from polos.errors import AlreadyResumed, ExecutionEnded, UnknownExecution, UsageError
from polos.store.sql.completion import complete, is_ended
from polos.store.sql.events import event_value
from polos.store.sql.lifecycle import lifecycle, told
from polos.store.sql.tx import Changed, Tx


def resume(execution_id: str, key: str, data: Stored, answer_id: str, now: int) -> Tx[None]:
    """Stores the answer to a suspend, before it or after; the first one wins (S4.4)."""
    rows = yield "execution_by_id", {"id": execution_id}
    if not rows:
        raise UnknownExecution(f"there is no execution {execution_id}", hint="polos ps lists them")
    number, status, _, topic_id, _ = rows[0]
    answered = yield "answer_of", {"execution": number, "key": key}
    if answered and answered[0][1] == answer_id:
        return  # the call is made again, since its answer was lost
    if answered:
        raise AlreadyResumed(
            f"{key!r} of execution {number} has its answer already",
            hint=f"see it: polos show {number} --step {shlex.quote(key)}",
        )
    yield from _check_suspend(number, key)
    if is_ended(status):
        raise ExecutionEnded(f"execution {number} is {status}; nobody waits for {key!r}", hint=f"polos show {number}")
    rows = yield "insert_answer", {
        "execution": number, "key": key, "id": answer_id, "value": data.text, "shape": data.shape,
        "checksum": data.checksum, "created_at": now,
    }  # fmt: skip
    yield from lifecycle(topic_id, [("resume", told(number, key, Kind.SUSPEND))], now)
    value = answer_value(rows[0][0], answer_id, data, now)
    yield from complete(number, key, Outcome.COMPLETED, now, value=value)
    yield Changed(number, execution_id)


def _check_suspend(number: int, key: str) -> Tx[None]:
    """Refuses an answer to what is no suspend, or to one that has timed out (S4.3)."""
    waits = yield "kind_of_wait", {"execution": number, "key": key}
    entries = yield "kind_of_entry", {"execution": number, "key": key}
    kinds = [row[0] for row in (*waits, *entries)]
    if any(kind != Kind.SUSPEND for kind in kinds):
        raise UsageError(
            f"{key!r} of execution {number} is a step of kind {kinds[0]}; only a suspend can be answered",
            hint=f"see what it waits for: polos show {number}",
        )
    if entries and entries[0][1] == Outcome.TIMED_OUT:
        raise UsageError(
            f"the answer comes too late: {key!r} of execution {number} has timed out", hint=f"polos show {number}"
        )


def answer_value(position: int, answer_id: str, data: Stored, created_at: int) -> Stored:
    """Returns an answer as the value of the suspend that it completes: an event's fields."""
    return event_value(
        Event(
            position=position,
            id=answer_id,
            topic="",
            sequence=position,
            type="resume",
            data=data,
            created_at=created_at,
        )
    )
