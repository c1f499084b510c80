"""The other pages on a real database, by their keys: workflows with forms, events, schedules, queues, workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from textual.widgets import Input, Select

from polos import Polos, PolosClient, schedules
from polos.client.bundle import BundleClient
from polos.core.forms import fields_in
from polos.errors import NoEngine
from polos_cli.dashboard.dialogs.form import Form
from polos_cli.dashboard.dialogs.line import Line
from polos_cli.dashboard.dialogs.output import Output
from polos_cli.dashboard.pages.page import NAMES
from polos_cli.dashboard.reading import Reading
from polos_cli.dashboard.widgets.payload import PayloadTree
from polos_cli.dashboard.widgets.standing import StandingLine
from polos_cli.dashboard.widgets.tables import Rows
from tests.dashboard import screen
from tests.dashboard.screen import FLOWS, opened, seen


async def test_a_workflow_is_started_from_the_form_of_its_schema(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await shown.press("2")
        await shown.sees("order_id [amount] [express]", "Takes an order.", "dash-mail")
        rows = shown.one(Rows)
        while rows.key != "order":
            await shown.press("j")
        await shown.sees("input schema", "tests/dashboard/screen.py")
        await shown.press("enter")
        await shown.asked(Form)
        await shown.sees("Start order", "Order Id", "Amount (integer)", "10", "( ) yes")
        await shown.press("ctrl+s")
        await shown.sees("Order Id is needed")
        await shown.type("A7")
        await shown.press("tab")
        await shown.type("many")
        await shown.press("ctrl+s")
        await shown.sees("Amount: a whole number")
        await shown.type("12")
        await shown.sees('sends {"order_id":"A7","amount":12,"express":false}')
        await shown.press("enter")
        await shown.until(lambda: any("started 1 (order)" in one and "polos invoke order" in one for one in shown.said))
        await shown.press("1")
        await shown.until(lambda: shown.listed[-1:] == [(1, "completed")])
        assert json.loads((await engine.get(1)).input.text)["amount"] == 12


async def test_what_the_workflow_refuses_is_said_field_by_field(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["quick"], 1)
        await shown.until(lambda: shown.listed == [(1, "completed")])
        await shown.press("i")
        await shown.asked(Form)
        await shown.type("seven")
        await shown.press("enter")
        await shown.sees("input: a whole number")
        await shown.press("ctrl+e")  # JSON says what it likes
        await shown.type('"seven"')
        await shown.press("ctrl+s")
        await shown.sees("seven", "Input should be a valid integer")  # nothing that was typed is lost
        assert not any("valid integer" in one for one in shown.said), "it is said once, where it is mended"
        assert len(await engine.list()) == 1
        await shown.type("7")
        await shown.press("ctrl+s")
        await shown.until(lambda: shown.listed == [(2, "completed"), (1, "completed")])


async def test_events_are_shown_and_published(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await shown.press("3")
        await shown.sees("no event was published yet")
        await engine.publish("orders.paid", {"id": 1, "card": {"last": "42"}}, event_type="paid")
        await shown.sees("orders.paid", "paid", 'last  "42"')
        await shown.press("e")
        await shown.asked(Form)
        assert shown.one(Input).value == "orders.paid"
        await shown.type("{no")
        await shown.press("ctrl+s")
        await shown.sees("that is no JSON")
        await shown.type('{"id": 2}')
        await shown.press("ctrl+s")
        await shown.until(lambda: any("nothing waits for it yet" in one for one in shown.said))
        await shown.sees('{"id":2}', '{"id":1')
        await engine.publish("other", 1)
        await shown.sees("other")
        await shown.press("slash")
        await shown.asked(Line)
        await shown.type("orders.*")
        await shown.press("enter")
        await shown.until(lambda: shown.one(Rows).count() == 2 and "other" not in shown.text)
        await engine.publish("orders.shipped", {})
        await shown.sees("orders.shipped")
        await shown.press("enter")
        assert shown.one(PayloadTree).has_focus


async def test_schedules_are_triggered_and_paused(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await shown.press("4")
        await shown.sees("report", "0 9 * * *", "declared in code", "next ", "on")
        await shown.press("p")
        await shown.sees("paused: p lets it go on")
        assert (await schedules.list(engine))[0].is_paused
        await shown.press("p")
        await shown.until(lambda: "paused: p" not in shown.text)
        await shown.press("t")
        await shown.sees("Start report now?", "polos schedules trigger report")
        await shown.press("y")
        await shown.until(lambda: any("started 1 (report)" in one for one in shown.said))
        await shown.press("1")
        await shown.until(lambda: shown.app.page is not None and shown.app.page.NAME == "executions")
        await shown.until(lambda: shown.listed == [(1, "completed")], "the execution that it started")


async def test_queues_show_who_holds_a_place(tmp_path: Path) -> None:
    screen.HELD.clear()
    async with opened(tmp_path) as (engine, shown):
        for _ in range(3):
            await engine.invoke(FLOWS["mail"], {})
        await shown.press("5")
        await shown.sees("dash-mail", "holds a place")
        await shown.until(lambda: "mail      running" in shown.text, "the holder")
        await shown.press("enter", "enter")
        await shown.until(lambda: shown.title.startswith("it runs"), "the execution")
        screen.HELD.set()
        await shown.until(lambda: [status for _, status in shown.listed] == ["completed"] * 3)
        screen.HELD.clear()


async def test_workers_come_and_go(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/polos.db"
    async with Polos(url, workflows=list(FLOWS.values()), echo=False, complete=True):
        client = PolosClient(url)
        async with client, seen(client) as shown:
            await shown.press("6")
            await shown.sees("all that it can run", '"approval"')


async def test_every_page_says_its_keys_and_its_command(tmp_path: Path) -> None:
    async with opened(tmp_path, (100, 50)) as (_, shown):
        for at, name in enumerate(NAMES, 1):
            await shown.press(str(at))
            await shown.until(lambda: shown.app.page is not None and name == shown.app.page.NAME)
            await shown.press("question_mark")
            await shown.asked(Output)
            await shown.sees("Keys", "palette", "quit")
            await shown.press("escape")
        await shown.press("Y")
        await shown.until(lambda: any(one.startswith("copied: polos ") for one in shown.said))
        themes = [shown.app.theme]
        for _ in range(3):
            await shown.press("T")
            themes.append(shown.app.theme)
        assert themes == ["ansi-dark", "textual-dark", "textual-light", "ansi-dark"]


async def test_pages_are_turned_by_the_mouse(tmp_path: Path) -> None:
    async with opened(tmp_path) as (engine, shown):
        await shown.pilot.click("#pages", offset=(35, 0))
        await shown.sees("no event was published yet")
        await shown.pilot.click("#pages", offset=(3, 0))
        await engine.batch_invoke([_quick(1), _quick(2)])
        await shown.until(lambda: len(shown.listed) == 2)
        await shown.pilot.click("ExecutionList", offset=(5, 1))
        await shown.sees("quick 1")
        await shown.pilot.click("#panes", offset=(20, 0))
        await shown.sees("nothing was logged")


def _quick(number: int) -> object:
    from polos import BatchWorkflowInput

    return BatchWorkflowInput(FLOWS["quick"], number)


async def test_a_bundle_is_shown_and_only_shown(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/polos.db"
    async with Polos(url, workflows=list(FLOWS.values()), echo=False, complete=True) as engine:
        await (await engine.invoke(FLOWS["order"], screen.Order(order_id="A1"))).result(10)
    file = tmp_path / "bug.polos"
    done = subprocess.run(
        [sys.executable, "-m", "polos_cli", "export", "1", "-o", str(file), "--database", url],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    client = BundleClient(file)
    async with client, seen(client, is_bundle=True) as shown:
        await shown.until(lambda: (1, "completed") in shown.listed)
        await shown.sees("a bundle, which is only read")
        for key in "iecfra":
            shown.app.clear_notifications()
            await shown.press(key)
            await shown.until(lambda: any("a bundle is only read" in one for one in shown.said))
            assert len(shown.app.screen_stack) == 1
        for at in range(2, 7):
            await shown.press(str(at))
            await shown.pilot.pause(0.05)


async def test_what_cannot_be_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polos_cli.dashboard.app.AGAIN", 0.05)
    async with opened(tmp_path) as (engine, shown):
        await engine.invoke(FLOWS["quick"], 1)
        await shown.until(lambda: shown.listed == [(1, "completed")])
        news = Reading.news

        async def gone(self: Reading) -> tuple[frozenset[int], bool]:
            raise NoEngine("http://127.0.0.1:1 does not answer")

        monkeypatch.setattr(Reading, "news", gone)
        await shown.until(lambda: "does not answer; trying again" in shown.standing)
        await engine.invoke(FLOWS["quick"], 2)
        monkeypatch.setattr(Reading, "news", news)
        await shown.until(lambda: shown.listed == [(2, "completed"), (1, "completed")], "nothing was missed")
        await shown.until(lambda: "trying again" not in shown.page.query_one(StandingLine).text)


@pytest.mark.parametrize("theme", ["terminal", "light"])
async def test_the_value_that_was_chosen_is_seen(tmp_path: Path, theme: str) -> None:
    async with opened(tmp_path, theme=theme) as (_, shown):
        shown.app.ansi_color = theme == "terminal"
        fields = fields_in({"form": {"carrier": {"enum": ["parcel", "pigeon"]}, "day": "string"}})
        shown.app.push_screen(Form("Answer", fields, "{}"))
        await shown.asked(Form)
        shown.one(Select).value = "pigeon"
        await shown.press("tab", "tab")
        await shown.sees("carrier", "pigeon")
        row = next(line for line in shown.text.splitlines() if "carrier" in line and "sends" not in line)
        assert "pigeon" in row
