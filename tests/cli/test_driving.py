"""`polos cancel`, `retry`, `why`, `schedules` and `queues`, typed as real processes on a real project (cli.md)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import PROJECT, Shell, end, until_said

FLOWS = """
import asyncio
import os
import polos
from polos import NonRetryableError, SchedulePayload, WorkflowContext, workflow

mail = polos.queue("mail", 1)


@workflow(schedule="0 9 * * *")
async def daily(ctx: WorkflowContext, input: SchedulePayload) -> str:
    return f"{input.timestamp:%H:%M}"


@workflow
async def trip(ctx: WorkflowContext) -> None:
    await ctx.step.run("book", str, "LH")
    try:
        await ctx.step.wait_for_event("paid", "payment", match={"n": 1})
    finally:
        await ctx.step.run("unbook", str, "LH")


@workflow
async def fails(ctx: WorkflowContext) -> str:
    await ctx.step.run("first", str)
    try:
        return await ctx.step.run("charge", charge)
    except Exception:
        await ctx.step.run("sorry", str)
        raise


def charge() -> str:
    if not os.path.exists("mended"):
        raise NonRetryableError("card refused")
    return "charged"


@workflow(queue=mail)
async def letter(ctx: WorkflowContext) -> str:
    return await ctx.step.run("post", post)


async def post() -> str:
    while not os.path.exists("posted"):
        await asyncio.sleep(0.01)
    return "posted"
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "__init__.py").write_text("")
    (tmp_path / "workflows" / "flows.py").write_text(FLOWS)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    return Shell(tmp_path)


@pytest.fixture
def worker(shell: Shell) -> Iterator[None]:
    process = shell.start("worker")
    until_said(process, "owns ")
    yield
    process.send_signal(signal.SIGTERM)
    assert end(process).code == 0


def until(shell: Shell, number: str, why: str) -> str:
    """Types `why` until that is the answer; returns what it said."""
    for _ in range(200):
        done = shell.polos("why", number, "--json")
        assert done.code == 0, done.err
        if done.json["why"] == why:
            return "\n".join([done.json["headline"], *done.json["details"]])
    raise AssertionError(f"{done.json} is not {why}")


@pytest.mark.usefixtures("worker")
def test_a_waiting_one_is_explained_cancelled_and_goes_on_after_all(shell: Shell) -> None:
    shell.polos("invoke", "trip")
    until(shell, "1", "waiting_for_event")
    shell.polos("send-event", "payment", "n:=2")
    said = shell.polos("why", "1")
    assert 'with {"n": 1}' in said.out and "its n is 2, not 1" in said.out
    assert "polos send-event payment '{\"n\": 1}'" in said.err

    cancelled = shell.polos("cancel", "1", "--json").json
    assert (cancelled["kind"], cancelled["ended"], cancelled["ending"]) == ("cancelled", [], [1])
    until(shell, "1", "cancelled")
    show = shell.polos("show", "1", "--json").json
    assert [step["step"] for step in show["steps"]] == ["book", "polos:stop", "unbook"]
    assert "cancelled before" in shell.polos("cancel", "1").err

    refused = shell.polos("retry", "1")
    assert refused.code == 2 and "unbook" in refused.err and "--yes" in refused.err
    assert shell.polos("retry", "1", "--yes").code == 0
    shell.polos("send-event", "payment", "n:=1")
    until(shell, "1", "done")
    show = shell.polos("show", "1", "--json").json
    assert [one["step"] for one in show["superseded"]] == ["polos:stop", "unbook"]
    assert show["lives"][0]["outcome"] == "cancelled"
    assert "life 1  cancelled" in shell.polos("show", "1").out
    ended = shell.polos("cancel", "1")
    assert ended.code == 2 and "completed" in ended.err


@pytest.mark.usefixtures("worker")
def test_a_failed_one_goes_on_where_it_failed(shell: Shell) -> None:
    shell.polos("invoke", "fails")
    assert "card refused" in until(shell, "1", "failed")
    assert "polos retry 1" in shell.polos("why", "1").err
    (shell.folder / "mended").touch()
    done = shell.polos("retry", "last", "--yes", "--json").json
    assert (done["kind"], done["life"], done["superseded"]) == ("retried", 1, ["charge", "sorry"])
    until(shell, "1", "done")
    assert shell.polos("show", "1", "--json").json["result"] == "charged"


