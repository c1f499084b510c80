"""How a commit starts children (S6). Part of the commit's transaction; fences nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from polos.core.codec import encode
from polos.core.model import Failure, Kind, NewExecution, Outcome, Started
from polos.core.ops import StartChildren
from polos.core.status import Status
from polos.core.waits import children_channel, execution_channel, same_value
from polos.store.sql import executions
from polos.store.sql.completion import batch_results, end_of, is_ended
from polos.store.sql.lifecycle import told
from polos.store.sql.stopping import stop_asked_before
from polos.store.sql.tx import Tx

if TYPE_CHECKING:
    from polos.store.sql.commit import Commit


def start_children(commit: Commit, op: StartChildren) -> Tx[None]:
    """Starts the children of one step, once per (parent, key), and their wait where the step ends with them.

    Where the code asked for them before it was told of its stop, they are stopped with it (S8.4).
    """
    yield from commit.flush()
    new = yield from _start_children(commit, op)
    if new and commit.row[7] is not None:
        commit.elsewhere = True
        yield from stop_asked_before(commit.execution, op.after, new, commit.now)


def _start_children(commit: Commit, op: StartChildren) -> Tx[list[int]]:
    """Returns the numbers of those that are new."""
    rows = yield "claimed_rows", {"numbers": orjson.dumps([commit.execution]).decode()}
    root_id, root_workflow_id = rows[0][16], rows[0][17]
    refused = yield from _conflict(op)
    if refused is not None:
        kind = Kind.CHILD if op.waits else Kind.INVOKE
        commit.enter(op.key, kind, Outcome.FAILED, op.after, op.site, op.started_at, failure=refused,
                               seq=(yield from _extra_seq(commit)) if op.waits else None)  # fmt: skip
        commit.told.append(("step_failed", told(commit.execution, op.key, kind) | {"error_type": refused.type_name}))
        return []
    started, open_ = yield from _known_children(commit, op, root_id, root_workflow_id)
    for index, child in enumerate(op.children if not started else ()):
        parent = executions.Parent(
            commit.execution,
            commit.id,
            op.key,
            index,
            commit.row[4],
            root_id,
            root_workflow_id,
            commit.topic,
            commit.row[5],
        )
        started.append((yield from executions.start_one(child, commit.now, parent)))
        open_ += 1
    new = [one.number for one in started if one.created]
    handles = [
        {"id": s.id, "number": s.number, "workflow_id": s.workflow_id, "root_execution_id": s.root_id,
         "root_workflow_id": s.root_workflow_id} for s in started
    ]  # fmt: skip
    request = orjson.dumps([{"execution": s.number, "workflow_id": s.workflow_id} for s in started]).decode()
    if not op.waits:
        value = encode(handles if op.batch else handles[0])
        commit.enter(op.key, Kind.INVOKE, Outcome.COMPLETED, op.after, op.site, op.started_at,
                               value=value, request=request)  # fmt: skip
        commit.told.append(("step_finish", told(commit.execution, op.key, Kind.INVOKE, commit.now - op.started_at)))
        return new
    channel = children_channel(commit.execution, op.key) if op.batch else execution_channel(started[0].id)
    yield from commit.insert_wait(op.key, Kind.CHILD, op.after, channel, None, op.site, op.started_at,
                                 remaining=open_, request=request)  # fmt: skip
    if op.batch:
        if not open_:
            results = yield from batch_results(commit.execution, op.key)
            yield from commit.complete(op.key, value=results)
    elif not started[0].created:
        yield from _await_known(commit, op, started)
    return new


def _known_children(
    commit: Commit, op: StartChildren, root_id: str, root_workflow_id: str
) -> Tx[tuple[list[Started], int]]:
    """Returns the children that this step has started before, and how many of them are open.

    A step that was given up (its task cancelled) leaves no entry, but its children are there: they are its children
    whenever it is asked for again (S6.2).
    """
    rows = yield "children_of", {"parent": commit.execution, "key": op.key, "life": commit.row[5]}
    started = [
        Started(
            id=id_,
            number=number,
            workflow_id=workflow_id,
            root_id=root_id,
            root_workflow_id=root_workflow_id,
            created=False,
        )
        for id_, number, workflow_id, _ in rows
    ]
    return started, sum(not is_ended(row[3]) for row in rows)


def _conflict(op: StartChildren) -> Tx[Failure | None]:
    """Looks at idempotency keys before anything is written: a refused child is its step's failure."""
    seen: dict[tuple[str, str], NewExecution] = {}
    for child in op.children:
        if child.idempotency_key is None:
            continue
        twin = seen.setdefault((child.workflow_id, child.idempotency_key), child)
        if twin.input != child.input:
            message = (
                f"the idempotency key {child.idempotency_key!r} is used twice in one batch, with different payloads"
            )
            return Failure(type_name="IdempotencyConflict", message=message)
        if twin is not child and op.waits:
            message = f"the idempotency key {child.idempotency_key!r} is used twice in one awaited batch"
            return Failure(type_name="UsageError", message=message)
        rows = yield "find_idempotent", {
            "workflow_id": child.workflow_id, "idempotency_key": child.idempotency_key
        }  # fmt: skip
        if not rows:
            continue
        if not same_value(child.input, rows[0][2], rows[0][3]):
            return Failure(type_name="IdempotencyConflict", message=executions.conflict(child, rows[0]))
        if op.waits and op.batch:
            return Failure(
                type_name="UsageError",
                message=f"the idempotency key {child.idempotency_key!r} names an execution that exists already; "
                "start it with ctx.step.invoke and await it with ctx.step.result",
            )
    return None


def _extra_seq(commit: Commit) -> Tx[int]:
    """Takes one more `seq` than were counted when the commit began."""
    rows = yield "take_seq", {"execution": commit.execution, "asleep": Status.WAITING, "awake": None, "now": commit.now}
    commit.elsewhere = True
    return int(rows[0][0])


def _await_known(commit: Commit, op: StartChildren, started: Sequence[Any]) -> Tx[None]:
    """An idempotency key gave back an earlier execution: it may be over already."""
    rows = yield "execution_by_id", {"id": started[0].id}
    if is_ended(rows[0][1]):
        outcome, value, failure = yield from end_of(started[0].id)
        yield from commit.complete(op.key, outcome=outcome, value=value, failure=failure)
