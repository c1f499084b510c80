"""Shows lines above the page: what a command has said, or all keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.strip import Strip

from polos_cli.dashboard.dialogs.box import Dialog, told
from polos_cli.dashboard.widgets.texts import Text, Texts


class Scrolled(Texts):
    """Lines that are read, and not gone to: keys move the page, not a cursor."""

    def action_move(self, by: int) -> None:
        """See `Lines`."""
        self.scroll_to(y=self.scroll_y + by, animate=False)

    def action_first(self) -> None:
        """See `Lines`."""
        self.scroll_to(y=0, animate=False)

    def action_last(self) -> None:
        """See `Lines`."""
        self.scroll_to(y=self.max_scroll_y, animate=False)

    def draw(self, index: int, width: int, is_marked: bool) -> Strip:
        """See `Lines`."""
        return super().draw(index, width, is_marked=False)


class Output(Dialog[None]):
    """Lines that can be scrolled."""

    DEFAULT_CSS = """
    Output > .box { height: 90%; max-width: 140; }
    Output Scrolled { height: 1fr; }
    """
    BINDINGS: ClassVar = [Binding("q,question_mark", "leave", "leave", show=False)]

    def __init__(self, title: str, lines: Sequence[Text]) -> None:
        super().__init__()
        self._title, self._lines = title, lines

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical(classes="box"):
            yield told(self._title)
            yield Scrolled()
            yield told("j k page up and down   esc leave", classes="keys")

    def on_mount(self) -> None:
        """Shows the lines."""
        shown = self.query_one(Scrolled)
        shown.show(self._lines, is_other=True)
        shown.focus()
