"""Transactions that start executions, and the records of their rows (S6.2, S9.1). Claims none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polos.core import failure as failures
from polos.core.ids import short_end, workflow_topic
from polos.core.model import (
    Entry,
    FailedAttempt,
    Kind,
    NewExecution,
    Outcome,
    PendingWait,
    Started,
    verified,
)
from polos.core.status import Status
from polos.core.waits import same_value
from polos.errors import (
    IdempotencyConflict,
)
from polos.store.sql.lifecycle import lifecycle, topic
from polos.store.sql.tx import Due, Queued, Row, Tx


@dataclass(frozen=True, slots=True)
class Parent:
    """Where a child hangs."""

    number: int
    id: str
    key: str
    index: int
    root: int
    root_id: str
    root_workflow_id: str
    topic: int
    life: int


def start_one(new: NewExecution, now: int, parent: Parent | None = None, schedule: int | None = None) -> Tx[Started]:
    """Starts an execution, or gives back the one that its idempotency key names."""
    if new.idempotency_key is not None:
        rows = yield (
            "find_idempotent",
            {"workflow_id": new.workflow_id, "idempotency_key": new.idempotency_key},
        )
        if rows:
            number, id_, value, shape, root_id, root_workflow_id = rows[0]
            if not same_value(new.input, value, shape):
                raise IdempotencyConflict(
                    conflict(new, rows[0]),
                    hint=f"use another key, or see that execution: polos show {number}",
                )
            return Started(
                id=id_, number=number, workflow_id=new.workflow_id, root_id=root_id, root_workflow_id=root_workflow_id,
                created=False,
            )  # fmt: skip
    position = yield "log_position", {}
    topic_id = parent.topic if parent else (yield from topic(workflow_topic(new.workflow_id, new.id)))
    rows = yield "insert_execution", {
        "id": new.id, "workflow_id": new.workflow_id, "status": Status.QUEUED, "available_at": now + new.delay,
        "topic": topic_id, "event_position": position[0][0],
        "parent": parent.number if parent else None, "parent_key": parent.key if parent else None,
        "parent_index": parent.index if parent else None, "parent_life": parent.life if parent else 0,
        "root": parent.root if parent else 0,
        "session_id": new.session_id, "user_id": new.user_id, "queue": new.queue,
        "concurrency_key": new.concurrency_key or "", "schedule": schedule, "idempotency_key": new.idempotency_key,
        "run_timeout": new.run_timeout, "origin": new.origin,
        "created_at": now,
    }  # fmt: skip
    if not rows:
        return (yield from started_before(new.id))
    number = int(rows[0][0])
    if parent is None:
        yield "set_root", {"number": number}
    state = new.initial_state
    yield "insert_input", {
        "execution": number, "value": new.input.text, "shape": new.input.shape, "checksum": new.input.checksum,
        "state": state.text if state else None, "state_shape": state.shape if state else None,
        "state_checksum": state.checksum if state else None,
    }  # fmt: skip
    data: dict[str, Any] = {"execution": number, "id": new.id, "workflow_id": new.workflow_id}
    if parent is not None:
        data |= {"parent": parent.number, "parent_key": parent.key}
    yield from lifecycle(topic_id, [("workflow_start", data)], now)
    yield Queued()
    if new.delay:
        yield Due(now + new.delay)
    return Started(
        id=new.id, number=number, workflow_id=new.workflow_id,
        root_id=parent.root_id if parent else new.id,
        root_workflow_id=parent.root_workflow_id if parent else new.workflow_id,
    )  # fmt: skip


def started_before(id_: str) -> Tx[Started]:
    """Returns what an earlier call with this id started: it was made again, since its answer was lost."""
    number, workflow_id, root_id, root_workflow_id = (yield "started_before", {"id": id_})[0]
    return Started(id=id_, number=number, workflow_id=workflow_id, root_id=root_id, root_workflow_id=root_workflow_id)


def conflict(new: NewExecution, known: Row) -> str:
    """Returns the words for an idempotency key that was used with another payload; `known` is that execution's row."""
    return (
        f"the idempotency key {new.idempotency_key!r} of {new.workflow_id!r} was used with another payload, "
        f"by execution {known[0]} ({short_end(known[1])})"
    )


def start(executions: Sequence[NewExecution], now: int) -> Tx[list[Started]]:
    """Starts all or none (S9.1)."""
    started = []
    for new in executions:
        started.append((yield from start_one(new, now)))
    return started


def entry_from(row: Row) -> Entry:
    """Returns the entry of a row of `entries_after`."""
    (key, kind, outcome, seq, after_, attempt, value, shape, checksum, failure, request, event, site, arguments,
     code, started_at, ended_at) = row  # fmt: skip
    return Entry(
        key=key, kind=Kind(kind), outcome=Outcome(outcome), seq=seq, after=after_, attempt=attempt,
        value=verified(value, shape, checksum, f"the outcome of step {key!r}") if value is not None else None,
        failure=failures.from_json(failure) if failure else None,
        request=request, event=event, site=site, arguments=arguments, code=code or "", started_at=started_at, ended_at=ended_at,
    )  # fmt: skip


def entries_after(execution: int, since: int) -> Tx[list[Entry]]:
    """Returns the live outcomes after `since`, in order. Raises `CorruptRecord`."""
    rows = yield "entries_after", {"execution": execution, "since": since}
    return [entry_from(row) for row in rows]


def wait_from(row: Row) -> PendingWait:
    """Returns the pending wait of a row of `waits_of`."""
    key, kind, after_, channel, deadline, request, site, started_at = row
    return PendingWait(
        key=key, kind=Kind(kind), after=after_, channel=channel, deadline=deadline, request=request, site=site,
        started_at=started_at,
    )  # fmt: skip


def waits_of(execution: int) -> Tx[list[PendingWait]]:
    """Returns what the execution waits on."""
    rows = yield "waits_of", {"execution": execution}
    return [wait_from(row) for row in rows]


def attempt_from(row: Row) -> FailedAttempt:
    """Returns the failed attempt of a row of `attempts_of`."""
    key, attempt, failure, started_at, ended_at, due_at = row
    return FailedAttempt(
        key=key,
        attempt=attempt,
        failure=failures.from_json(failure),
        started_at=started_at,
        ended_at=ended_at,
        due_at=due_at,
    )


def attempts_of(execution: int) -> Tx[list[FailedAttempt]]:
    """Returns the execution's failed attempts, oldest first."""
    rows = yield "attempts_of", {"execution": execution}
    return [attempt_from(row) for row in rows]
