"""The page of executions on a real database, by its keys: what is shown, what is done, and the past."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import TextArea

from polos import BatchWorkflowInput
from polos.errors import UsageError
from polos_cli.dashboard.actions import CommandLine
from polos_cli.dashboard.dialogs.confirm import Confirm
from polos_cli.dashboard.dialogs.form import Form
from polos_cli.dashboard.dialogs.line import Line
from polos_cli.dashboard.dialogs.output import Output
from polos_cli.dashboard.reading import PAGE, Filter
from polos_cli.dashboard.widgets.detail import Detail
from polos_cli.dashboard.widgets.listing import ExecutionList
from polos_cli.dashboard.widgets.payload import PayloadTree
from polos_cli.dashboard.widgets.steps import StepTree
from tests.dashboard.screen import FLOWS, Order, Shown, opened


async def test_it_follows_what_happens(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await shown.until(lambda: "no executions yet" in shown.standing)
        handle = await engine.invoke(FLOWS["waits"], {})
        await shown.until(lambda: shown.listed == [(1, "waiting")])
        await shown.until(lambda: "waits for an event on 'dash.paid'" in shown.title, "why")
        await shown.sees("paid [/]", "◌", "░")
        await engine.publish("dash.paid", {"n": 1})
        await shown.until(lambda: shown.listed == [(1, "completed")])
        await shown.until(lambda: "it completed" in shown.title, "why")
        assert await handle.result(5) == {"n": 1}
        await shown.until(lambda: "1 completed" in shown.standing, "counted")
        await shown.sees("result", "n  1")


async def test_what_happens_is_on_the_screen_within_200_ms(tmp_path: Path) -> None:
    async with opened(tmp_path, workflows=["quick"]) as (engine, shown):
        times = []
        for number in range(1, 8):
            began = asyncio.get_running_loop().time()
            await engine.invoke(FLOWS["quick"], number)
            await shown.until(lambda: bool(shown.listed) and shown.listed[0] == (number, "completed"))
            times.append(asyncio.get_running_loop().time() - began)
        # It looks each 150 ms; the best of several tells what it takes, however busy the machine is.
        assert min(times) < 0.2, times


async def test_a_question_is_answered_from_its_form(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        handle = await engine.invoke(FLOWS["approval"], {"text": "Buy it?"})
        await shown.until(lambda: "ask" in shown.title, "it asks")
        await shown.press("a")
        await shown.asked(Form)
        await shown.sees("question: Buy it?", "( ) yes", "(•) no", '{"approved":false}')
        await shown.press("y")
        await shown.sees("(•) yes", 'sends {"approved":true}')
        await shown.press("ctrl+s")
        assert await handle.result(10) == {"approved": True}
        await shown.until(lambda: shown.listed == [(1, "completed")])
        await shown.until(lambda: any("polos resume 1 ask" in one for one in shown.said), "the equal command")
        await shown.press("a")
        await shown.until(lambda: any("asks nothing" in one for one in shown.said), "refused")


async def test_cancel_and_retry_are_asked_and_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["waits"], {})
        await shown.until(lambda: "waits" in shown.title, "it waits")
        await shown.press("r")
        await shown.until(
            lambda: any("not failed, cancelled or blocked" in one for one in shown.said), "refused, and why"
        )
        await shown.press("c")
        await shown.asked(Confirm)
        await shown.sees("polos cancel 1")
        await shown.press("n")
        await shown.press("c")
        await shown.asked(Confirm)
        await shown.press("y")
        await shown.until(lambda: shown.listed == [(1, "cancelled")])
        await shown.until(lambda: "cancelled" in shown.title, "shown")
        await shown.press("r")
        await shown.asked(Confirm)
        await shown.press("y")
        await shown.until(lambda: shown.listed == [(1, "waiting")], "it waits again")
        await shown.press("Y")
        await shown.until(lambda: any(one.startswith("copied: polos retry 1") for one in shown.said), "copied")


async def test_a_fork_says_what_it_keeps_and_its_event_is_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["waits"], {})
        await shown.until(lambda: "waits" in shown.title)
        await shown.press("enter", "j")
        await shown.until(lambda: shown.one(StepTree).selected == (1, "paid [/]"), "the step")
        await shown.press("f")
        await shown.asked(Confirm)
        await shown.sees("waits again   paid [/]", "polos fork 1 --at 'paid [/]'")
        await shown.press("y")
        await shown.until(lambda: shown.listed == [(2, "waiting"), (1, "waiting")], "a fork")
        await shown.press("e")
        await shown.asked(Form)
        await shown.sees("dash.paid", '"n": 1')
        await shown.press("ctrl+s")
        await shown.until(lambda: shown.listed == [(2, "completed"), (1, "completed")], "both have it")
        await shown.until(lambda: any("woke 1, 2" in one for one in shown.said), "said")


@pytest.mark.parametrize("has_editor", [True, False])
async def test_a_fork_with_edited_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_editor: bool) -> None:
    editor = tmp_path / "ed it.py"
    editor.write_text(
        "#!/usr/bin/env python3\nimport json, sys\nvalue = json.load(open(sys.argv[1]))\n"
        "value['steps']['total']['sum'] = 99\njson.dump(value, open(sys.argv[1], 'w'))\n"
    )
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"'{editor}'" if has_editor else "")
    if not has_editor:
        monkeypatch.setattr("shutil.which", lambda name: None)
    async with opened(tmp_path) as (engine, shown):
        handle = await engine.invoke(FLOWS["order"], Order(order_id="A1", amount=7))
        assert (await handle.result(10))["checked"] == 7
        await shown.until(lambda: (1, "completed") in shown.listed)
        await shown.press("G")
        await shown.until(lambda: shown.one(StepTree).count() == 4, "the tree")
        await shown.press("enter", "j", "j")
        await shown.until(lambda: shown.one(StepTree).selected == (1, "check"), "the step")
        await shown.press("f")
        await shown.asked(Confirm)
        await shown.press("e")
        if not has_editor:
            await shown.asked(Form)
            value = json.loads(shown.one(TextArea).text)
            assert value == {"input": {"order_id": "A1", "amount": 7, "express": False}, "steps": {"total": {"sum": 7}}}
            value["steps"]["total"]["sum"] = 99
            await shown.type(json.dumps({**value, "steps": {}}))
            await shown.press("ctrl+s")
            await shown.sees("'total' is gone")
            await shown.press("e")
            await shown.asked(Form)
            await shown.type(json.dumps(value))
            await shown.press("ctrl+s")
        await shown.sees('edits         total: {"sum":99}', "starts again  check", "--set 'total={")
        await shown.press("y")
        await shown.until(lambda: shown.listed[:1] == [(4, "completed")], "the fork and its child")
        forked = await engine.get(3)
        assert json.loads(forked.result.text if forked.result else "") == {"order": "A1", "checked": 99}
        # And it is compared with what it comes from, whose number is there already.
        await shown.press("escape", "g", "j")
        await shown.until(lambda: shown.one(Detail).whole is not None and shown.one(Detail).whole.execution.number == 3)  # type: ignore[union-attr]
        await shown.press("d")
        await shown.asked(Line)
        await shown.press("enter")
        await shown.asked(Output)
        await shown.sees(".checked  7 → 99", "exit code 0")


async def test_the_past_is_seen_happening_by_happening(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        handle = await engine.invoke(FLOWS["order"], Order(order_id="A1", amount=7))
        await handle.result(10)
        await shown.until(lambda: (1, "completed") in shown.listed)
        await shown.press("G")
        await shown.until(lambda: shown.one(StepTree).count() == 4)
        await shown.press("enter", "j", "left")
        await shown.until(lambda: "esc goes back to now" in shown.title, "the past")
        seen = [shown.title.split(",")[0]]
        for _ in range(20):
            await shown.press("left")
            if shown.title.split(",")[0] == seen[-1]:
                break
            seen.append(shown.title.split(",")[0])
        assert seen[-1].startswith("◀ 1 of ") and len(seen) > 4, seen
        assert shown.one(StepTree).count() == 1, "it had just begun"
        await shown.sees("order 1  queued")
        await shown.press("right", "right", "right")
        await shown.sees("order 1  running", "│")
        await shown.press("H")
        for _ in range(len(seen) + 2):
            if "it completed" not in shown.title:
                await shown.press("right")
        assert "it completed" in shown.title, "now again"
        await shown.press("H")
        await shown.until(lambda: "esc goes back" in shown.title)
        await shown.press("escape")
        assert "it completed" in shown.title and shown.one(StepTree).has_focus


async def test_the_panes_tell_attempts_logs_events_and_children(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["fails"], {})
        await shown.until(lambda: "ZeroDivisionError" in shown.title, "why")
        await shown.press("enter", "right_square_bracket")
        await shown.sees("attempts 1", "divide  attempt 1 failed")
        handle = await engine.invoke(FLOWS["order"], Order(order_id="B", amount=3))
        await handle.result(10)
        await shown.press("escape")
        await shown.until(lambda: len(shown.listed) == 3)
        shown.one(ExecutionList).go_to(2)
        await shown.until(lambda: shown.one(StepTree).count() == 4)
        await shown.press("right_square_bracket")
        await shown.sees("logs 1", "the total is 3")
        await shown.press("right_square_bracket")
        await shown.sees("workflow_start", "step_finish")
        await shown.press("right_square_bracket")
        await shown.sees("it keeps no state")
        await shown.press("right_square_bracket")
        await shown.sees("children 1", "quick  completed  started by check")
        await shown.press("tab", "tab", "enter")
        await shown.until(lambda: shown.one(Detail).whole.execution.number == 3, "the child")  # type: ignore[union-attr]
        await shown.press("escape")
        await shown.until(lambda: shown.one(Detail).whole.execution.number == 2, "its parent again")  # type: ignore[union-attr]


async def test_what_a_retry_took_back_is_told_with_its_difference(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["fails"], {})
        await shown.until(lambda: shown.listed == [(1, "failed")])
        await shown.press("r")
        await shown.asked(Confirm)
        await shown.press("y")
        await shown.until(lambda: shown.listed == [(1, "failed")] and "attempts 2" in shown.text, "failed again")
        await shown.press("right_square_bracket")
        await shown.sees("divide  failed in life 1, taken back by a retry", "the same outcome now")


async def test_values_open_and_close(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        data = {"question": "?", "many": list(range(1_000)), "deep": {"a": {"b": {"c": 1}}}, "long": "x" * 500}
        await engine.invoke(FLOWS["waits"], data)
        await shown.until(lambda: shown.one(Detail).whole is not None)
        await shown.press("tab", "tab")
        tree = shown.one(PayloadTree)
        await shown.until(lambda: tree.has_focus)
        await shown.sees("▸ many  [0,1,2", "▾ deep  {1}", "▸ a", "▸ long")
        await shown.press("j", "j", "enter")
        await shown.until(lambda: tree.count() > 200, "unfolded")
        before = tree.count()
        tree.cursor = 203
        await shown.sees("… 800 more (enter)")
        await shown.press("enter")
        assert tree.count() == before + 800 - 1 + (0 if tree.count() else 1)
        await shown.press("h", "h")
        await shown.until(lambda: tree.count() < 20, "folded")
        await shown.press("Y")
        await shown.until(lambda: any(one.startswith("copied: [\n  0,") for one in shown.said), "the value")


async def test_the_list_is_narrowed_and_stays_so_live(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["quick"], 7)
        await engine.invoke(FLOWS["fails"], {})
        await shown.until(lambda: shown.listed == [(2, "failed"), (1, "completed")])
        await shown.press("slash")
        await shown.asked(Line)
        await shown.type("failed 1h")
        await shown.press("enter")
        await shown.until(lambda: shown.listed == [(2, "failed")], "narrowed")
        await shown.until(lambda: "only failed 1h" in shown.standing, "said")
        await engine.invoke(FLOWS["quick"], 8)
        await engine.invoke(FLOWS["fails"], {})
        await shown.until(lambda: shown.listed == [(4, "failed"), (2, "failed")], "live, and narrowed still")
        await engine.retry(2)
        await shown.until(lambda: shown.listed == [(4, "failed"), (2, "failed")], "failed again")
        await shown.press("slash")
        await shown.asked(Line)
        await shown.type("waiting")
        await shown.press("enter")
        await shown.until(lambda: shown.listed == [])
        handle = await engine.invoke(FLOWS["waits"], {})
        await shown.until(lambda: shown.listed == [(5, "waiting")])
        await engine.publish("dash.paid", {"n": 1})
        await handle.result(10)
        await shown.until(lambda: shown.listed == [], "it waits no more")


def test_a_filter_is_read_as_it_is_typed() -> None:
    assert Filter.read("failed waiting quick").words == "failed waiting quick"
    assert Filter.read("order 10m").since == 600_000_000
    assert Filter.read("3rd-party").workflow_id == "3rd-party"
    assert Filter.read("") == Filter()
    assert Filter.read("status=failed workflow=quick") == Filter.read("failed quick")
    assert Filter.read("faild").meant == "failed" and Filter.read("quick").meant == ""
    for wrong, said in (
        ("status=faild", "no status"),
        ("a b", "one workflow at a time"),
        ("topic=x", "topic= is nothing"),
    ):
        with pytest.raises(UsageError, match=said):
            Filter.read(wrong)


async def test_a_filter_that_finds_nothing_or_is_none_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await shown.sees("none was started yet")
        await engine.invoke(FLOWS["quick"], 7)
        await shown.until(lambda: shown.listed == [(1, "completed")])
        await shown.press("slash")
        await shown.asked(Line)
        await shown.type("status=faild")
        await shown.press("enter")
        await shown.sees("'faild' is no status")
        await shown.type("faild")
        await shown.press("enter")
        await shown.sees("there is none of: faild (did you mean failed?)")


async def test_a_dialog_takes_its_first_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two keys that come at once, or one that a person holds down; the second one may be the page's, where y replays."""

    async def says_nothing(line: CommandLine, words: list[str], columns: int) -> tuple[int, str]:
        return 0, ""

    monkeypatch.setattr(CommandLine, "run", says_nothing)
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["fails"], {})
        await shown.until(lambda: shown.listed == [(1, "failed")])
        for keys in (("n", "n"), ("escape", "escape"), ("y", "y")):
            await shown.press("r")
            await shown.asked(Confirm)
            await shown.sees("It goes on at 'divide', which runs again")
            await shown.press(*keys)
            await shown.until(lambda: not isinstance(shown.app.screen, Confirm))
        async with asyncio.timeout(20):
            while (await engine.get(1)).life == 0:
                await shown.pilot.pause(0.01)


