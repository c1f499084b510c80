"""The dashboard on a real database, by its keys: what is shown, what is done, hostile texts, many rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static, TextArea

from polos import Polos, PolosClient, WorkflowContext
from polos.authoring.workflow import Workflow
from polos.clock import SystemClock
from polos_cli.dashboard.app import Dashboard
from polos_cli.dashboard.detail import Detail, StepTree
from polos_cli.dashboard.feed import PAGE, Feed, Filter
from polos_cli.dashboard.forms import Confirm, JsonForm
from polos_cli.dashboard.listing import ExecutionList

HOSTILE = "\x1b[31mred [/] [bold]\u202eabc\x07 " + "x" * 100_000


async def approval(ctx: WorkflowContext, input: dict[str, Any]) -> Any:
    await ctx.step.run("look", lambda: {"text": input.get("text", "")})
    answer = await ctx.step.suspend("ask", {"question": input.get("text", "ok?")})
    return answer.data


async def waits(ctx: WorkflowContext, input: dict[str, Any]) -> Any:
    return (await ctx.step.wait_for_event("paid [/]", topic="dash.paid", match={"n": 1})).data


async def fails(ctx: WorkflowContext, input: dict[str, Any]) -> None:
    await ctx.step.run("first", str)
    await ctx.step.run("divide", lambda: 1 // 0, max_retries=0)


async def quick(ctx: WorkflowContext, input: int) -> int:
    return input


def flow(fn: Callable[..., Any]) -> Workflow:
    return Workflow(fn, id=fn.__name__, description=None, run_timeout_seconds=None)


FLOWS = [flow(fn) for fn in (approval, waits, fails, quick)]


@asynccontextmanager
async def opened(
    folder: Path, size: tuple[int, int] = (140, 40)
) -> AsyncIterator[tuple[Polos, Dashboard, Pilot[None]]]:
    """An engine on a database, and the dashboard beside it."""
    url = f"sqlite:///{folder}/polos.db"
    async with Polos(url, workflows=FLOWS, durability="relaxed", echo=False) as polos:
        client = PolosClient(url)
        app = Dashboard(Feed(client, SystemClock()), SystemClock(), "test")
        async with app.run_test(size=size) as pilot:
            yield polos, app, pilot
        await client.close()


async def until(pilot: Pilot[None], holds: Callable[[], Any], what: str) -> None:
    """Lets the app go on until something holds."""
    async with asyncio.timeout(20):
        while not holds():
            await pilot.pause(0.02)


def text_of(app: Dashboard, where: str) -> str:
    return str(app.screen_stack[0].query_one(where, Static).content)


def shown(app: Dashboard) -> str:
    """Everything on the screen, as text."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


def listed(app: Dashboard) -> list[tuple[int, str]]:
    return [(row.number, row.status) for row in app.screen_stack[0].query_one(ExecutionList).rows]


async def test_it_follows_what_happens(tmp_path: Path) -> None:
    async with opened(tmp_path) as (polos, app, pilot):
        assert "no executions yet" in text_of(app, "#head")
        handle = await polos.invoke(FLOWS[1], {})
        await until(pilot, lambda: listed(app) == [(1, "waiting")], "it waits")
        await until(pilot, lambda: "waits for an event on 'dash.paid'" in text_of(app, "#title"), "why")
        assert "paid [/]" in shown(app) and "◌" in shown(app)
        await polos.publish("dash.paid", {"n": 1})
        await until(pilot, lambda: listed(app) == [(1, "completed")], "it has ended")
        await until(pilot, lambda: "it completed" in text_of(app, "#title"), "why")
        assert await handle.result(5) == {"n": 1}
        await until(pilot, lambda: "1 completed" in text_of(app, "#head"), "counted")
        assert '"n": 1' in text_of(app, "#value")


async def test_a_question_is_answered_from_its_form(tmp_path: Path) -> None:
    async with opened(tmp_path) as (polos, app, pilot):
        handle = await polos.invoke(FLOWS[0], {"text": "Buy it?"})
        await until(pilot, lambda: listed(app) == [(1, "waiting")], "it waits")
        await until(pilot, lambda: "ask" in text_of(app, "#title"), "it asks")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, JsonForm), "the form")
        assert "Buy it?" in shown(app)
        app.screen.query_one(TextArea).text = "{wrong"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "no JSON" in shown(app), "what is wrong is said")
        app.screen.query_one(TextArea).text = '{"approved": false}'
        await pilot.press("ctrl+s")
        assert await handle.result(10) == {"approved": False}
        await until(pilot, lambda: listed(app) == [(1, "completed")], "it has ended")
        await pilot.press("a")
        await until(pilot, lambda: any("asks nothing" in one.message for one in app._notifications), "refused")


