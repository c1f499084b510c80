"""How the dashboard looks, as pictures: one file each in `snapshots/`. Look at a changed one before you keep it:

POLOS_SNAPSHOTS=write python -m pytest tests/dashboard/test_snapshots.py
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from polos.core.forms import fields_of_schema
from polos.core.model import (
    Entry,
    Event,
    Execution,
    FailedAttempt,
    Failure,
    Kind,
    LogLine,
    Outcome,
    PendingWait,
    Stored,
)
from polos.core.standing import Facts
from polos.core.status import Status
from polos_cli.dashboard.actions import Actions, CommandLine
from polos_cli.dashboard.app import Dashboard
from polos_cli.dashboard.dialogs.form import Form
from polos_cli.dashboard.reading import ExecutionRow, Filter, Reading, Whole
from polos_cli.view.feed import tree_of
from tests.dashboard.screen import Shown

HERE = Path(__file__).parent / "snapshots"
S = 1_000_000
NOW = 1_795_000_000 * S
BEGAN = NOW - 7_204 * S


class Still:
    """A clock by which no time passes."""

    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return time.monotonic()


def told(position: int, at: int, type_: str, **data: Any) -> Event:
    import orjson

    text = orjson.dumps({"execution": 41, **data}).decode()
    return Event(
        position=position,
        id="",
        topic="workflow/order/x",
        sequence=position,
        type=type_,
        data=Stored(text),
        created_at=BEGAN + at,
    )


EVENTS = [
    told(1, 0, "workflow_start", id="exec_01", workflow_id="order"),
    told(2, 400_000, "step_finish", key="validate", kind="run", duration_ms=400),
    told(3, 1_200_000, "step_retry", key="charge", kind="run", attempt=1, duration_ms=800, until=BEGAN + 2_200_000,
         error_type="CardNetworkError"),
    told(4, 1_400_000, "workflow_start", execution=42, id="exec_02", workflow_id="fraud_check", parent=41, parent_key="fraud"),
    told(5, 1_400_000, "wait_start", key="fraud", kind="child"),
    told(6, 3_100_000, "step_finish", execution=42, key="score", kind="run", duration_ms=1_600),
    told(7, 3_110_000, "workflow_finish", execution=42, id="exec_02"),
    told(8, 3_120_000, "wait_finish", key="fraud", kind="child"),
    told(9, 3_100_000, "step_finish", key="charge", kind="run", attempt=2, duration_ms=900),
    told(10, 3_200_000, "wait_start", key="approve", kind="suspend", on="resume:x"),
]  # fmt: skip


def execution() -> Execution:
    return Execution(
        number=41, id="exec_01m8en8djj2j6k50agtn11fp3a", workflow_id="order", status=Status.WAITING, created_at=BEGAN,
        started_at=BEGAN, root_id="exec_01m8en8djj2j6k50agtn11fp3a", root_workflow_id="order", worker_id="wrk_1",
        input=Stored('{"order_id":"A1","amount":1200,"lines":[{"sku":"pen","count":3},{"sku":"desk","count":1}]}'),
    )  # fmt: skip


def entry(key: str, kind: Kind, value: str, line: int, span: tuple[int, int]) -> Entry:
    return Entry(
        key=key, kind=kind, outcome=Outcome.COMPLETED, seq=line, after=0, value=Stored(value), site=f"flows/orders.py:{line}",
        attempt=2 if key == "charge" else 1, started_at=BEGAN + span[0], ended_at=BEGAN + span[1],
    )  # fmt: skip


def whole() -> Whole:
    one = execution()
    entries = [
        entry("validate", Kind.RUN, '{"ok":true}', 21, (0, 400_000)),
        entry("charge", Kind.RUN, '{"id":"ch_1","card":{"brand":"visa","last4":"4242"}}', 24, (400_000, 3_100_000)),
        entry("fraud", Kind.CHILD, '{"score":0.12}', 25, (1_400_000, 3_120_000)),
    ]
    waits = [PendingWait(key="approve", kind=Kind.SUSPEND, after=3, channel="resume:x/approve", site="flows/orders.py:30",
                         request='{"question":"Send it?","amount":1200}', started_at=BEGAN + 3_200_000)]  # fmt: skip
    attempts = [FailedAttempt(key="charge", attempt=1, failure=Failure(type_name="CardNetworkError", message="timeout"),
                              started_at=BEGAN + 400_000, ended_at=BEGAN + 1_200_000, due_at=BEGAN + 2_200_000)]  # fmt: skip
    return Whole(
        execution=one, statuses={41: "waiting", 42: "completed"}, tree=tree_of(EVENTS), entries=entries, waits=waits,
        attempts=attempts, superseded=(), events=EVENTS, origin=None,
        lines=[LogLine(at=BEGAN, level="INFO", text="charging 1200", step_key="charge")],
        facts=Facts(execution=one, now=NOW, entries=entries, waits=waits, attempts=attempts),
    )  # fmt: skip


class Canned(Reading):
    """Reads what is written here."""

    def __init__(self) -> None:
        self.clock = Still()  # type: ignore[assignment]  # all that is asked of one

    async def begin(self) -> None: ...

    async def news(self) -> tuple[frozenset[int], bool]:
        return frozenset(), False

    async def counts(self) -> dict[str, int]:
        return {"waiting": 3, "running": 12, "completed": 104_218, "failed": 1}

    async def page(self, wanted: Filter, before: int | None, limit: int = 0) -> list[ExecutionRow]:
        names = ("order", "fraud_check", "order", "report", "onboard_user", "mail", "nightly", "sync")
        looks = ("running", "completed", "waiting", "failed", "completed", "queued", "cancelled", "blocked")
        return [
            ExecutionRow(43 - at, f"exec_01m8en8djj2j6k50agtn11fp{at:02d}", name, status, NOW - (5_404 + 900 * at) * S,
                         NOW - 5_300 * S if status in ("completed", "failed", "cancelled") else None, "", at == 1)
            for at, (name, status) in enumerate(zip(names, looks, strict=True))
        ]  # fmt: skip

    async def whole(self, execution_id: str) -> Whole:
        return whole()

    async def more_lines(self, whole: Whole) -> Whole | None:
        return None

    async def history(self, execution: Execution) -> list[Event]:
        return EVENTS


async def look_at_the_execution(shown: Shown) -> None:
    await shown.press("j", "j", "enter")
    await shown.sees("asks for an answer")
    await shown.press("j", "j")


async def look_at_its_past(shown: Shown) -> None:
    await look_at_the_execution(shown)
    await shown.press("left", "left", "left", "left")
    await shown.sees("esc goes back")


async def look_at_a_form(shown: Shown) -> None:
    schema = {
        "$defs": {"Size": {"enum": ["small", "large"], "type": "string"}}, "required": ["item", "size"],
        "properties": {"item": {"type": "string"}, "amount": {"type": "number", "default": 12.5}, "size": {"$ref": "#/$defs/Size"},
                       "express": {"type": "boolean"}, "lines": {"type": "array"}},
    }  # fmt: skip
    await shown.app.push_screen(Form("Start order\nTakes an order to its end.", fields_of_schema(schema), "{}"))
    await shown.press(*"pen", "tab")


PICTURES: dict[str, tuple[tuple[int, int], str, Callable[[Shown], Coroutine[Any, Any, None]]]] = {
    "execution-wide": ((150, 34), "dark", look_at_the_execution),
    "execution-narrow": ((80, 24), "terminal", look_at_the_execution),
    "past": ((110, 30), "light", look_at_its_past),
    "form": ((90, 24), "light", look_at_a_form),
}


@pytest.mark.parametrize("name", PICTURES)
async def test_it_looks_as_it_did(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLORFGBG", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("polos_cli.dashboard.widgets.values.clock_time", lambda at: "10:14:01")
    size, theme, look = PICTURES[name]
    app = Dashboard(Canned(), Actions(None, CommandLine()), "shop", theme=theme)  # type: ignore[arg-type]  # nothing is done
    async with app.run_test(size=size) as pilot:
        shown = Shown(app, pilot)
        await shown.until(lambda: "104,218" in shown.standing)
        await look(shown)
        app.screen.set_focus(app.screen.focused)
        await pilot.pause()
        picture = app.export_screenshot(title=name)
    file = HERE / f"{name}.svg"
    if os.environ.get("POLOS_SNAPSHOTS") == "write":
        HERE.mkdir(exist_ok=True)
        file.write_text(picture, encoding="utf-8")
    assert plain(picture) == plain(file.read_text(encoding="utf-8")), (
        f"look at it: POLOS_SNAPSHOTS=write, and git diff {file.name}"
    )


def plain(picture: str) -> str:
    """Without the marks that tell pictures of one page apart."""
    return re.sub(r"terminal-\d+", "terminal", picture)