async def test_a_key_that_comes_twice_asks_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["approval"], {})
        await shown.until(lambda: shown.listed == [(1, "waiting")])
        for key, dialog in (
            ("c", Confirm),
            ("f", Confirm),
            ("a", Form),
            ("d", Line),
            ("x", Line),
            ("i", Form),
            ("e", Form),
        ):
            await shown.press(key, key)
            await shown.asked(dialog)
            await shown.press("escape")
            await shown.until(lambda: len(shown.app.screen_stack) == 1)
            await shown.pilot.pause(0.05)
            assert len(shown.app.screen_stack) == 1, key


async def test_a_narrow_terminal_shows_one_pane_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path, (80, 24)) as (engine, shown):
        await engine.invoke(FLOWS["quick"], 7)
        await shown.until(lambda: shown.listed == [(1, "completed")])
        detail = shown.page.query_one(Detail)
        assert not detail.display
        await shown.press("enter")
        assert detail.display and not shown.page.query_one("#list").display
        await shown.press("escape")
        assert not detail.display


async def test_pages_come_as_the_cursor_goes_down(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        for _ in range(5):
            await engine.batch_invoke([BatchWorkflowInput(FLOWS["quick"], number) for number in range(100)])
        await shown.until(lambda: len(shown.listed) >= PAGE and shown.listed[0][0] == 500, "the newest page")
        for _ in range(4):
            await shown.press("G")
            await shown.pilot.pause(0.05)
        await shown.until(lambda: shown.listed[-1][0] == 1, "the last one")
        assert [number for number, _ in shown.listed] == list(range(500, 0, -1))
        await shown.press("k")
        row = shown.one(ExecutionList).row
        assert row is not None and row.number == 2
        await engine.invoke(FLOWS["quick"], 1)
        await shown.until(lambda: shown.listed[0][0] == 501, "a new one")
        assert shown.one(ExecutionList).row == row, "what the person looks at does not move"
        assert [number for number, _ in shown.listed] == list(range(501, 0, -1))


async def test_commands_are_run_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["quick"], 7)
        await shown.until(lambda: shown.listed == [(1, "completed")])
        await shown.until(lambda: shown.one(Detail).whole is not None)
        await shown.press("x")
        await shown.asked(Line)
        await shown.press("enter")
        await shown.asked(Output)
        await shown.sees("exit code 0", "execution-1.polos")
        assert (tmp_path / "execution-1.polos").exists()
        await shown.press("escape", "y")
        await shown.asked(Output)
        await shown.sees("polos replay 1", "exit code")


