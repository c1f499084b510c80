"""What the dashboard asks: whether something is to be done, and JSON to do it with. Does nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import orjson
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea

from polos_cli.output.sanitize import sanitize

_BOX = """
{name} {{ align: center middle; }}
{name} > Vertical {{ width: 80%; max-width: 90; height: auto; max-height: 90%; border: round $primary; padding: 0 1; }}
{name} TextArea {{ height: 10; }}
"""


class Confirm(ModalScreen[bool]):
    """Asks whether to do it; says what it does, and which command is the same."""

    DEFAULT_CSS = _BOX.format(name="Confirm")
    BINDINGS: ClassVar = [Binding("y", "answer(True)", "yes"), Binding("n,escape", "answer(False)", "no")]

    def __init__(self, what: Sequence[str]) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical():
            yield Static(Content(sanitize("\n".join([*self._what, "", "y yes   n no"]), multiline=True)))

    def action_answer(self, yes: bool) -> None:
        """Closes it."""
        self.dismiss(yes)


class JsonForm(ModalScreen[tuple[str, Any] | None]):
    """Asks for a line of text, where one is wanted, and a JSON value."""

    DEFAULT_CSS = _BOX.format(name="JsonForm")
    BINDINGS: ClassVar = [Binding("ctrl+s", "send", "send", priority=True), Binding("escape", "leave", "leave")]

    def __init__(self, title: str, text: str = "{}", name: tuple[str, str] | None = None) -> None:
        super().__init__()
        self._title, self._text, self._line = title, text, name

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical():
            yield Static(Content(sanitize(self._title, multiline=True)))
            if self._line is not None:
                yield Input(self._line[1], placeholder=self._line[0], id="name")
            yield TextArea(self._text, id="json", soft_wrap=True)
            yield Static(Content("ctrl+s send   esc leave"), id="said")

    def on_mount(self) -> None:
        """Begins where something is to be typed."""
        wants_name = self._line is not None and not self._line[1]
        self.query_one("#name" if wants_name else "#json").focus()

    def action_send(self) -> None:
        """Closes it with what was typed, if that is JSON."""
        name = self.query_one("#name", Input).value.strip() if self._line is not None else ""
        said = self.query_one("#said", Static)
        if self._line is not None and not name:
            said.update(Content(sanitize(f"{self._line[0]} is missing")))
            return
        try:
            value = orjson.loads(self.query_one("#json", TextArea).text or "null")
        except orjson.JSONDecodeError as error:
            said.update(Content(sanitize(f"that is no JSON: {error}")))
            return
        self.dismiss((name, value))

    def action_leave(self) -> None:
        """Closes it with nothing."""
        self.dismiss(None)


class Filtering(ModalScreen[str | None]):
    """Asks for a filter: statuses and a workflow's id."""

    DEFAULT_CSS = _BOX.format(name="Filtering")
    BINDINGS: ClassVar = [Binding("escape", "leave", "leave")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical():
            yield Static(Content("show only: statuses (failed, waiting, …) and a workflow's id; empty for all"))
            yield Input(self._text)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Closes it with what was typed."""
        self.dismiss(event.value)

    def action_leave(self) -> None:
        """Closes it with nothing."""
        self.dismiss(None)
