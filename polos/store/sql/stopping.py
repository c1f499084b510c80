"""Transactions that stop executions: cancels and ends of running time, down the tree (S8.4, S8.5). Retries none."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from polos.core.model import Ending, Kind, Outcome, Stopped
from polos.core.status import TERMINAL, Change, Status, after
from polos.errors import ExecutionEnded, UnknownExecution
from polos.store.sql.completion import AWAKE
from polos.store.sql.ending import end, stopped
from polos.store.sql.lifecycle import lifecycle
from polos.store.sql.tx import Changed, Due, Queued, Row, Tx

STOP_KEY = "polos:stop"


def cancel(execution_id: str, now: int) -> Tx[Stopped]:
    """Cancels an execution and its children; one that is cancelled already stays so.

    Raises:
        UnknownExecution: there is none.
        ExecutionEnded: it has completed or failed.
    """
    rows = yield "execution_by_id", {"id": execution_id}
    if not rows:
        raise UnknownExecution(f"there is no execution {execution_id}", hint="polos ps lists them")
    number, status = rows[0][0], rows[0][1]
    if status == Status.CANCELLED:
        return Stopped()
    if Status(status) in TERMINAL:
        raise ExecutionEnded(f"execution {number} is {status}; there is nothing to cancel", hint=f"polos show {number}")
    return (yield from _stop_tree(number, now))


def stop_children(number: int, now: int) -> Tx[None]:
    """Cancels what an execution has started, and not itself."""
    yield from _stop_tree(number, now, spared=number)


def stop_asked_before(number: int, after_: int, children: Sequence[int], now: int) -> Tx[None]:
    """Cancels new children of an execution that is being stopped, if its code asked for them before it was told."""
    stops = yield "stop_seq", {"execution": number}
    if stops and after_ < stops[0][0]:
        for child in children:
            yield from end(child, stopped(Ending.CANCEL, None), Status.QUEUED, now)


def _stop_tree(number: int, now: int, spared: int | None = None) -> Tx[Stopped]:
    ended: list[int] = []
    ending: list[int] = []
    for row in (yield "tree_to_stop", {"execution": number}):
        if row[0] == spared:
            continue
        if _ends_at_once(row):
            yield from end(row[0], stopped(Ending.CANCEL, None), Status(row[2]), now)
            ended.append(row[0])
        else:
            if row[3] is None:
                yield from record_stop(row[0], row[1], Ending.CANCEL, now)
            ending.append(row[0])
    return Stopped(ended=tuple(ended), ending=tuple(ending))


def _ends_at_once(row: Row) -> bool:
    """Tells whether no code is there to be told: it never began, is blocked, or no worker has it (S8.4)."""
    status, has_begun, has_worker = Status(row[2]), bool(row[4]), bool(row[9])
    return status is Status.BLOCKED or (status is not Status.RUNNING and not (has_begun and has_worker))


def record_stop(number: int, execution_id: str, ending: Ending, now: int) -> Tx[None]:
    """Records the stop as an outcome, so that it reaches the code in its place, live and on replay."""
    rows = yield "stop", {
        "execution": number, "ending": ending, "asleep": Status.WAITING, "awake": AWAKE, "now": now
    }  # fmt: skip
    seq, status, topic, worker_id, ran_for = rows[0]
    outcome = Outcome.CANCELLED if ending is Ending.CANCEL else Outcome.TIMED_OUT
    yield "insert_entry", {
        "execution": number, "key": STOP_KEY, "seq": seq, "after": seq - 1, "kind": Kind.STOP, "outcome": outcome,
        "attempt": 1, "value": None, "shape": None, "checksum": None, "failure": None,
        "request": orjson.dumps({"ran_for": ran_for}).decode(), "event": None, "site": "", "arguments": None, "code": None,
        "started_at": now, "ended_at": now,
    }  # fmt: skip
    yield from lifecycle(topic, [("workflow_stopping", {"execution": number, "reason": str(ending)})], now)
    yield Changed(number, execution_id, worker_id, outcome=True)
    if status == after(Status.WAITING, Change.WAKE):
        yield Queued()
        yield Due(now)
