"""Asks for one line of text."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from polos_cli.dashboard.dialogs.box import Dialog, told


class Line(Dialog[str | None]):
    """Closes with the text that was typed; None when it was left."""

    def __init__(self, title: str, text: str = "", is_needed: bool = False, wrong: str = "") -> None:
        super().__init__()
        self._title, self._text, self._is_needed, self._wrong = title, text, is_needed, wrong

    def on_mount(self) -> None:
        """Says what was wrong with what was typed before."""
        self.say(self._wrong)

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical(classes="box"):
            yield told(self._title)
            yield Input(self._text)
            yield Static(classes="said", markup=False)
            yield told("enter take it   esc leave", classes="keys")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Closes it with what was typed."""
        if self._is_needed and not event.value.strip():
            self.say("nothing was typed")
            return
        self.answer(event.value.strip())
