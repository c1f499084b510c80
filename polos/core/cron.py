"""When a cron expression is due, in any time zone (S7.1). Parses nothing: takes the fields as sets.

Wall times are mapped to instants by the rule of Debian's cron: a job whose minute or hour field starts with ``*``
follows elapsed time; any other is due at a wall time, which in a gap of the clock (spring) means the first instant
after it, and in a fold (autumn) the first of the two.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

_MINUTE = timedelta(minutes=1)
_DAYS_AHEAD = 366 * 9
"""Days within which anything possible is due: the longest distance is that of two leap days around 2100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronFields:
    """The five fields. A day matches by both day fields, or by either where both are restricted.

    Attributes:
        weekdays: 0 is Sunday.
        is_either: both day fields restrict (neither starts with ``*``): one of them is enough.
        is_elapsed: the minute or the hour field starts with ``*``: follows elapsed time.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    is_either: bool
    is_elapsed: bool

    def is_on(self, day: date) -> bool:
        """Tells whether the expression is due on that day at all."""
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.is_either else by_day and by_weekday


def is_possible(fields: CronFields) -> bool:
    """Tells whether the expression is ever due: there is no 30th of February."""
    start = date(2000, 1, 1)
    return any(fields.is_on(start + timedelta(days=n)) for n in range(_DAYS_AHEAD))


def fields_to_json(fields: CronFields) -> dict[str, Any]:
    """Returns the fields as plain JSON."""
    return {
        "minutes": sorted(fields.minutes), "hours": sorted(fields.hours), "days": sorted(fields.days),
        "months": sorted(fields.months), "weekdays": sorted(fields.weekdays), "is_either": fields.is_either,
        "is_elapsed": fields.is_elapsed,
    }  # fmt: skip


def fields_from_json(told: Mapping[str, Any]) -> CronFields:
    """Returns the fields that `fields_to_json` told of."""
    sets = {name: frozenset(told[name]) for name in ("minutes", "hours", "days", "months", "weekdays")}
    return CronFields(**sets, is_either=told["is_either"], is_elapsed=told["is_elapsed"])


@lru_cache(maxsize=512)
def slots_of(fields: CronFields, zone: tzinfo, day: date) -> tuple[datetime, ...]:
    """Returns the instants at which the expression is due by that local day's times, in order, each once, in UTC.

    A time in a gap over midnight is due on the next day, and is still this day's.
    """
    if not fields.is_on(day):
        return ()
    start = instant_of(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001 (a wall time)
    if _is_plain(start, zone, day):
        walls = (
            timedelta(hours=hour, minutes=minute) for hour in sorted(fields.hours) for minute in sorted(fields.minutes)
        )
        return tuple(start + wall for wall in walls)
    return tuple(sorted(set(_elapsed(fields, zone, day) if fields.is_elapsed else _fixed(fields, zone, day))))


def _is_plain(start: datetime, zone: tzinfo, day: date) -> bool:
    """Tells whether the clock does not change on a local day that starts at that instant."""
    local, end = start.astimezone(zone), (start + timedelta(days=1)).astimezone(zone)
    if (local.date(), local.hour, local.minute, local.second) != (day, 0, 0, 0):
        return False  # midnight itself falls into a gap
    return end.utcoffset() == local.utcoffset()  # no zone changes twice within a day


def slots_between(fields: CronFields, zone: tzinfo, after: datetime, until: datetime, newest: int) -> list[datetime]:
    """Returns the newest slots (at most so many) later than `after` and not later than `until`, oldest first."""
    found: set[datetime] = set()
    day, first = until.astimezone(zone).date(), after.astimezone(zone).date() - timedelta(days=1)
    while day >= first and len(found) < newest:
        slots = slots_of(fields, zone, day)
        found.update(slots[bisect_right(slots, after) : bisect_right(slots, until)])
        day -= timedelta(days=1)
    return sorted(found)[-newest:] if newest > 0 else []


def count_between(fields: CronFields, zone: tzinfo, after: datetime, until: datetime) -> int:
    """Returns how many slots there are later than `after` and not later than `until`.

    Days on which the clock does not change are counted, not listed: a year of minutes takes milliseconds.
    """
    day, last = after.astimezone(zone).date() - timedelta(days=1), until.astimezone(zone).date()
    count = 0
    edge: set[datetime] = set()
    a_day = len(fields.minutes) * len(fields.hours)
    while day <= last:
        start = instant_of(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001 (a wall time)
        if start > after and start + timedelta(days=1) <= until and _is_plain(start, zone, day):
            count += a_day if fields.is_on(day) else 0
        else:
            slots = slots_of(fields, zone, day)
            edge.update(slots[bisect_right(slots, after) : bisect_right(slots, until)])
        day += timedelta(days=1)
    return count + len(edge)


def due_after(fields: CronFields, zone: tzinfo, instant: datetime) -> datetime:
    """Returns the first instant later than `instant` (aware) at which the expression is due, in UTC.

    Raises:
        ValueError: it is never due.
    """
    instant = instant.astimezone(UTC)
    today = instant.astimezone(zone).date()
    for ahead in range(-1, _DAYS_AHEAD):  # from the day before, whose time may be due after a gap over midnight
        day = today + timedelta(days=ahead)
        slots = slots_of(fields, zone, day)
        at = bisect_right(slots, instant)
        if at < len(slots):
            return slots[at]
    raise ValueError("the expression is never due")


def _fixed(fields: CronFields, zone: tzinfo, day: date) -> Iterator[datetime]:
    for hour in sorted(fields.hours):
        for minute in sorted(fields.minutes):
            yield instant_of(datetime(day.year, day.month, day.day, hour, minute), zone)  # noqa: DTZ001 (a wall time)


def _elapsed(fields: CronFields, zone: tzinfo, day: date) -> Iterator[datetime]:
    """Yields the real minutes of a local day whose wall time matches."""
    start = instant_of(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001 (a wall time)
    # Offsets are whole minutes in our days; where one is not, the minute that the wall clock shows counts.
    at = start
    while at < start + timedelta(hours=50):
        local = at.astimezone(zone)
        if local.date() > day:
            return
        if local.date() == day and local.hour in fields.hours and local.minute in fields.minutes:
            yield at
        at += _step(local, fields, day)


def _step(local: datetime, fields: CronFields, day: date) -> timedelta:
    """Returns how far to go on: a minute, or to the end of an hour that does not match."""
    if local.date() == day and local.hour not in fields.hours and local.minute < 30:
        return timedelta(minutes=30 - local.minute)  # no change of a zone comes between whole half hours
    return _MINUTE


def instant_of(wall: datetime, zone: tzinfo) -> datetime:
    """Returns the instant of a naive wall time, in UTC: in a gap the first one after it, in a fold the first of two."""
    local = wall.replace(tzinfo=zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # In a gap: with fold=0 the offset before it was taken. The change lies within the width of the gap before here.
    low, high = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), instant
    after = instant.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle <= low:
            break
        if middle.astimezone(zone).utcoffset() == after:
            high = middle
        else:
            low = middle
    return high
