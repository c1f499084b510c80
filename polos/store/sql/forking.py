"""The transaction that makes a fork: a new execution with a part of another one's history (S9.4). Changes no source."""

from __future__ import annotations

from typing import Any

import orjson

from polos.core import failure as failures
from polos.core.forks import Cut, Edit, ForkRequest, Provenance, Source, cut, edited
from polos.core.model import NewExecution, Outcome, Started, Stored, verified
from polos.errors import UnknownExecution
from polos.store.sql import executions
from polos.store.sql.lifecycle import lifecycle
from polos.store.sql.tx import Row, Tx


def fork(request: ForkRequest, now: int) -> Tx[Started]:
    """Makes a fork, and queues it.

    Raises:
        UnknownExecution: there is no source.
        UsageError: it cannot be cut or edited there.
    """
    if (yield "execution_by_id", {"id": request.id}):
        return (yield from executions.started_before(request.id))  # asked again, since the answer was lost
    number, event_position, source = yield from _source(request)
    made = cut(source.entries, source.waits, request.at)
    changes = edited(made, request.edits)
    new = NewExecution(
        id=request.id, workflow_id=source.workflow_id, input=source.input if request.input is None else request.input,
        initial_state=source.initial_state, session_id=source.session_id, user_id=source.user_id, queue=source.queue,
        concurrency_key=source.concurrency_key, run_timeout=source.run_timeout, origin=request.origin,
    )  # fmt: skip
    started = yield from executions.start_one(new, now)
    kept: dict[str, Any] = {"execution": started.number, "source": number, "after": made.after}
    if number is None:
        yield from _insert(started.number, made)
    else:
        yield "copy_entries", kept
        yield "copy_attempts", kept
        yield "copy_released", kept
    if changes:
        yield "edit_entry", [
            {"execution": started.number, "key": entry.key, "outcome": entry.outcome,
             "value": entry.value.text if entry.value else None, "shape": entry.value.shape if entry.value else None,
             "checksum": entry.value.checksum if entry.value else None}
            for entry, _ in changes
        ]  # fmt: skip
    yield "begin_fork", {"execution": started.number, "after": made.after, "event_position": event_position}
    yield "insert_fork", {
        "execution": started.number, "source": source.id, "source_number": source.number,
        "source_workflow": source.workflow_id, "at": request.at, "kept": len(made.kept),
        "has_other_input": int(request.input is not None),
        "edits": orjson.dumps([_edit_to_json(before) for _, before in changes]).decode(),
    }  # fmt: skip
    _, topic, *_ = (yield "ending_facts", {"execution": started.number})[0]
    told = [{"key": one.key, "kind": str(one.kind), "outcome": str(one.outcome)} for one in made.kept]
    of = {"execution": started.number, "source": source.id, "at": request.at, "kept": told}
    yield from lifecycle(topic, [("workflow_forked", of)], now)
    return started


def _source(request: ForkRequest) -> Tx[tuple[int | None, int | None, Source]]:
    """Returns the source: its number here and where its topics begin, if it is here, and what it holds."""
    if request.given is not None:
        return None, None, request.given
    rows = yield "fork_source", {"id": request.source_id}
    if not rows:
        raise UnknownExecution(f"there is no execution {request.source_id}", hint="polos ps lists them")
    (number, workflow_id, event_position, session_id, user_id, queue, concurrency_key, run_timeout, *stored) = rows[0]
    value, shape, checksum, state, state_shape, state_checksum = stored
    source = Source(
        id=request.source_id, number=number, workflow_id=workflow_id,
        input=verified(value, shape, checksum, f"the input of {request.source_id}"),
        initial_state=None if state is None else verified(state, state_shape, state_checksum, "its state"),
        session_id=session_id, user_id=user_id, queue=queue, concurrency_key=concurrency_key or None,
        run_timeout=run_timeout, entries=tuple((yield from executions.entries_after(number, 0))),
        waits=tuple((yield from executions.waits_of(number))),
    )  # fmt: skip
    return number, event_position, source


def _insert(execution: int, made: Cut) -> Tx[None]:
    """Writes what is kept of a source that is not here; the events that it saw are not here either."""
    for one in made.kept:
        value = one.value
        yield "insert_entry", {
            "execution": execution, "key": one.key, "seq": one.seq, "after": one.after, "kind": one.kind,
            "outcome": one.outcome, "attempt": one.attempt, "value": value.text if value else None,
            "shape": value.shape if value else None, "checksum": value.checksum if value else None,
            "failure": failures.to_json(one.failure) if one.failure else None, "request": one.request, "event": None,
            "site": one.site, "arguments": one.arguments, "code": one.code or None, "started_at": one.started_at,
            "ended_at": one.ended_at,
        }  # fmt: skip


def provenance_from(row: Row) -> Provenance:
    """Returns the provenance of a row of `provenance`."""
    number, id_, workflow_id, at, kept, has_other_input, edits = row
    return Provenance(
        source_id=id_, source_number=number, source_workflow_id=workflow_id, at=at, kept=kept,
        has_other_input=bool(has_other_input), edits=tuple(_edit_from_json(one) for one in orjson.loads(edits)),
    )  # fmt: skip


def _edit_to_json(edit: Edit) -> dict[str, Any]:
    return {
        "key": edit.key, "outcome": str(edit.outcome), "value": edit.value.text if edit.value else None,
        "shape": edit.value.shape if edit.value else None,
        "failure": failures.to_json(edit.failure) if edit.failure else None,
    }  # fmt: skip


def _edit_from_json(told: dict[str, Any]) -> Edit:
    return Edit(
        key=told["key"], outcome=Outcome(told["outcome"]),
        value=None if told["value"] is None else Stored(told["value"], told["shape"]),
        failure=failures.from_json(told["failure"]) if told["failure"] else None,
    )  # fmt: skip