async def test_cancel_retry_and_fork_are_asked_and_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as (polos, app, pilot):
        await polos.invoke(FLOWS[1], {})
        await until(pilot, lambda: "waits" in text_of(app, "#title"), "it waits")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "asked")
        assert "polos cancel 1" in shown(app)
        await pilot.press("n")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "asked again")
        await pilot.press("y")
        await until(pilot, lambda: listed(app) == [(1, "cancelled")], "cancelled")
        await until(pilot, lambda: "cancelled" in text_of(app, "#title"), "shown")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "asked")
        await pilot.press("y")
        await until(pilot, lambda: listed(app) == [(1, "waiting")], "it waits again")
        await pilot.press("enter", "j")
        await until(pilot, lambda: app.query_one(StepTree).selected == (1, "paid [/]"), "the step")
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "asked")
        assert "polos fork 1 --at 'paid [/]'" in shown(app)
        await pilot.press("y")
        await until(pilot, lambda: listed(app) == [(2, "waiting"), (1, "waiting")], "a fork")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, JsonForm), "the event that is waited for")
        assert (
            app.screen.query_one("#name", Input).value == "dash.paid"
            and '"n": 1' in app.screen.query_one(TextArea).text
        )
        await pilot.press("ctrl+s")
        await until(pilot, lambda: listed(app) == [(2, "completed"), (1, "completed")], "both have it")


async def test_a_workflow_is_started_and_the_list_narrowed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (polos, app, pilot):
        await polos.invoke(FLOWS[3], 7)
        await until(pilot, lambda: listed(app) == [(1, "completed")], "ended")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, JsonForm), "the form")
        app.screen.query_one("#name", Input).value = "fails"
        app.screen.query_one(TextArea).text = "{}"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: listed(app) == [(2, "failed"), (1, "completed")], "started")
        await pilot.press("slash", *"failed")
        await pilot.press("enter")
        await until(pilot, lambda: listed(app) == [(2, "failed")], "narrowed")
        await until(pilot, lambda: "ZeroDivisionError" in text_of(app, "#title"), "why")
        assert "only: failed" in text_of(app, "#head")
        await polos.invoke(FLOWS[3], 8)
        await polos.invoke(FLOWS[2], {})
        await until(pilot, lambda: listed(app) == [(4, "failed"), (2, "failed")], "live, and narrowed still")
        assert Filter.read("failed waiting quick").words == "failed waiting quick"


@pytest.mark.parametrize("size", [(140, 40), (80, 24), (40, 10), (20, 5)])
async def test_hostile_texts_steer_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    async with opened(tmp_path, size) as (polos, app, pilot):
        await polos.invoke(FLOWS[0], {"text": HOSTILE})
        await until(pilot, lambda: listed(app) == [(1, "waiting")], "it waits")
        await until(pilot, lambda: app.query_one(Detail).whole is not None, "shown")
        await pilot.press("enter", "j", "j", "a", "escape", "tab", "question_mark")
        await pilot.pause()
        seen = shown(app)
        assert "\x1b" not in seen and "\u202e" not in seen and "\x07" not in seen
        for width, height in ((200, 60), (30, 8), (100, 30), (10, 3), (80, 24)):
            await pilot.resize_terminal(width, height)
        assert app.is_running


async def test_a_narrow_terminal_shows_one_pane_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path, (80, 24)) as (polos, app, pilot):
        await polos.invoke(FLOWS[3], 7)
        await until(pilot, lambda: listed(app) == [(1, "completed")], "ended")
        assert not app.query_one(Detail).display
        await pilot.press("enter")
        assert app.query_one(Detail).display and not app.query_one(ExecutionList).display
        await pilot.press("escape")
        assert app.query_one(ExecutionList).display


async def test_pages_come_as_the_cursor_goes_down(tmp_path: Path) -> None:
    async with opened(tmp_path) as (polos, app, pilot):
        for _ in range(5):
            await polos.batch_invoke([_item(number) for number in range(100)])
        await until(pilot, lambda: len(listed(app)) >= PAGE and listed(app)[0][0] == 500, "the newest page")
        for _ in range(4):
            await pilot.press("G")
            await pilot.pause(0.05)
        await until(pilot, lambda: listed(app)[-1][0] == 1, "the last one")
        assert [number for number, _ in listed(app)] == list(range(500, 0, -1))
        await pilot.press("k")
        row = app.query_one(ExecutionList).row
        await polos.invoke(FLOWS[3], 1)
        await until(pilot, lambda: listed(app)[0][0] == 501, "a new one")
        assert app.query_one(ExecutionList).row == row, "what the person looks at does not move"


def _item(number: int) -> Any:
    from polos import BatchWorkflowInput

    return BatchWorkflowInput(FLOWS[3], number)
