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
    """Space goes from one to the other; ``y`` and ``n`` say which, backspace neither, where it may be left out (None)."""

    DEFAULT_CSS = "YesNo { height: 1; }"
    BINDINGS: ClassVar = [
        Binding("space,left,right", "other", "yes or no", show=False), Binding("y", "choose(True)", "yes", show=False),
        Binding("n", "choose(False)", "no", show=False), Binding("backspace,delete", "choose(None)", "neither", show=False),
    ]  # fmt: skip
    value: reactive[bool | None] = reactive(None)

    class Changed(Message):
        """It is the other one now."""

    def __init__(self, value: bool | None = False) -> None:
        super().__init__()
        self._may_be_left_out = value is None
        self.set_reactive(YesNo.value, value)

    def render_line(self, y: int) -> Strip:
        """Draws it; the chosen one has the dot."""
        yes, no = "•" if self.value else " ", "•" if self.value is False else " "
        shown = f"({yes}) yes  ({no}) no"
        pieces = [piece(shown, "bold" if self.has_focus else "plain")]
        keys = "   space, y, n" + (", backspace: left out" if self._may_be_left_out else "")
        hint = [piece(keys if self.has_focus else "   optional", "dim")] if self.has_focus or self.value is None else []
        return line([*pieces, *hint], self.size.width).apply_style(self.rich_style)

    def watch_value(self) -> None:
        """Says so."""
        self.post_message(self.Changed())

    def action_other(self) -> None:
        """Goes to the other one."""
        self.value = not self.value

    def action_choose(self, yes: bool | None) -> None:
        """Says which."""
        if yes is not None or self._may_be_left_out:
            self.value = yes

    def on_click(self) -> None:
        """Goes to the other one."""
        self.action_other()
