"""What a schedule does when its clock has passed slots (S7.2). Starts nothing: answers what to start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from polos.core.cron import count_between, due_after, slots_between
from polos.core.durations import SECOND
from polos.core.manifest import ScheduleRule

LATE = 10 * SECOND
"""Microseconds after which a slot counts as missed: no engine was up, or its machine slept (as with leases, S8.2)."""
BACKLOG = 100
"""The most slots of the past that ``catchup="all"`` makes good, and pending ones that ``overlap="queue"`` keeps."""
BACKLOG_AGE = 24 * 3600 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(microseconds: int) -> datetime:
    """Returns an instant as an aware datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def instant(when: datetime) -> int:
    """Returns an aware datetime as microseconds."""
    return (when - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What is to be done for slots that have come.

    Attributes:
        slots: what starts executions, oldest first.
        made_good: of these, how many are of the past: they run one after the other, whatever overlaps.
        missed: slots that are passed over for good.
        next_at: the slot after all of these.
    """

    slots: tuple[int, ...]
    made_good: int
    missed: int
    next_at: int


def next_slot(rule: ScheduleRule, zone: tzinfo, after: int) -> int:
    """Returns the first slot later than an instant."""
    return instant(due_after(rule.fields, zone, moment(after)))


def firing(rule: ScheduleRule, zone: tzinfo, next_at: int, now: int) -> Firing:
    """Returns what a schedule does whose slot `next_at` has come, by its catch-up policy."""
    start, late, end = (
        moment(next_at) - timedelta(microseconds=1),
        moment(max(next_at - 1, now - LATE - 1)),
        moment(now),
    )
    on_time = [instant(slot) for slot in slots_between(rule.fields, zone, late, end, BACKLOG)]
    past = count_between(rule.fields, zone, start, late)
    made_good: list[int] = []
    if past and rule.catchup == "all":
        oldest = max(start, end - timedelta(microseconds=BACKLOG_AGE))
        room = BACKLOG - len(on_time)
        made_good = [instant(slot) for slot in slots_between(rule.fields, zone, oldest, late, room)]
    elif past and rule.catchup == "latest" and not on_time:
        made_good = [instant(slot) for slot in slots_between(rule.fields, zone, start, late, 1)]
    return Firing(
        slots=(*made_good, *on_time), made_good=len(made_good), missed=past - len(made_good),
        next_at=next_slot(rule, zone, now),
    )  # fmt: skip
