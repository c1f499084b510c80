"""Transactions that give queued executions to workers (S8.1), as far as their queues admit them (S7.4). Starts none."""

from __future__ import annotations

from typing import Any

import orjson

from polos.core.model import Ending, Execution, verified
from polos.core.ops import Lease
from polos.core.status import SUSPECT, Change, Status, after
from polos.errors import CorruptRecord
from polos.ports import Claim, ClaimRequest
from polos.store.sql import ending
from polos.store.sql.completion import OFFERED_FOR
from polos.store.sql.executions import attempts_of, entries_after, waits_of
from polos.store.sql.tx import Queued, Row, Tx

LINES = 200
"""Lines of queues looked at at once; a claim goes on until it has enough, the next one behind them: each has its turn."""

_ANY = 1 << 30


class Turn:
    """Where the claims of a store have come to, among the lines of its queues: moved by each claim."""

    def __init__(self) -> None:
        self.queue = ""
        self.concurrency_key = ""


def claim(request: ClaimRequest, now: int, turn: Turn | None = None) -> Tx[list[Claim]]:
    """Gives queued executions to a worker under a new epoch, oldest first, with the outcomes it does not have."""
    asked: dict[str, Any] = {
        "worker_id": request.worker_id, "now": now, "offered_until": now - OFFERED_FOR, "limit": request.limit,
        "workflow_ids": orjson.dumps(sorted(request.workflow_ids)).decode(),
        "any_root": int(request.root_ids is None),
        "root_ids": orjson.dumps(sorted(request.root_ids or ())).decode(), "only_rest": int(request.only_rest),
        "deaths_below": SUSPECT if request.runs_suspect else _ANY,
    }  # fmt: skip
    turn = turn or Turn()
    rows = yield from _take(asked, turn)
    suspects = [number for number, deaths in rows if deaths >= SUSPECT]
    if len(suspects) > 1:  # they clear themselves one at a time; others take the places of the rest
        back = suspects[1:]
        numbers = orjson.dumps(back).decode()
        yield "put_back", {"queued": after(Status.RUNNING, Change.RELEASE), "numbers": numbers}
        yield Queued()  # another worker may take them
        rows = [row for row in rows if row[0] not in back]
        rows += yield from _take({**asked, "limit": request.limit - len(rows), "deaths_below": SUSPECT}, turn)
    if not rows:
        return []
    found = yield "claimed_rows", {"numbers": orjson.dumps([row[0] for row in rows]).decode()}
    claims: list[tuple[tuple[int, int], Claim]] = []
    for row in found:
        taken = yield from _claim_of(row, request, now)
        if taken is not None:
            claims.append(((taken.execution.available_at, taken.execution.number), taken))
    claims.sort(key=lambda pair: pair[0])
    return [claim for _, claim in claims]


def _take(asked: dict[str, Any], turn: Turn) -> Tx[list[Row]]:
    """Takes queued executions; returns the number and the deaths of each."""
    taking = {"running": after(Status.QUEUED, Change.CLAIM), "worker_id": asked["worker_id"], "now": asked["now"]}
    if not (yield "any_in_line", {"now": asked["now"]}):
        return list((yield "claim", {**asked, **taking}))
    numbers = yield from _admitted(asked, turn)
    return list((yield "take", {**taking, "numbers": orjson.dumps(numbers).decode()})) if numbers else []


def _admitted(asked: dict[str, Any], turn: Turn) -> Tx[list[int]]:
    """Returns whom to take, oldest first: those in no queue, and those whom the queues admit."""
    found = [(placed_at, number) for number, placed_at in (yield "claimable", asked)]
    wanted = asked["limit"] + len(found)
    start = at = (turn.queue, turn.concurrency_key)
    is_around = start == ("", "")
    while len(found) < wanted:
        lines = yield "lines", {"queue": at[0], "concurrency_key": at[1], "limit": LINES}
        for queue, key, limit, running in lines:
            if is_around and start != ("", "") and (queue, key) > start:
                lines = []  # seen before
                break
            found += yield from _front(asked, queue, key, limit, running)
        if len(lines) == LINES:
            at = (lines[-1][0], lines[-1][1])
        elif is_around:
            at = ("", "")
            break
        else:
            at, is_around = ("", ""), True
    turn.queue, turn.concurrency_key = at
    return [number for _, number in sorted(found)[: asked["limit"]]]


