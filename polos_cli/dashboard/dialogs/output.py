"""Shows lines above the page: what a command has said, or all keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical

from polos_cli.dashboard.dialogs.box import Dialog, told
from polos_cli.dashboard.widgets.texts import Text, Texts


class Output(Dialog[None]):
    """Lines that can be scrolled."""

    DEFAULT_CSS = """
    Output > .box { height: 90%; max-width: 140; }
    Output Texts { height: 1fr; }
    """
    BINDINGS: ClassVar = [Binding("q,question_mark", "leave", "leave", show=False)]

    def __init__(self, title: str, lines: Sequence[Text]) -> None:
        super().__init__()
        self._title, self._lines = title, lines

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical(classes="box"):
            yield told(self._title)
            yield Texts()
            yield told("esc leave", classes="keys")

    def on_mount(self) -> None:
        """Shows the lines."""
        shown = self.query_one(Texts)
        shown.show(self._lines, is_other=True)
        shown.focus()