@pytest.mark.usefixtures("worker")
def test_a_queue_with_its_holder_and_whoever_waits(shell: Shell) -> None:
    for _ in range(3):
        shell.polos("invoke", "letter")
    until(shell, "1", "running")
    said = until(shell, "3", "in_queue")
    assert "'mail', which runs 1 at once" in said and "1 before it" in said and "execution 1" in said
    (mail, _) = shell.polos("queues", "--json").lines
    assert (mail["name"], mail["concurrency_limit"], mail["running"], mail["queued"]) == ("mail", 1, [1], 2)
    assert shell.polos("queues").out.startswith("mail\t\t1\t1\t2\t")
    assert "cancelled: execution 3" in shell.polos("cancel", "3").err
    (shell.folder / "posted").touch()
    until(shell, "2", "done")


@pytest.mark.usefixtures("worker")
def test_schedules(shell: Shell) -> None:
    (daily, _) = shell.polos("schedules", "--json").lines
    assert (daily["workflow"], daily["cron"], daily["declared"], daily["missed"]) == ("daily", "0 9 * * *", True, 0)
    assert shell.polos("schedules").out.startswith("daily\t0 9 * * *\t")
    assert shell.polos("schedules", "next", "daily", "-n", "3").out.count("09:00 +0000") == 3
    berlin = shell.polos("schedules", "next", "30 8 * * MON", "--timezone", "Europe/Berlin", "--json").json
    assert len(berlin["times"]) == 5 and all("T08:30:00" in time for time in berlin["times"])
    started = shell.polos("schedules", "trigger", "daily", "--json").json
    until(shell, str(started["number"]), "done")
    backfilled = shell.polos("schedules", "backfill", "daily", "--since", "3d", "--json").json
    assert len(backfilled["started"]) == 3
    assert "0 executions" in shell.polos("schedules", "backfill", "daily", "--since", "3d").err
    assert shell.polos("schedules", "list", "daily", "--json").lines[0]["started"] == 3, "backfilled ones are counted"
    strange = shell.polos("schedules", "trigger", "daily", "--since", "3d")
    assert strange.code == 2 and "nothing was done" in strange.err
    future = shell.polos("schedules", "backfill", "daily", "--since", "2200-01-01")
    assert future.code == 2 and "future" in future.err
    assert shell.polos("schedules", "pause", "daily").code == 0
    assert "paused" in shell.polos("schedules").out
    assert shell.polos("schedules", "resume", "daily").code == 0


def test_with_nothing_running(shell: Shell) -> None:
    shell.polos("invoke", "trip")
    assert until(shell, "1", "no_engine")
    assert "cancelled: execution 1" in shell.polos("cancel", "1").err
    assert shell.polos("retry", "1", "--yes").code == 0
    assert shell.polos("schedules").out == "" and shell.polos("queues").out == ""
    for command in (("cancel", "77"), ("retry", "77"), ("why", "77")):
        assert shell.polos(*command).code == 3
    assert "there is no action" in shell.polos("schedules", "stop").err
    assert "needs a schedule" in shell.polos("schedules", "pause").err
    assert shell.polos("schedules", "next", "0 0 30 2 *").code == 2
    missing = shell.polos("ps", "--database", "sqlite:///nope.db")
    assert missing.code == 2 and "there is no database" in missing.err
    assert shell.polos("ps", "--limit", "0").code == 2
    active = shell.polos("retry", "1")
    assert active.code == 2 and "polos why 1" in active.err


def test_no_worker_has_the_code(shell: Shell) -> None:
    shell.polos("invoke", "trip")
    (shell.folder / "workflows" / "flows.py").write_text(FLOWS.replace("async def trip(", "async def trips("))
    process = shell.start("worker")
    until_said(process, "owns ")
    said = until(shell, "1", "no_worker")
    assert "'trips'" in said
    assert "cancelled: execution 1" in shell.polos("cancel", "1").err
    process.send_signal(signal.SIGTERM)
    assert end(process).code == 0
