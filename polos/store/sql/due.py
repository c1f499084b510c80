"""The transaction that fires what is due: waits, batches, schedules (S4.1, S5.3, S7.2). Waits for nothing itself."""

from __future__ import annotations

from polos.store.sql import schedules, triggers
from polos.store.sql.completion import OFFERED_FOR, timed_out
from polos.store.sql.tx import Queued, Tx


def fire_due(now: int, with_schedules: bool = True, limit: int = 500) -> Tx[int | None]:
    """Completes and starts what is due, and returns the instant of the next."""
    rows = yield "due_waits", {"now": now, "limit": limit}
    for execution, key, kind in rows:
        yield from timed_out(execution, key, kind, now)
    instants = [(yield from triggers.fire_batches(now))]
    if with_schedules:
        instants.append((yield from schedules.fire_due(now)))
    instants.append((yield "next_deadline", {})[0][0])
    instants.append((yield "next_available", {"now": now})[0][0])
    offered = (yield "next_offer", {"offered_until": now - OFFERED_FOR})[0][0]
    if offered is not None:
        instants.append(offered + OFFERED_FOR)
    yield Queued()
    return min((at for at in instants if at is not None), default=None)
