"""The compatibility check: every unfinished execution's history against new code, before it takes over (S8.3).

Runs in the new generation's process, under a time limit: what it did not come to is checked when it wakes, as always,
for which a blocked one is woken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Literal

import orjson

from polos.authoring.registry import Registry
from polos.clock import Clock, SystemRng, TimeOrderedIds
from polos.core.model import Execution
from polos.core.status import Status
from polos.dev.happenings import Checked, Misfit
from polos.ports import ExecutionFilter, ReadStore
from polos.worker.replay import History, Replayer, Verdict, silence

LIMIT = 2.0
"""Seconds for the check of all executions; new code waits for no longer."""
AT_ONCE = 500
UNFINISHED = frozenset({Status.QUEUED, Status.RUNNING, Status.WAITING})
_BY_CODE = frozenset({"diverged", "stored_value_mismatch"})
"""Reasons of blocked executions that a replay can see whether they hold."""


TRIED = Verdict(kind="unknown", message="its process died while it ran: it is tried once with this code")
SAME_CODE = Verdict(kind="unknown", message="its process died while it ran this code: polos retry tries it once more")


@dataclass(slots=True, kw_only=True)
class Findings:
    """What the check found, and what is to be done about it: `hold` (number, id, reason), `release` (number, id)."""

    checked: Checked = field(default_factory=Checked)
    hold: list[tuple[int, str, str]] = field(default_factory=list)
    release: list[tuple[int, str]] = field(default_factory=list)


async def check(store: ReadStore, registry: Registry, code: str, clock: Clock, limit: float = LIMIT) -> Findings:
    """Replays what is blocked, then the newest first, until `limit` seconds are over; shows nothing that replayed code prints."""
    replayer = Replayer(registry, clock=clock, ids=TimeOrderedIds(), rng=SystemRng())
    until = clock.monotonic() + limit
    continues, unlooked, released = 0, 0, []
    diverges: list[Misfit] = []
    unknown: list[Misfit] = []
    found = Findings()
    with silence():
        async for execution in unfinished(store):
            left = until - clock.monotonic()
            if left <= 0:
                unlooked += 1
                if (
                    registry.get(execution.workflow_id)
                    and what_to_do(execution, Verdict(kind="unknown"), code) == "release"
                ):
                    found.release.append((execution.number, execution.id))
                continue
            if execution.seq == 0 and execution.status is Status.QUEUED:
                continues += 1  # nothing is recorded yet
                continue
            history = await history_of(store, execution)
            if history is None:
                continue
            is_here = registry.get(execution.workflow_id) is not None
            if is_here and execution.status is Status.BLOCKED and _reason_of(execution) not in _BY_CODE:
                # A replay may bring this process down, as it did others.
                verdict = TRIED if execution.blocked_code != code else SAME_CODE
            else:
                verdict = await replayer.replay(history, min(left, 1.5))
            misfit = Misfit(execution=execution.number, workflow_id=execution.workflow_id, message=verdict.message)
            if verdict.kind == "continues":
                continues += 1
            else:
                (diverges if verdict.kind == "diverges" else unknown).append(misfit)
            if not is_here:
                continue
            match what_to_do(history.execution, verdict, code):
                case "hold":
                    found.hold.append((execution.number, execution.id, verdict.reason))
                case "release":
                    found.release.append((execution.number, execution.id))
                    if verdict.kind == "continues":
                        released.append(execution.number)
                case "leave":
                    pass
    found.checked = Checked(
        continues=continues,
        diverges=tuple(diverges),
        unknown=tuple(unknown),
        released=tuple(released),
        unlooked=unlooked,
    )
    return found


def what_to_do(execution: Execution, verdict: Verdict, code: str) -> Literal["hold", "release", "leave"]:
    """Decides over one execution of a workflow that the code has.

    A blocked one goes on when its history fits; where a replay cannot tell (its process died again and again, a fault of
    ours), other code than that which it blocked on gives it one try.
    """
    if execution.status is not Status.BLOCKED:
        return "hold" if verdict.kind == "diverges" else "leave"
    if verdict.kind == "diverges":
        return "leave"
    if _reason_of(execution) in _BY_CODE and verdict.kind == "continues":
        return "release"
    return "release" if execution.blocked_code != code else "leave"


def _reason_of(execution: Execution) -> str:
    return str(orjson.loads(execution.blocked_reason or "{}").get("kind"))


async def unfinished(store: ReadStore) -> AsyncIterator[Execution]:
    """Yields every execution that has not ended: first what is blocked, each newest first."""
    for statuses in (frozenset({Status.BLOCKED}), UNFINISHED):
        async for execution in _found(store, statuses):
            yield execution


async def _found(store: ReadStore, statuses: frozenset[Status]) -> AsyncIterator[Execution]:
    wanted = ExecutionFilter(statuses=statuses, limit=AT_ONCE)
    before: int | None = None
    while True:
        page = await store.search(replace(wanted, before=before))
        for execution in page:
            yield execution
        if len(page) < AT_ONCE:
            return
        before = page[-1].number


async def history_of(store: ReadStore, execution: Execution) -> History | None:
    """Reads one history. First what has an outcome, then what waits for one: what comes in between is in neither, which
    makes the history shorter, and never wrong."""
    entries = await store.journal(execution.id)
    pending = await store.waits(execution.id)
    attempts = await store.attempts(execution.id)
    now = await store.get(execution.id)
    return None if now is None else History(execution=now, entries=entries, pending=pending, attempts=attempts)