async def test_another_tree_is_opened_by_its_number(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await engine.batch_invoke([BatchWorkflowInput(FLOWS["quick"], number) for number in range(300)])
        await shown.until(lambda: shown.listed[:1] == [(300, "completed")])
        await _palette(shown, "17")
        await shown.until(lambda: _number(shown) == 17)
        await shown.press("escape")
        await shown.until(lambda: _number(shown) == 300, "where it was")
        await _palette(shown, "301")
        await shown.until(lambda: any("no execution answers to '301'" in one for one in shown.said))


async def _palette(shown: Shown, text: str) -> None:
    from textual.command import CommandPalette

    await shown.press("colon")
    await shown.asked(CommandPalette)
    await shown.press(*text)
    await shown.sees(f"open execution {text}")
    await shown.press("enter")
    await shown.until(lambda: not isinstance(shown.app.screen, CommandPalette), "it closes")


def _number(shown: Shown) -> Any:
    whole = shown.page.query_one(Detail).whole
    return whole and whole.execution.number


async def test_a_command_that_is_given_up_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is just being started, or runs: a warning of asyncio would fail this."""
    spawned: list[asyncio.subprocess.Process] = []
    spawn = asyncio.create_subprocess_exec

    async def slow(*args: Any, **options: Any) -> asyncio.subprocess.Process:
        spawned.append(await spawn(sys.executable, "-c", "import time; time.sleep(60)", **options))
        await asyncio.sleep(0.02)
        return spawned[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slow)
    for is_up in (False, True):
        running = asyncio.ensure_future(CommandLine().run(["ps"], 80))
        while len(spawned) < (2 if is_up else 0):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        for _ in range(2):
            running.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await running
    assert all(process.returncode is not None for process in spawned) and len(spawned) == 2
