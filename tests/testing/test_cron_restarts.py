"""1,000 consecutive slots of schedules in several zones, with 30 restarts at random instants: each exactly once (S7.2)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from polos import SchedulePayload, WorkflowContext, workflow
from polos.authoring.registry import REGISTRY
from polos.core.cron import slots_between
from polos.testing import PolosEnv


def scheduled(cron: str, zone: str) -> Any:
    @workflow(id="testing.slots", schedule={"cron": cron, "timezone": zone})
    async def slots(ctx: WorkflowContext, input: SchedulePayload) -> str:
        await ctx.step.run("work", lambda: None)
        return input.timestamp.isoformat()

    del REGISTRY._by_id["testing.slots"]
    return slots


@pytest.mark.parametrize(
    ("cron", "zone", "start", "days"),
    [
        ("*/7 * * * *", "UTC", datetime(2027, 1, 1, 0, 3, 11, tzinfo=UTC), 10),
        ("*/30 * * * *", "America/New_York", datetime(2027, 10, 28, tzinfo=UTC), 30),  # over the fold of November
        ("17 */3 * * 1-5", "Europe/Berlin", datetime(2027, 1, 1, tzinfo=UTC), 300),  # over both changes of the clock
        (
            "30 2 * * *",
            "Australia/Lord_Howe",
            datetime(2026, 1, 1, tzinfo=UTC),
            1_100,
        ),  # nearly three years, half-hour changes
    ],
)
def test_each_slot_once_whatever_is_restarted(tmp_path: Path, cron: str, zone: str, start: datetime, days: int) -> None:
    from zoneinfo import ZoneInfo

    flow = scheduled(cron, zone)
    dice = random.Random(cron)
    wanted = slots_between(flow.schedule.fields, ZoneInfo(zone), start, start + timedelta(days=days), 1_000_000)[:1_000]
    restarts = sorted(dice.uniform(0, 1) for _ in range(30))
    length = wanted[-1] - start
    with PolosEnv([flow], start=start, folder=tmp_path) as env:
        for part in restarts:
            env.advance(to=start + part * length)
            env.restart()
        env.advance(to=wanted[-1] + timedelta(seconds=1))
        got = [execution.record for execution in env.executions()]
        (schedule,) = env.call(lambda client: client.access().read(lambda store: store.schedules()))
    assert [datetime.fromisoformat(found.result.text.strip('"')) for found in got if found.result] == wanted
    assert (schedule.started, schedule.missed, schedule.skipped) == (1_000, 0, 0)
