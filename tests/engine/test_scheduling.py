"""Schedules as users declare and make them; when they fire is tested by the store's and the test kit's tests (S7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polos import InvalidInput, SchedulePayload, UsageError, WorkflowContext, schedules, workflow
from tests.engine.conftest import Engine


@workflow(id="scheduling.daily", schedule={"cron": "0 9 * * *", "timezone": "Europe/Berlin", "key": "main"})
async def daily(ctx: WorkflowContext, input: SchedulePayload) -> list[Any]:
    return [input.key, input.timezone, input.timestamp.isoformat(), input.missed]


@workflow(id="scheduling.plain")
async def plain(ctx: WorkflowContext, input: dict[str, Any]) -> Any:
    return input["key"]


async def test_a_scheduled_workflow_is_started_by_hand(engine: Engine) -> None:
    async with engine(daily) as polos:
        key, _, at, missed = await daily.run(polos, timeout=10)
        assert (key, missed) == ("by hand", 0)
        assert abs(datetime.now(UTC) - datetime.fromisoformat(at)) < timedelta(seconds=20)
        given = SchedulePayload(timestamp=datetime(2027, 1, 1, tzinfo=UTC), key="k")
        assert (await daily.run(polos, given, timeout=10))[0] == "k"
        assert (await daily.run(polos, {"timestamp": "2027-01-01T00:00:00Z", "key": "j"}, timeout=10))[0] == "j"
        with pytest.raises(InvalidInput):
            await daily.run(polos, {"timestamp": "yesterday"})


async def test_a_declared_schedule_is_there_and_can_be_triggered_and_paused(engine: Engine) -> None:
    async with engine(daily, complete=True) as polos:
        (found,) = await schedules.list(polos)
        assert (found.is_declared, found.rule.cron, found.rule.key) == (True, "0 9 * * *", "main")
        assert await schedules.get(polos, "scheduling.daily") == await schedules.get(polos, found.id[-6:]) == found
        handle = await schedules.trigger(polos, "scheduling.daily/main")
        assert (await handle.result(10))[:2] == ["main", "Europe/Berlin"]
        await schedules.pause(polos, found.id)
        assert (await schedules.get(polos, found.id)).next_at is None
        await schedules.resume(polos, found.id)
        assert (await schedules.get(polos, found.id)).next_at == found.next_at
        with pytest.raises(UsageError, match="declared"):
            await schedules.delete(polos, found.id)
        numbers = await schedules.backfill(polos, found.id, datetime.now(UTC) - timedelta(days=3))
        assert len(numbers) == 3
        times = schedules.next_times(found, 3)
        assert [time.hour for time in times] == [9, 9, 9] and str(times[0].tzinfo) == "Europe/Berlin"


async def test_schedules_made_by_programs(engine: Engine) -> None:
    async with engine(plain, daily, complete=True) as polos:
        first = await schedules.create(polos, plain, "0 7 * * *", timezone="Asia/Tokyo", key="user-1")
        assert await schedules.create(polos, "scheduling.plain", "30 7 * * *", key="user-1") == first
        await schedules.create(polos, plain, "@hourly", key="user-2", overlap="queue", catchup="all")
        found = await schedules.list(polos, plain)
        assert [(one.rule.key, one.rule.cron, one.is_declared) for one in found] == [
            ("user-1", "30 7 * * *", False), ("user-2", "@hourly", False)
        ]  # fmt: skip
        assert await (await schedules.trigger(polos, first)).result(10) == "user-1"
        with pytest.raises(UsageError, match="several schedules"):
            await schedules.get(polos, "scheduling.plain")
        with pytest.raises(UsageError, match="no schedule"):
            await schedules.get(polos, "sch_absent")
        with pytest.raises(UsageError, match="declares"):
            await schedules.create(polos, daily, "0 1 * * *", key="main")
        await schedules.delete(polos, first)
        assert len(await schedules.list(polos, plain)) == 1
    async with engine(plain, complete=True) as polos:
        assert [one.rule.key for one in await schedules.list(polos)] == ["user-2"], (
            "what code declared has gone with it"
        )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("0 0 30 2 *", "never due"),
        ("* * * * * *", "6 fields"),
        ("59 24 * * *", "'24' cannot be a hour"),
        ("0 0 * * XYZ", "'XYZ' cannot be a day of the week"),
        ("0 0 l * *", "day of the month"),
        ("*/0 * * * *", "minute"),
        ("@reboot", "no field that is known"),
        ({"cron": "0 0 * * *", "timezone": "Europe/Berln"}, "Europe/Berlin"),
        ({"cron": "0 0 * * *", "zone": "UTC"}, "'zone'"),
        ({"timezone": "UTC"}, "no 'cron'"),
        ({"cron": "0 0 * * *", "catchup": "some"}, "catchup"),
        ({"cron": "0 0 * * *", "overlap": "maybe"}, "overlap"),
        (7, "is 7"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_declared(wrong: Any, said: str) -> None:
    with pytest.raises(UsageError) as refused:

        @workflow(id="scheduling.wrong", schedule=wrong)
        async def bad(ctx: WorkflowContext) -> None: ...

    assert said in str(refused.value)
