"""A fork from the dashboard: what it keeps and does again is said before, and the values at the cut can be edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from polos.client.drive import SAME
from polos.core import codec, jsontext
from polos.core.model import Execution
from polos_cli.dashboard.actions import Deed, to_json
from polos_cli.dashboard.dialogs.box import ask
from polos_cli.dashboard.dialogs.confirm import Confirm
from polos_cli.dashboard.dialogs.form import Form
from polos_cli.dashboard.pages.page import Do, Page
from polos_cli.view.edits import editable


@dataclass(frozen=True, slots=True)
class Changes:
    """What a fork is to have otherwise: outcomes by step, and the input."""

    steps: Mapping[str, Any] = field(default_factory=dict)
    input: Any = SAME


async def fork(page: Page, one: Execution, at: str | None) -> None:
    """Asks for a fork of an execution at a step, and has it done. Raises `UsageError`: it cannot be forked there."""
    plan = await page.reading.plan(one, at)
    was_input, was = codec.plain(one.input), editable(plan)
    changes = Changes()
    while True:
        deed = page.actions.fork(one, plan, changes.steps, changes.input)
        keys = {"y": "fork it", **deed.more}
        chosen = await ask(page.app, Confirm([*deed.question, "", f"the same: {deed.command}"], keys))
        if chosen == "y":
            page.post_message(Do(Deed(deed.does, deed.command)))
        if chosen != "e":
            return
        changes = await _edited(page, was_input, was, changes)


async def _edited(page: Page, was_input: Any, was: Mapping[str, Any], changes: Changes) -> Changes:
    """Lets the person edit the values, in the editor or here; returns what is edited, all told."""
    begins = {"input": was_input if changes.input is SAME else changes.input, "steps": {**was, **changes.steps}}
    text = to_json(begins, indent=True)
    while True:
        left = page.edit(text)
        if left is None:
            given = await page.app.push_screen_wait(Form("The values at the cut", None, text))
            if given is None:
                return changes
            left = to_json(given[1], indent=True)
        wrong, found = read(left, was)
        if not wrong:
            other = found["input"]
            steps = {key: value for key, value in found["steps"].items() if value != was[key]}
            return Changes(steps, SAME if other == was_input else other)
        if await page.app.push_screen_wait(Confirm([f"That cannot be taken: {wrong}"], {"e": "edit it again"})) is None:
            return changes
        text = left


def read(text: str, was: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns what is wrong with edited values (empty: nothing), and the values."""
    try:
        found = jsontext.loads(text)
    except ValueError as error:
        return f"it is no JSON: {error}", {}
    if not isinstance(found, dict) or "input" not in found or not isinstance(found.get("steps"), dict):
        return 'it is to be {"input": …, "steps": {…}} still', {}
    strange = [key for key in found["steps"] if key not in was]
    if strange:
        return f"there is no step {strange[0]!r} before the cut", {}
    gone = [key for key in was if key not in found["steps"]]
    return (f"{gone[0]!r} is gone; to have it run again, fork at it", {}) if gone else ("", found)
