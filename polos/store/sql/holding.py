"""Transactions of the check of new code: it holds what would diverge, and lets go on what fits again (S8.3). Checks nothing."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from polos.core.status import Change, Status, after
from polos.store.sql import ending
from polos.store.sql.tx import Tx
from polos.store.sql.workers import DEATHS


def hold(held: Sequence[tuple[str, str]], code: str, now: int) -> Tx[list[str]]:
    """Blocks executions that nobody runs; one that runs, or is about to be stopped, finds out by itself.

    Args:
        held: execution ids, each with its reason.
        code: the identity of the code that they do not fit.

    Returns:
        The ids of those that are held by it.
    """
    done: list[str] = []
    for execution_id, reason in held:
        rows = yield "execution_by_id", {"id": execution_id}
        if rows and Status(rows[0][1]) in (Status.QUEUED, Status.WAITING) and rows[0][4] is None:
            yield from ending.block(rows[0][0], reason, code, Status(rows[0][1]), now)
            done.append(execution_id)
    return done


def release(execution_ids: Sequence[str], now: int) -> Tx[list[str]]:
    """Queues blocked executions again, and returns the ids of those that were blocked."""
    rows = yield "release_blocked", {
        "queued": after(Status.BLOCKED, Change.UNBLOCK), "now": now, "deaths": DEATHS - 1,
        "ids": orjson.dumps(list(execution_ids)).decode(),
    }  # fmt: skip
    yield from ending.unblocked(rows, now)
    return [id_ for _, id_, _ in rows]