def _front(asked: dict[str, Any], queue: str, key: str, limit: int | None, running: int) -> Tx[list[tuple[int, int]]]:
    """Returns those of one line that the worker may take.

    Whoever came first keeps a place also while it waits for another worker: nobody passes it. Without a limit there
    are places for all.
    """
    places = asked["limit"] if limit is None else limit - running
    if places <= 0:
        return []
    front = yield "line_front", {
        **asked, "queue": queue, "concurrency_key": key, "places": places, "only_mine": int(limit is None)
    }  # fmt: skip
    return [(placed_at, number) for number, placed_at in front]


def _claim_of(row: Row, request: ClaimRequest, now: int) -> Tx[Claim | None]:
    is_held = row[0] in request.held
    since = request.held.get(row[0], 0)
    try:
        execution = _claimed(row, dict((yield "lives_of_keys", {"execution": row[0]})) if row[10] else {})
        entries = (yield from entries_after(execution.number, since)) if execution.seq > since else []
    except CorruptRecord as damage:
        yield from _set_aside(row, damage, request.worker_id, now)
        return None
    pending: Any = ()
    attempts: Any = ()
    if execution.epoch > 1:
        attempts = yield from attempts_of(execution.number)
        if not is_held:
            pending = yield from waits_of(execution.number)
    return Claim(
        lease=Lease(execution=execution.number, epoch=execution.epoch, worker_id=request.worker_id),
        execution=execution, entries=tuple(entries), since=since, is_held=is_held, pending=tuple(pending),
        attempts=tuple(attempts),
    )  # fmt: skip


def _set_aside(row: Row, damage: CorruptRecord, worker_id: str, now: int) -> Tx[None]:
    """Blocks an execution whose records are damaged, so that it holds up no other (S3.4, S8.3)."""
    rows = yield "code_of_worker", {"id": worker_id}
    reason = orjson.dumps({"kind": "corrupt_record", "message": damage.message, "hint": damage.hint}).decode()
    yield from ending.block(row[0], reason, rows[0][0] if rows else "", Status.RUNNING, now)
    yield Queued()  # another one may be claimed in its place


def _claimed(row: Row, lives: dict[str, int]) -> Execution:
    (number, id_, workflow_id, status, created_at, started_at, available_at, epoch, seq, deaths, life, stored_bytes,
     log_lines, worker_id, parent_id, parent_key, root_id, root_workflow_id, session_id, user_id, idempotency_key,
     run_timeout, ran_for, stop, value, shape, checksum, state, state_shape, state_checksum) = row  # fmt: skip
    return Execution(
        number=number, id=id_, workflow_id=workflow_id, status=Status(status), created_at=created_at,
        started_at=started_at, available_at=available_at, epoch=epoch, seq=seq, deaths=deaths, life=life,
        stored_bytes=stored_bytes, log_lines=log_lines, worker_id=worker_id, parent_id=parent_id, parent_key=parent_key,
        root_id=root_id, root_workflow_id=root_workflow_id, session_id=session_id, user_id=user_id,
        idempotency_key=idempotency_key, run_timeout=run_timeout, ran_for=ran_for,
        ending=Ending(stop) if stop else None, lives=lives,
        input=verified(value, shape, checksum, f"the input of {id_}"),
        initial_state=verified(state, state_shape, state_checksum, f"the state of {id_}") if state else None,
    )  # fmt: skip
