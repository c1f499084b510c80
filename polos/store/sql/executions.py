"""Transactions that start, claim and take over executions (S6.2, S8.1, S9.1)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from polos.core import failure as failures
from polos.core.ids import short_end, workflow_topic
from polos.core.model import (
    Entry,
    Execution,
    FailedAttempt,
    Kind,
    NewExecution,
    Outcome,
    PendingWait,
    Started,
    WorkerInfo,
    verified,
)
from polos.core.ops import Lease
from polos.core.status import Change, Status, after
from polos.core.waits import same_value
from polos.errors import (
    CorruptRecord,
    IdempotencyConflict,
)
from polos.ports import Claim, ClaimRequest
from polos.store.sql import triggers
from polos.store.sql.completion import OFFERED_FOR, timed_out
from polos.store.sql.lifecycle import lifecycle, topic
from polos.store.sql.tx import Changed, Due, Queued, Row, Tx


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


def start_one(new: NewExecution, now: int, parent: Parent | None = None) -> Tx[Started]:
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
        "parent_index": parent.index if parent else None, "root": parent.root if parent else 0,
        "session_id": new.session_id, "user_id": new.user_id, "queue": new.queue,
        "concurrency_key": new.concurrency_key, "idempotency_key": new.idempotency_key, "run_timeout": new.run_timeout,
        "origin": new.origin,
        "created_at": now,
    }  # fmt: skip
    if not rows:
        return (yield from _started_before(new))
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


def _started_before(new: NewExecution) -> Tx[Started]:
    """Returns what an earlier call with this id started: it was made again, since its answer was lost."""
    number, workflow_id, root_id, root_workflow_id = (yield "started_before", {"id": new.id})[0]
    return Started(
        id=new.id, number=number, workflow_id=workflow_id, root_id=root_id, root_workflow_id=root_workflow_id
    )


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


def claim(request: ClaimRequest, now: int) -> Tx[list[Claim]]:
    """Gives queued executions to a worker under a new epoch, oldest first, with the outcomes it does not have."""
    rows = yield "claim", {
        "running": after(Status.QUEUED, Change.CLAIM), "worker_id": request.worker_id, "now": now,
        "offered_until": now - OFFERED_FOR, "limit": request.limit,
        "any_workflow": 0, "workflow_ids": orjson.dumps(sorted(request.workflow_ids)).decode(),
        "any_root": int(request.root_ids is None),
        "root_ids": orjson.dumps(sorted(request.root_ids or ())).decode(), "only_rest": int(request.only_rest),
    }  # fmt: skip
    if not rows:
        return []
    found = yield "claimed_rows", {"numbers": orjson.dumps([row[0] for row in rows]).decode()}
    claims: list[tuple[tuple[int, int], Claim]] = []
    for row in found:
        is_held = row[0] in request.held
        since = request.held.get(row[0], 0)
        try:
            execution = _claimed(row)
            entries = (yield from entries_after(execution.number, since)) if execution.seq > since else []
        except CorruptRecord as damage:
            yield from _set_aside(row, damage, now)
            continue
        pending: Any = ()
        attempts: Any = ()
        if execution.epoch > 1:
            attempts = yield from attempts_of(execution.number)
            if not is_held:
                pending = yield from waits_of(execution.number)
        lease = Lease(execution=execution.number, epoch=execution.epoch, worker_id=request.worker_id)
        order = (execution.available_at, execution.number)
        claims.append(
            (
                order,
                Claim(
                    lease=lease,
                    execution=execution,
                    entries=tuple(entries),
                    since=since,
                    is_held=is_held,
                    pending=tuple(pending),
                    attempts=tuple(attempts),
                ),
            )
        )
    claims.sort(key=lambda pair: pair[0])
    return [claim for _, claim in claims]


def _set_aside(row: Row, damage: CorruptRecord, now: int) -> Tx[None]:
    """Blocks an execution whose records are damaged, so that it holds up no other (S3.4, S8.3)."""
    number, id_ = row[0], row[1]
    yield "set_status", {
        "execution": number, "status": after(Status.RUNNING, Change.BLOCK), "worker_id": None, "available_at": now,
    }  # fmt: skip
    reason = {"kind": "corrupt_record", "message": damage.message, "hint": damage.hint}
    yield "insert_result", {
        "execution": number, "value": None, "shape": None, "checksum": None, "failure": None, "cause_key": None,
        "reason": orjson.dumps(reason).decode(),
    }  # fmt: skip
    topic_id = (yield "execution_by_id", {"id": id_})[0][3]
    yield from lifecycle(topic_id, [("workflow_blocked", {"execution": number, "reason": reason["kind"]})], now)
    yield Changed(number, id_)
    yield Queued()  # another one may be claimed in its place


def _claimed(row: Row) -> Execution:
    (number, id_, workflow_id, status, created_at, started_at, available_at, epoch, seq, deaths, life, stored_bytes,
     log_lines, worker_id, parent_id, parent_key, root_id, root_workflow_id, session_id, user_id, idempotency_key,
     run_timeout, value, shape, checksum, state, state_shape, state_checksum) = row  # fmt: skip
    return Execution(
        number=number, id=id_, workflow_id=workflow_id, status=Status(status), created_at=created_at,
        started_at=started_at, available_at=available_at, epoch=epoch, seq=seq, deaths=deaths, life=life,
        stored_bytes=stored_bytes, log_lines=log_lines, worker_id=worker_id, parent_id=parent_id, parent_key=parent_key,
        root_id=root_id, root_workflow_id=root_workflow_id, session_id=session_id, user_id=user_id,
        idempotency_key=idempotency_key, run_timeout=run_timeout,
        input=verified(value, shape, checksum, f"the input of {id_}"),
        initial_state=verified(state, state_shape, state_checksum, f"the state of {id_}") if state else None,
    )  # fmt: skip


def entry_from(row: Row) -> Entry:
    """Returns the entry of a row of `entries_after`."""
    (key, kind, outcome, seq, after_, attempt, value, shape, checksum, failure, request, event, site, arguments,
     started_at, ended_at) = row  # fmt: skip
    return Entry(
        key=key, kind=Kind(kind), outcome=Outcome(outcome), seq=seq, after=after_, attempt=attempt,
        value=verified(value, shape, checksum, f"the outcome of step {key!r}") if value is not None else None,
        failure=failures.from_json(failure) if failure else None,
        request=request, event=event, site=site, arguments=arguments, started_at=started_at, ended_at=ended_at,
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


def take_over(now: int, keep: Collection[str] = ()) -> Tx[int]:
    """Queues what workers other than these held: one death more each (S1.3, S8.2)."""
    kept = orjson.dumps(sorted(keep)).decode()
    yield "bury_workers", {"now": now, "keep": kept}
    rows = yield "take_over", {"queued": after(Status.RUNNING, Change.TAKE_OVER), "now": now, "keep": kept}
    return (yield from _queued(rows))


def bury(worker_id: str, now: int) -> Tx[int]:
    """Gives a worker up, and queues what it held (S8.2)."""
    yield "goodbye", {"id": worker_id, "now": now}
    rows = yield "bury", {"queued": after(Status.RUNNING, Change.TAKE_OVER), "now": now, "worker_id": worker_id}
    yield Queued()  # also for what was offered to it first
    return (yield from _queued(rows))


def _queued(rows: Sequence[Row]) -> Tx[int]:
    for number, id_ in rows:
        yield Changed(number, id_)
    if rows:
        yield Queued()
    return len(rows)


def fire_due(now: int, limit: int = 500) -> Tx[int | None]:
    """Completes what is due, and returns the instant of the next."""
    rows = yield "due_waits", {"now": now, "limit": limit}
    for execution, key, kind in rows:
        yield from timed_out(execution, key, kind, now)
    deadline = (yield "next_deadline", {})[0][0]
    available = (yield "next_available", {"now": now})[0][0]
    offered = (yield "next_offer", {"offered_until": now - OFFERED_FOR})[0][0]
    instants = [deadline, available, (yield from triggers.fire_batches(now))]
    if offered is not None:
        instants.append(offered + OFFERED_FOR)
    yield Queued()
    return min((at for at in instants if at is not None), default=None)


def hello(worker: WorkerInfo, holding: Mapping[int, int], now: int) -> Tx[None]:
    """Introduces a worker and its manifest; what it does not know that it holds is queued again."""
    yield "hello", {
        "id": worker.id, "pid": worker.pid, "project": worker.project, "complete": int(worker.complete),
        "claims": worker.claims, "workflow_ids": orjson.dumps(worker.workflow_ids).decode(),
        "started_at": worker.started_at,
    }  # fmt: skip
    yield from triggers.register(worker, now)
    yield from _give_back(worker.id, holding, now)


def requeue_blocked(now: int) -> Tx[int]:
    """Gives blocked executions one try with the code that is here now (S8.3)."""
    rows = yield "requeue_blocked", {"queued": after(Status.BLOCKED, Change.UNBLOCK), "now": now}
    if rows:
        yield Queued()
    return len(rows)


def goodbye(worker_id: str, now: int) -> Tx[None]:
    """Notes that a worker has gone; what it still holds, by a claim whose answer it did not wait for, is queued again."""
    yield "goodbye", {"id": worker_id, "now": now}
    yield from _give_back(worker_id, {}, now)


def _give_back(worker_id: str, holding: Mapping[int, int], now: int) -> Tx[None]:
    held = yield "held_by", {"worker_id": worker_id}
    unknown = [number for number, epoch in held if holding.get(number) != epoch]
    if unknown:
        yield "give_back", {
            "queued": after(Status.RUNNING, Change.RELEASE), "now": now, "worker_id": worker_id,
            "numbers": orjson.dumps(unknown).decode(),
        }  # fmt: skip
    yield Queued()  # who may claim what depends on who is there
