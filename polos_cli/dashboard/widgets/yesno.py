"""Yes or no, as a field of a form."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from polos_cli.dashboard.looks import line, piece


class YesNo(Widget, can_focus=True):
    """Space goes from one to the other; ``y`` and ``n`` say which."""

    DEFAULT_CSS = "YesNo { height: 1; }"
    BINDINGS: ClassVar = [
        Binding("space,left,right", "other", "yes or no", show=False), Binding("y", "choose(True)", "yes", show=False),
        Binding("n", "choose(False)", "no", show=False),
    ]  # fmt: skip
    value: reactive[bool] = reactive(False)

    class Changed(Message):
        """It is the other one now."""

    def __init__(self, value: bool = False) -> None:
        super().__init__()
        self.set_reactive(YesNo.value, value)

    def render_line(self, y: int) -> Strip:
        """Draws it; the chosen one has the dot."""
        shown = "(•) yes  ( ) no" if self.value else "( ) yes  (•) no"
        pieces = [piece(shown, "bold" if self.has_focus else "plain")]
        hint = [piece("   space, y, n", "dim")] if self.has_focus else []
        return line([*pieces, *hint], self.size.width).apply_style(self.rich_style)

    def watch_value(self) -> None:
        """Says so."""
        self.post_message(self.Changed())

    def action_other(self) -> None:
        """Goes to the other one."""
        self.value = not self.value

    def action_choose(self, yes: bool) -> None:
        """Says which."""
        self.value = yes

    def on_click(self) -> None:
        """Goes to the other one."""
        self.action_other()
