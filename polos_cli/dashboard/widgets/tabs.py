"""A line of names, one of which is chosen, by a click or by whoever has the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from polos_cli.dashboard.looks import line, piece

_CHOSEN = Style(bold=True, reverse=True)


class Tabs(Widget):
    """The line. `names` are what is shown; `at` is the chosen one."""

    DEFAULT_CSS = "Tabs { height: 1; }"

    class Chosen(Message):
        """One was clicked."""

        def __init__(self, tabs: Tabs, at: int) -> None:
            super().__init__()
            self.tabs, self.at = tabs, at

    def __init__(self, names: Sequence[str], at: int = 0, hint: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.names, self.at, self._hint = list(names), at, hint

    def show(self, names: Sequence[str], at: int) -> None:
        """Shows these, with one chosen."""
        if (list(names), at) != (self.names, self.at):
            self.names, self.at = list(names), at
            self.refresh()

    def _fitted(self, room: int) -> list[str]:
        """Returns the names as there is room for them: whole; else those not chosen by their first letters."""
        for most in (99, 6, 4, 3, 1):
            names = [f" {name if at == self.at else name[:most]} " for at, name in enumerate(self.names)]
            if sum(map(len, names)) <= room:
                return names
        return names

    def render_line(self, y: int) -> Strip:
        """Draws it."""
        width = self.size.width
        names = self._fitted(width)
        pieces: list[Segment] = []
        for at, name in enumerate(names):
            shown = piece(name, "dim")
            pieces.append(Segment(shown.text, _CHOSEN) if at == self.at else shown)
        left = width - sum(map(len, names)) - len(self._hint)
        if left > 2:
            pieces.append(piece(" " * left + self._hint, "dim"))
        return line(pieces, width).apply_style(self.rich_style)

    def on_click(self, event: events.Click) -> None:
        """Chooses what was clicked."""
        left = 0
        for at, name in enumerate(self._fitted(self.size.width)):
            if left <= event.x < left + len(name):
                self.post_message(self.Chosen(self, at))
            left += len(name)
