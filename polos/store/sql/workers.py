"""Transactions on workers: they come with a manifest, go, or die with what they hold (S8.1 to S8.3). Claims nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import orjson

from polos.core.manifest import WorkerInfo
from polos.core.status import Change, Status, after
from polos.errors import UsageError
from polos.store.sql import ending, schedules, triggers
from polos.store.sql.tx import Changed, Due, Queued, Row, Tx

DEATHS = 5
"""Deaths in a row, with no outcome between them, that make a crash loop (S8.3)."""


def hello(worker: WorkerInfo, holding: Mapping[int, int], now: int) -> Tx[None]:
    """Introduces a worker and its manifest; what it does not know that it holds is queued again.

    Raises:
        UsageError: another project, which is up, has a workflow of the same id (S7.3).
    """
    ids = orjson.dumps(worker.workflow_ids).decode()
    if worker.complete:
        yield from _refuse_twice(worker, ids)
    yield "hello", {
        "id": worker.id, "pid": worker.pid, "project": worker.project, "complete": int(worker.complete),
        "claims": worker.claims, "workflow_ids": ids, "code": worker.code, "started_at": worker.started_at,
    }  # fmt: skip
    if worker.claims != "none":
        yield from _declare(worker)
    if worker.claims not in ("own", "none"):  # it would run none of what they start
        yield from _take_over_aliases(worker)
        yield from triggers.register(worker, now)
        yield from schedules.register(worker, now)
        if not worker.is_checked:
            yield from _requeue_blocked(ids, worker.code, DEATHS - 1, now)
    yield from _give_back(worker.id, holding, now)
    yield Due(now)  # schedules fire while there is somebody who works


def _refuse_twice(worker: WorkerInfo, ids: str) -> Tx[None]:
    rows = yield "declared_elsewhere", {"project": worker.project, "workflow_ids": ids}
    if rows:
        workflow_id, project = rows[0]
        raise UsageError(
            f"the workflow {workflow_id!r} is also one of the project {project!r}, which works on this database",
            hint='give one of them another id, @workflow(id="..."), or each project its own database',
        )


def _declare(worker: WorkerInfo) -> Tx[None]:
    """Makes known which queues there are, and which workflow belongs to which: from now on, limits are those."""
    for rule in worker.queues:
        yield "put_queue", {
            "name": rule.name, "project": worker.project, "concurrency_limit": rule.concurrency_limit
        }  # fmt: skip
    if worker.claims == "own":
        return
    if worker.declared:
        yield "put_declared", [
            {"workflow_id": one.workflow_id, "project": worker.project, "complete": int(worker.complete),
             "queue": one.queue, "about": one.about} for one in worker.declared
        ]  # fmt: skip
    if worker.complete:
        names = orjson.dumps([rule.name for rule in worker.queues]).decode()
        yield "remove_queues", {"project": worker.project, "declared": names}
        own = orjson.dumps([one.workflow_id for one in worker.declared]).decode()
        yield "remove_declared", {"project": worker.project, "workflow_ids": own}


def _take_over_aliases(worker: WorkerInfo) -> Tx[None]:
    """Gives workflows what belonged to their earlier ids: triggers with what they have gathered, schedules, keys."""
    for alias, workflow_id in worker.aliases.items():
        named = {"alias": alias, "workflow_id": workflow_id, "project": worker.project}
        yield "put_alias", named
        yield "rename_trigger", named
        yield "rename_schedules", named
    if worker.complete:
        aliases = orjson.dumps(sorted(worker.aliases)).decode()
        yield "remove_aliases", {"project": worker.project, "aliases": aliases}


def retire(worker_id: str) -> Tx[None]:
    """Notes that a worker ends what it runs and takes nothing more: what it keeps in memory is no more offered to it first."""
    yield "retire", {"id": worker_id}
    yield Queued()


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


def take_over(now: int, keep: Collection[str] = ()) -> Tx[int]:
    """Queues what workers other than these held: one death more each (S1.3, S8.2)."""
    kept = orjson.dumps(sorted(keep)).decode()
    yield from _block_looping(None, kept, now)
    yield "bury_workers", {"now": now, "keep": kept}
    rows = yield "take_over", {"queued": after(Status.RUNNING, Change.TAKE_OVER), "now": now, "keep": kept}
    return (yield from _queued(rows))


def bury(worker_id: str, now: int) -> Tx[int]:
    """Gives a worker up, and queues what it held (S8.2)."""
    yield from _block_looping(worker_id, "[]", now)
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


def _block_looping(worker_id: str | None, keep: str, now: int) -> Tx[None]:
    """Blocks what has brought its process down once too often (S8.3)."""
    message = f"its process died {DEATHS} times in a row while it ran, with no outcome recorded in between"
    hint = "mend the code, which is then tried once by itself; or try again as it is: polos retry"
    reason = orjson.dumps({"kind": "crash_loop", "message": message, "hint": hint, "step": None}).decode()
    for number, code in (yield "lost_too_often", {"deaths": DEATHS - 1, "keep": keep, "worker_id": worker_id}):
        yield from ending.block(number, reason, code or "", Status.RUNNING, now)


def _requeue_blocked(workflow_ids: str, code: str, deaths: int, now: int) -> Tx[None]:
    """Gives executions that other code could not go on with one try with this code (S8.3)."""
    rows = yield "requeue_blocked", {
        "queued": after(Status.BLOCKED, Change.UNBLOCK), "now": now, "code": code, "workflow_ids": workflow_ids,
        "deaths": deaths,
    }  # fmt: skip
    yield from ending.unblocked(rows, now)
