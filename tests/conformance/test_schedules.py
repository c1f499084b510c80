"""Each slot of a schedule starts at most one execution; what was missed or would overlap goes by its policy (S7.2, S7.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from polos.authoring.scheduled import rule
from polos.core.codec import decode
from polos.core.manifest import Schedule, ScheduleRule, WorkerInfo
from polos.core.model import Outcome
from polos.core.ops import Finish
from polos.errors import UsageError
from polos.ports import ExecutionFilter, Store
from tests.conformance.acts import SECOND, Hand, SetClock, claim

MINUTE = 60 * SECOND
START = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)  # the clock of these tests


def every_minute(**facts: Any) -> ScheduleRule:
    return rule("wf", "* * * * *", **facts)


async def works(store: Store, *rules: ScheduleRule, complete: bool = True, **facts: Any) -> None:
    fields = {"id": "wrk_1", "pid": 1, "project": "p", "complete": complete, "workflow_ids": ("wf",), **facts}
    await store.hello(WorkerInfo(schedules=rules, **fields), {})


async def only(store: Store) -> Schedule:
    (found,) = await store.schedules()
    return found


async def payloads(store: Store, workflow: str = "wf") -> list[Any]:
    found = await store.search(ExecutionFilter(workflow_id=workflow, limit=1000))
    return [decode((await store.get(one.id)).input) for one in reversed(found)]  # type: ignore[union-attr]


async def end_all(store: Store, worker: str = "wrk_1") -> int:
    """Ends whatever is queued, as fast as it comes."""
    count = 0
    while claims := await claim(store, worker, limit=100):
        for one in claims:
            await Hand(store, one).commit(Finish(outcome=Outcome.COMPLETED))
            count += 1
    return count


@pytest.fixture(autouse=True)
def _at_eight(clock: SetClock) -> None:
    assert clock.now() % (24 * 3600 * SECOND) == START.hour * 3600 * SECOND


async def test_a_slot_starts_one_execution_with_the_slot_as_payload(store: Store, clock: SetClock) -> None:
    await works(store, rule("wf", "30 9 * * *", "Europe/Berlin"))
    assert (await only(store)).next_at == clock.now() + 30 * MINUTE
    due = await store.fire_due()
    assert due == clock.now() + 30 * MINUTE
    clock.move(30 * 60 - 1)
    await store.fire_due()
    assert await payloads(store) == []
    clock.move(3)
    await store.fire_due()
    await store.fire_due()
    (payload,) = await payloads(store)
    at = START.replace(minute=30)
    assert payload == {
        "timestamp": at, "last_timestamp": None, "timezone": "Europe/Berlin", "schedule_id": (await only(store)).id,
        "key": "global", "upcoming": at.replace(day=16), "missed": 0,
    }  # fmt: skip
    found = await only(store)
    assert (found.started, found.last_at, found.missed) == (1, clock.now() - 2 * SECOND, 0)


async def test_nothing_is_started_while_nobody_works(store: Store, clock: SetClock) -> None:
    await works(store, every_minute())
    await store.goodbye("wrk_1")
    clock.move(61)
    assert await store.fire_due() is None
    await works(store, claims="own", id="wrk_run", complete=False)
    assert await store.fire_due() is None
    assert await payloads(store) == []


@pytest.mark.parametrize(
    ("catchup", "wanted", "missed"), [("latest", 1, 43_199), ("all", 100, 43_100), ("skip", 0, 43_200)]
)
async def test_thirty_days_offline(store: Store, clock: SetClock, catchup: str, wanted: int, missed: int) -> None:
    await works(store, every_minute(catchup=catchup))
    await store.goodbye("wrk_1")
    clock.move(30 * 24 * 3600 + 30)
    await works(store, every_minute(catchup=catchup), id="wrk_2")
    await store.fire_due()
    assert await end_all(store, "wrk_2") == wanted
    found = await only(store)
    assert (found.started, found.missed, found.skipped, found.queued) == (wanted, missed, 0, 0)
    told = await payloads(store)
    assert len({payload["timestamp"] for payload in told}) == wanted
    if wanted:
        assert told[0]["missed"] == missed
        assert told[-1]["timestamp"].timestamp() * SECOND == clock.now() - 30 * SECOND
    assert found.next_at == clock.now() + 30 * SECOND


async def test_what_was_missed_is_told_by_the_next_run(store: Store, clock: SetClock) -> None:
    await works(store, every_minute(catchup="skip"))
    clock.move(10 * 60 + 30)
    await store.fire_due()
    clock.move(30)
    await store.fire_due()
    (payload,) = await payloads(store)
    assert payload["missed"] == 10


async def test_a_slot_that_would_overlap_is_skipped_and_counted(store: Store, clock: SetClock) -> None:
    await works(store, every_minute())
    for _ in range(3):
        clock.move(60)
        await store.fire_due()
    found = await only(store)
    assert (found.started, found.skipped) == (1, 2)
    await end_all(store)
    clock.move(60)
    await store.fire_due()
    assert (await only(store)).started == 2


async def test_overlap_may_be_allowed(store: Store, clock: SetClock) -> None:
    await works(store, every_minute(overlap="allow"))
    for _ in range(3):
        clock.move(60)
        await store.fire_due()
    assert (await only(store)).started == 3


async def test_overlapping_slots_may_queue(store: Store, clock: SetClock) -> None:
    await works(store, every_minute(overlap="queue"))
    for _ in range(3):
        clock.move(60)
        await store.fire_due()
    found = await only(store)
    assert (found.started, found.queued, found.skipped) == (1, 2, 0)
    (first,) = await claim(store)
    await Hand(store, first).commit(Finish(outcome=Outcome.COMPLETED))
    found = await only(store)
    assert (found.started, found.queued) == (2, 1)
    await end_all(store)
    assert [payload["timestamp"].minute for payload in await payloads(store)] == [1, 2, 3]


async def test_a_declared_schedule_follows_the_code_and_keeps_its_last_slot(store: Store, clock: SetClock) -> None:
    await works(store, every_minute())
    clock.move(60)
    await store.fire_due()
    before = await only(store)
    await works(store, rule("wf", "0 12 * * *"))
    changed = await only(store)
    assert (changed.id, changed.last_at, changed.started) == (before.id, before.last_at, 1)
    assert changed.next_at == clock.now() + (4 * 60 - 1) * MINUTE
    await works(store, complete=False, id="wrk_2")
    assert len(await store.schedules()) == 1, "only a complete manifest removes"
    await works(store, project="other", id="wrk_3", workflow_ids=())
    assert len(await store.schedules()) == 1, "and only its own project's"
    await works(store)
    assert await store.schedules() == []
    await works(store, every_minute())
    assert (await only(store)).last_at == before.last_at


async def test_a_restart_loses_no_slot(store: Store, clock: SetClock) -> None:
    await works(store, every_minute())
    await store.goodbye("wrk_1")
    clock.move(65)
    await works(store, every_minute(), id="wrk_2")
    await store.fire_due()
    assert [payload["timestamp"].minute for payload in await payloads(store)] == [1]


async def test_schedules_of_the_api(store: Store, clock: SetClock) -> None:
    await works(store)
    made = await store.put_schedule(every_minute(key="a"), "sch_1")
    assert await store.put_schedule(every_minute(key="a"), "sch_2") == made == "sch_1"
    assert await store.put_schedule(every_minute(key="b"), "sch_3") == "sch_3"
    await works(store)
    assert len(await store.schedules()) == 2, "a manifest does not touch them"
    await store.change_schedule("sch_1", "pause")
    await store.change_schedule("sch_1", "pause")
    clock.move(120)
    await store.fire_due()
    first, second = await store.schedules()
    assert (first.started, first.is_paused, first.next_at) == (0, True, None)
    assert second.started == 1
    await store.change_schedule("sch_1", "resume")
    first, _ = await store.schedules()
    assert (first.next_at, first.missed) == (clock.now() + MINUTE, 0)
    await store.change_schedule("sch_3", "delete")
    await store.change_schedule("sch_3", "delete")
    assert [one.id for one in await store.schedules()] == ["sch_1"]
    with pytest.raises(UsageError, match="sch_9"):
        await store.change_schedule("sch_9", "pause")


async def test_the_codes_own_are_not_deleted_and_not_taken_by_the_api(store: Store) -> None:
    await works(store, every_minute())
    found = await only(store)
    with pytest.raises(UsageError, match="declared"):
        await store.change_schedule(found.id, "delete")
    with pytest.raises(UsageError, match="declares"):
        await store.put_schedule(every_minute(), "sch_1")
    await store.change_schedule(found.id, "pause")
    await works(store, every_minute())
    assert (await only(store)).is_paused, "a pause survives the next deploy"


async def test_a_schedule_can_be_triggered_by_hand(store: Store, clock: SetClock) -> None:
    await works(store, every_minute())
    id_ = (await only(store)).id
    started = await store.trigger_schedule(id_, "exec_by_hand")
    assert (await store.trigger_schedule(id_, "exec_by_hand")).number == started.number
    (payload,) = await payloads(store)
    assert payload["timestamp"].timestamp() * SECOND == clock.now()


async def test_a_backfill_starts_each_past_slot_once(store: Store, clock: SetClock) -> None:
    await works(store, every_minute())
    id_ = (await only(store)).id
    now = clock.now()
    numbers = await store.backfill_schedule(id_, now - 3 * MINUTE, now)
    assert len(numbers) == 3 and await store.backfill_schedule(id_, now - 3 * MINUTE, now) == []
    assert [payload["timestamp"].minute for payload in await payloads(store)] == [57, 58, 59]
    clock.move(60)
    await store.backfill_schedule(id_, clock.now(), clock.now() + 1)
    await store.fire_due()
    assert len(await payloads(store)) == 4, "a slot starts at most one, whoever comes first"
    with pytest.raises(UsageError, match="1,000"):
        await store.backfill_schedule(id_, now - 2000 * MINUTE, now)


async def test_a_queued_slot_that_a_backfill_ran_holds_up_none_behind_it(store: Store, clock: SetClock) -> None:
    await works(store, every_minute(overlap="queue"))
    for _ in range(3):
        clock.move(60)
        await store.fire_due()
    second = clock.now() - MINUTE
    await store.backfill_schedule((await only(store)).id, second, second + 1)
    assert (await only(store)).queued == 1
    await end_all(store)
    assert (await only(store)).queued == 0
    assert sorted(payload["timestamp"].minute for payload in await payloads(store)) == [1, 2, 3]


@pytest.mark.parametrize("how", ["paused", "removed"])
async def test_what_waits_is_not_started_once_its_schedule_is(store: Store, clock: SetClock, how: str) -> None:
    await works(store, every_minute(overlap="queue"))
    for _ in range(3):
        clock.move(60)
        await store.fire_due()
    if how == "paused":
        await store.change_schedule((await only(store)).id, "pause")
        found = await only(store)
        assert (found.queued, found.skipped) == (0, 2), "counted, never silent"
    else:
        await works(store)
    await end_all(store)
    assert len(await payloads(store)) == 1
