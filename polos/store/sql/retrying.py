"""The transaction that reopens an execution that has failed, was cancelled or is blocked (S9.4). Runs nothing."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from polos.core.cut import awaited, has_received, superseded_by_retry
from polos.core.model import Entry, Kind, Outcome, Retried
from polos.core.status import Change, Status, after
from polos.core.waits import children_channel
from polos.errors import ExecutionEnded, UnknownExecution, UsageError
from polos.store.sql import executions
from polos.store.sql.lifecycle import lifecycle
from polos.store.sql.tx import Changed, Queued, Tx


def retry(execution_id: str, now: int) -> Tx[Retried]:
    """Reopens an execution, with the failed children that it will ask for again; one that is open stays as it is.

    Raises:
        UnknownExecution: there is none.
        ExecutionEnded: it has completed.
        UsageError: its parent has received its end: the root is to be retried.
    """
    rows = yield "execution_by_id", {"id": execution_id}
    if not rows:
        raise UnknownExecution(f"there is no execution {execution_id}", hint="polos ps lists them")
    number, status = int(rows[0][0]), Status(rows[0][1])
    if status is Status.COMPLETED:
        raise ExecutionEnded(
            f"execution {number} has completed; there is nothing to retry", hint=f"polos show {number}"
        )
    if status is Status.BLOCKED:
        unblocked = after(Status.BLOCKED, Change.RETRY)
        topic, id_, life = (yield "unblock", {"execution": number, "queued": unblocked, "now": now})[0]
        yield from lifecycle(topic, [("workflow_retried", {"execution": number, "life": life})], now)
        yield Changed(number, id_)
        yield Queued()
        return Retried(number=number, life=life, reopened=(number,))
    if status not in (Status.FAILED, Status.CANCELLED):
        return Retried(number=number, life=0)  # the call is made again, since its answer was lost
    yield from _refuse_if_received(number)
    reopened: list[int] = []
    life, superseded = yield from _reopen(number, now, reopened)
    yield Queued()
    return Retried(number=number, life=life, superseded=superseded, reopened=tuple(reopened))


def _refuse_if_received(number: int) -> Tx[None]:
    rows = yield "parent_of", {"execution": number}
    if not rows:
        return
    id_, key, parent, _, root, _, _, its_life, life = rows[0]
    if its_life != life:
        return
    if has_received((yield from executions.entries_after(parent, 0)), key, id_):
        raise UsageError(
            f"execution {number} is a child: its parent, {parent}, has received how it ended, and went on from there",
            hint=f"retry the root, which reopens it where it is needed: polos retry {root}",
        )


def _reopen(number: int, now: int, reopened: list[int]) -> Tx[tuple[int, tuple[str, ...]]]:
    status, error_type, ended_at, failure, cause_key = (yield "end_to_take_back", {"execution": number})[0]
    entries = yield from executions.entries_after(number, 0)
    taken = superseded_by_retry(entries, cause_key)
    stop = next((entry for entry in taken if entry.kind is Kind.STOP), None)
    cause = stop.key if stop else cause_key
    queued = after(Status(status), Change.RETRY)
    life, topic, id_ = (yield "reopen", {"execution": number, "queued": queued, "now": now})[0]
    yield "insert_life", {
        "execution": number, "number": life, "outcome": status, "error_type": error_type, "failure": failure,
        "cause_key": cause, "ended_at": ended_at, "now": now,
    }  # fmt: skip
    yield "delete_result", {"execution": number}
    _, _, parent, parent_key, *_ = (yield "ending_facts", {"execution": number})[0]
    if parent is not None:  # where its batch is awaited, it is awaited again
        yield "child_reopened", {"channel": children_channel(parent, parent_key), "child": id_}
    keys = [entry.key for entry in taken]
    named = orjson.dumps(keys).decode()
    told = {"execution": number, "life": life, "cause": cause, "superseded": keys}
    yield "supersede_entries", {"execution": number, "life": life, "keys": named}
    yield "supersede_attempts", {"execution": number, "life": life}
    yield "forget_answers", {"execution": number, "keys": named}
    yield "forget_released", {"execution": number, "keys": named}
    others = orjson.dumps([key for key in keys if key != cause]).decode()
    yield "keep_children", {"execution": number, "life": life, "before": life - 1, "keys": others}
    yield from lifecycle(topic, [("workflow_retried", told)], now)
    yield Changed(number, id_)
    reopened.append(number)
    stopped_at = stop.ended_at if stop else ended_at if status == Status.CANCELLED else None
    yield from _reopen_children(number, life, entries, taken, stopped_at, now, reopened)
    return life, tuple(keys)


def _reopen_children(
    number: int, life: int, entries: Sequence[Entry], taken: Sequence[Entry], stopped_at: int | None, now: int,
    reopened: list[int],
) -> Tx[None]:  # fmt: skip
    """Reopens, as the same children, those that had failed and will be asked for again, and those stopped with it."""
    superseded = {entry.key for entry in taken}
    live = {entry.key for entry in entries} - superseded
    wanted = {awaited(one) for one in taken if one.kind is Kind.CHILD and one.outcome is not Outcome.COMPLETED}
    for child, id_, status, key, ended_at in (yield "open_children", {"execution": number, "life": life}):
        was_stopped = stopped_at is not None and status == Status.CANCELLED and ended_at >= stopped_at
        if was_stopped or key not in live or id_ in wanted:
            yield from _reopen(child, now, reopened)
