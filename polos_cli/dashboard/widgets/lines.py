"""Lines with a cursor, of which only those that are seen are drawn. What the lines are, each list says."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from polos_cli.dashboard.looks import line, piece


class Lines(ScrollView, can_focus=True):
    """A list of any length. Lists say `count`, `draw`, and what a moved cursor and an opened line mean."""

    DEFAULT_CSS = "Lines { scrollbar-size: 1 1; }"
    BINDINGS: ClassVar = [
        Binding("j,down", "move(1)", "down", show=False), Binding("k,up", "move(-1)", "up", show=False),
        Binding("g,home", "first", "first", show=False), Binding("G,end", "last", "last", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "page up", show=False), Binding("enter", "open", "open", show=False),
    ]  # fmt: skip
    cursor: reactive[int] = reactive(0)
    head: Heading | None = None
    empty: str = ""

    def count(self) -> int:
        """Returns how many lines there are."""
        raise NotImplementedError

    def draw(self, index: int, width: int, is_marked: bool) -> Strip:
        """Returns one line of just that width; `is_marked`: the cursor stands on it, and keys come here."""
        raise NotImplementedError

    def heading(self, width: int) -> Strip:
        """Returns the line above all others, where there is a `Heading`."""
        return Strip.blank(width)

    def moved(self) -> None:
        """Called when the cursor stands on another line, or the line under it is another one."""

    def opened(self) -> None:
        """Called when the line under the cursor is opened."""

    def changed(self) -> None:
        """Takes up that there are other lines now."""
        count = self.count()
        self.virtual_size = Size(0, count)
        if self.cursor >= count:
            self.cursor = max(0, count - 1)
        self.redraw()

    def redraw(self) -> None:
        """Draws the lines that are seen, and the heading, anew."""
        self.refresh()
        if self.head is not None:
            self.head.refresh()

    def render_line(self, y: int) -> Strip:
        """Draws one line of what is seen."""
        index, width = y + round(self.scroll_y), self.size.width
        if index == self.count() == 0 and self.empty:
            return line([piece(self.empty, "dim")], width).apply_style(self.rich_style)
        if index >= self.count():
            return Strip.blank(width, self.rich_style)
        return self.draw(index, width, index == self.cursor and self.has_focus).apply_style(self.rich_style)

    def watch_cursor(self) -> None:
        """Keeps the cursor in sight."""
        if self.count():
            self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True)
        self.refresh()
        self.moved()

    def on_click(self, event: events.Click) -> None:
        """Puts the cursor where the mouse is; on it already, or twice: opens it."""
        index = event.y + round(self.scroll_y)
        if index < self.count():
            is_again = index == self.cursor and event.chain > 1
            self.cursor = index
            if is_again:
                self.opened()

    def action_move(self, by: int) -> None:
        """Moves the cursor."""
        self.cursor = max(0, min(self.count() - 1, self.cursor + by))

    def action_page(self, by: int) -> None:
        """Moves the cursor by what is seen."""
        self.action_move(by * max(1, self.size.height - 1))

    def action_first(self) -> None:
        """Goes to the first line."""
        self.cursor = 0

    def action_last(self) -> None:
        """Goes to the last line that is there."""
        self.cursor = max(0, self.count() - 1)

    def action_open(self) -> None:
        """Opens the line under the cursor."""
        if self.cursor < self.count():
            self.opened()


class Heading(Widget):
    """The line above a list, drawn by it; it stays when the list is scrolled."""

    DEFAULT_CSS = "Heading { height: 1; }"

    def __init__(self, owner: Lines, **options: Any) -> None:
        super().__init__(**options)
        self._owner = owner
        owner.head = self

    def render_line(self, y: int) -> Strip:
        """Draws it."""
        return self._owner.heading(self.size.width).apply_style(self.rich_style)
