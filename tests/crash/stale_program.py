"""A worker that comes back too late: it writes under a lease that another has taken over, and a key that has its outcome.

Run as ``python -m tests.crash.stale_program '{"database": ..., "mutant": ...}'``; prints what broke, one line each.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from polos import LeaseLost
from polos.clock import SystemClock
from polos.core.manifest import WorkerInfo
from polos.core.model import Kind, NewExecution, Outcome, Stored
from polos.core.ops import Lease, Op, Park, Record, StepStarted
from polos.ports import Claim, ClaimRequest
from polos.store.sqlite.store import SqliteStore

TABLES = ("execution", "journal", "wait", "attempt", "event", "topic", "result", "log")


def rows(path: Path) -> dict[str, list[Any]]:
    """Returns all that a worker can write."""
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}


def outcome(key: str, value: str) -> Record:
    return Record(key=key, kind=Kind.RUN, outcome=Outcome.COMPLETED, after=0, value=Stored(value))


async def claim(store: SqliteStore, worker: str) -> Claim:
    await store.hello(WorkerInfo(id=worker, pid=1, project="", complete=False, workflow_ids=("w",)), {})
    request = ClaimRequest(worker_id=worker, workflow_ids=frozenset({"w"}), limit=1, held={})
    (claimed,) = await store.claim(request, 0)
    return claimed


async def refused(
    store: SqliteStore, path: Path, lease: Lease, number: int, ops: list[Op], error: type[Exception], what: str
) -> list[str]:
    """Returns what is wrong if a commit is not refused with `error`, or if it leaves a trace."""
    before = rows(path)
    wrong = []
    try:
        await store.commit(lease, number, ops, 0)
    except error:
        pass
    except Exception as other:
        wrong.append(f"{what} was refused with {other!r}")
    else:
        wrong.append(f"{what} was taken")
    after = rows(path)
    wrong += [f"{what} changed {table}: {after[table]}" for table in TABLES if after[table] != before[table]]
    return wrong


async def late(path: Path) -> list[str]:
    """A stale lease, a repeated commit, and a second outcome of one key."""
    store = SqliteStore(path, SystemClock())
    await store.open()
    wrong: list[str] = []
    try:
        await store.start([NewExecution(id="exec_1", workflow_id="w", input=Stored("null"))])
        old = await claim(store, "wrk_old")
        await store.commit(old.lease, 1, [outcome("a", '"first"')], 0)
        await store.take_over()
        new = await claim(store, "wrk_new")
        for number in (1, 2, 7):
            for ops in (
                [outcome("b", '"stale"')],
                [StepStarted(key="b", kind=Kind.RUN, attempt=1, at=0)],
                [Park(on=())],
            ):
                what = f"commit {number} of {type(ops[0]).__name__} under a lost lease"
                wrong += await refused(store, path, old.lease, number, list(ops), LeaseLost, what)
        await store.commit(new.lease, 1, [outcome("b", '"right"')], 1)
        wrong += await refused(store, path, old.lease, 3, [outcome("c", '"stale"')], LeaseLost, "a late commit")
        second: list[Op] = [outcome("b", '"second"')]
        wrong += await refused(store, path, new.lease, 2, second, Exception, "a second outcome of a key")
        before = rows(path)
        answer = await store.commit(new.lease, 1, [outcome("b", '"other"')], 1)
        if [(entry.key, entry.value) for entry in answer.outcomes] != [("b", Stored('"right"'))]:
            wrong.append(f"a repeated commit was answered {answer}")
        if rows(path) != before:
            wrong.append("a repeated commit was applied again")
        journal = [(entry.key, entry.seq, entry.value) for entry in await store.journal("exec_1")]
        if journal != [("a", 1, Stored('"first"')), ("b", 2, Stored('"right"'))]:
            wrong.append(f"the journal is {journal}")
    finally:
        await store.close()
    return wrong


if __name__ == "__main__":
    plan = json.loads(sys.argv[1])
    if plan.get("mutant"):
        from tests.planted.mutants import MUTANTS

        MUTANTS[plan["mutant"]]()
    for line in asyncio.run(late(Path(plan["database"].removeprefix("sqlite:///")))):
        print(line)
