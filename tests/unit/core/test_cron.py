"""When cron expressions are due: the vectors, and a brute-force oracle over every zone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polos.core.cron import CronFields, due_after, is_possible

MINUTE = timedelta(minutes=1)
ZONES = sorted(available_timezones() - {"localtime"})


def fields(
    minutes: Collection[int], hours: Collection[int], days: Collection[int] = range(1, 32),
    months: Collection[int] = range(1, 13), weekdays: Collection[int] = range(7), *, is_either: bool = False,
    is_elapsed: bool = False,
) -> CronFields:  # fmt: skip
    return CronFields(
        minutes=frozenset(minutes), hours=frozenset(hours), days=frozenset(days), months=frozenset(months),
        weekdays=frozenset(weekdays), is_either=is_either, is_elapsed=is_elapsed,
    )  # fmt: skip


def local_times(of: CronFields, zone: str, start: str, count: int) -> list[str]:
    at = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    found = []
    for _ in range(count):
        at = due_after(of, ZoneInfo(zone), at)
        found.append(at.astimezone(ZoneInfo(zone)).strftime("%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("of", "zone", "start", "due"),
    [
        (fields([30], [2]), "America/New_York", "2027-03-13T12:00", ["14 03:00", "15 02:30"]),
        (fields([30], [1]), "America/New_York", "2027-11-06T12:00", ["07 01:30", "08 01:30"]),
        (fields([0], [1, 2, 3]), "Europe/Berlin", "2027-10-31T00:00", ["31 01:00", "31 02:00", "31 03:00", "01 01:00"]),
        (fields([0], [0]), "America/Santiago", "2027-09-04T12:00", ["05 01:00", "06 00:00"]),
        (fields([0], [0]), "Africa/Cairo", "2027-04-29T12:00", ["30 01:00", "01 00:00"]),
        (fields([15], [2]), "Australia/Lord_Howe", "2027-10-02T12:00", ["03 02:30", "04 02:15"]),
        (fields([0, 30], [2, 3]), "America/New_York", "2027-03-14T00:00", ["14 03:00", "14 03:30", "15 02:00"]),
        (fields([0], [9], weekdays=range(1, 6)), "UTC", "2026-11-27T10:00", ["30 09:00", "01 09:00"]),
        (fields([0], [0], [13], weekdays=[5], is_either=True), "UTC", "2026-11-12T10:00", ["13 00:00", "20 00:00"]),
        (fields([0], [0], range(1, 32, 2), weekdays=[1]), "UTC", "2026-11-01T10:00", ["09 00:00", "23 00:00"]),
        (fields([0], [0], [29], [2]), "UTC", "2097-01-01T10:00", ["29 00:00"]),
    ],
)
def test_vectors(of: CronFields, zone: str, start: str, due: list[str]) -> None:
    assert local_times(of, zone, start, len(due)) == due


@pytest.mark.parametrize("start", ["2027-03-14T00:10", "2027-11-07T00:10"])
def test_wildcards_follow_elapsed_time(start: str) -> None:
    zone = ZoneInfo("America/New_York")
    every = fields([0, 30], range(24), is_elapsed=True)
    at = due_after(every, zone, datetime.fromisoformat(start).replace(tzinfo=zone))
    for _ in range(20):
        following = due_after(every, zone, at)
        assert following - at == timedelta(minutes=30)
        at = following


def test_what_is_never_due_is_told() -> None:
    never = fields([0], [0], [30], [2])
    assert not is_possible(never) and is_possible(fields([0], [0], [29], [2]))
    with pytest.raises(ValueError, match="never"):
        due_after(never, UTC, datetime(2026, 1, 1, tzinfo=UTC))


# ── the oracle: every real minute of some days, one by one ───────────────────────────────────────────────


@cache
def changes(zone: str) -> list[datetime]:
    """Days in whose course the zone's offset changes, from 2000 to 2037."""
    at, found = datetime(2000, 1, 1, tzinfo=UTC), []
    info = ZoneInfo(zone)
    while at.year < 2037:
        if at.astimezone(info).utcoffset() != (at + timedelta(days=1)).astimezone(info).utcoffset():
            found.append(at)
        at += timedelta(days=1)
    return found


def by_brute_force(of: CronFields, zone: ZoneInfo, start: datetime, days: int) -> list[datetime]:
    minutes = [start + n * MINUTE for n in range(days * 1440)]
    walls = [at.astimezone(zone).replace(tzinfo=None) for at in minutes]

    def matches(wall: datetime) -> bool:
        return of.is_on(wall.date()) and wall.hour in of.hours and wall.minute in of.minutes

    if of.is_elapsed:
        return [at for at, wall in zip(minutes, walls, strict=True) if matches(wall)]
    due, seen = set(), set(walls)
    first: dict[datetime, datetime] = {}
    for at, wall in zip(minutes, walls, strict=True):
        first.setdefault(wall, at)
    for wall in seen:
        if matches(wall):
            due.add(first[wall])
    for before, wall, at in zip(walls, walls[1:], minutes[1:], strict=False):
        skipped = before + MINUTE
        while skipped < wall:  # a gap
            if matches(skipped):
                due.add(at)
            skipped += MINUTE
    return sorted(due)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_slot_once_in_every_zone(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(ZONES))
    days = changes(name)
    start = (
        data.draw(st.sampled_from(days)) - timedelta(days=1)
        if days
        else datetime(2027, 1, 1, tzinfo=UTC) + timedelta(days=data.draw(st.integers(0, 365)))
    )
    some = lambda low, high: st.sets(st.integers(low, high), min_size=1, max_size=4)  # noqa: E731
    is_elapsed = data.draw(st.booleans())
    of = fields(
        data.draw(some(0, 59)), data.draw(st.one_of(st.just(set(range(24))), some(0, 23), st.just({0, 1, 2, 3}))),
        weekdays=data.draw(st.one_of(st.just(set(range(7))), some(0, 6))), is_elapsed=is_elapsed,
    )  # fmt: skip
    zone = ZoneInfo(name)
    # The first day is there for what is due in the second; folds at its start would count as the first of two.
    wanted = [at for at in by_brute_force(of, zone, start, 4) if at >= start + timedelta(days=1)]
    found, at = [], start + timedelta(days=1) - MINUTE
    while (at := due_after(of, zone, at)) < start + timedelta(days=4):
        found.append(at)
    assert found == wanted
