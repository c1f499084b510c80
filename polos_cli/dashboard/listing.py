"""The list of executions: draws only the lines that are seen, of rows that come page by page. Reads no store."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from polos.clock import Clock
from polos.core.durations import show_duration
from polos.core.ids import short_end
from polos_cli.dashboard.feed import PAGE, Row
from polos_cli.dashboard.looks import line, piece, sign
from polos_cli.output import style

AHEAD = 100
"""Rows before the end of what is there at which more is asked for."""


class ExecutionList(ScrollView, can_focus=True):
    """The rows, newest first, with a cursor."""

    BINDINGS: ClassVar = [
        Binding("j,down", "move(1)", "down", show=False), Binding("k,up", "move(-1)", "up", show=False),
        Binding("g,home", "top", "first", show=False), Binding("G,end", "bottom", "last", show=False),
        Binding("pagedown,ctrl+d", "move(20)", "page down", show=False),
        Binding("pageup,ctrl+u", "move(-20)", "page up", show=False), Binding("enter", "open", "open"),
    ]  # fmt: skip
    cursor: reactive[int] = reactive(0)

    class Selected(Message):
        """The cursor stands on another execution, or on none."""

        def __init__(self, row: Row | None, opens: bool = False) -> None:
            super().__init__()
            self.row, self.opens = row, opens

    class Wanted(Message):
        """More rows are wanted, below a number."""

        def __init__(self, before: int) -> None:
            super().__init__()
            self.before = before

    def __init__(self, clock: Clock, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]  # a widget's own
        self._clock = clock
        self.rows: list[Row] = []
        self._is_whole = False
        self._asked: int | None = None

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def replace(self, rows: list[Row], is_whole: bool) -> None:
        """Shows these rows; the cursor stays on its execution."""
        held = self.row
        self.rows, self._is_whole, self._asked = rows, is_whole, None
        self._resize()
        at = next((i for i, row in enumerate(rows) if held is not None and row.number == held.number), None)
        self.cursor = at if at is not None else min(self.cursor, max(0, len(rows) - 1))
        self.refresh()
        self.post_message(self.Selected(self.row))

    def merge(self, newest: list[Row]) -> None:
        """Brings the newest rows, and what has changed of those that are there, into the list."""
        known = {row.number: row for row in newest}
        top = self.rows[0].number if self.rows else 0
        if len(newest) >= PAGE and newest[-1].number > top:  # so many came at once that there is a gap
            self.replace(newest, is_whole=False)
            return
        new = [row for row in newest if row.number > top]
        held = self.row
        self.rows = [*new, *(known.get(row.number, row) for row in self.rows)]
        if new:
            self._resize()
            if held is not None and self.cursor:  # what the person looks at does not move
                with self.prevent(self.Selected):
                    self.cursor += len(new)
                self.scroll_to(y=self.scroll_y + len(new), animate=False)
        self.refresh()
        self.post_message(self.Selected(self.row))

    def change(self, rows: list[Row]) -> None:
        """Brings rows that are there up to date."""
        known = {row.number: row for row in rows}
        self.rows = [known.get(row.number, row) for row in self.rows]
        self.refresh()

    def extend(self, rows: list[Row], is_whole: bool) -> None:
        """Adds rows below."""
        bottom = self.rows[-1].number if self.rows else None
        self.rows += [row for row in rows if bottom is None or row.number < bottom]
        self._is_whole, self._asked = is_whole, None
        self._resize()

    def _resize(self) -> None:
        self.virtual_size = Size(0, len(self.rows))

    def render_line(self, y: int) -> Strip:
        """Draws one line of what is seen."""
        index, width = y + round(self.scroll_y), self.size.width
        if index >= len(self.rows):
            return Strip.blank(width)
        row, now = self.rows[index], self._clock.now()
        age = show_duration(max(0, now - row.created_at))
        took = "" if row.ended_at is None else show_duration(max(0, row.ended_at - row.created_at))
        name = f"└ {row.workflow_id}" if row.is_child else row.workflow_id
        pieces = [piece(" "), sign(row.status), piece(f" {row.number:>6} ", "dim")]
        if width >= 60:
            pieces.append(piece(short_end(row.id) + " ", "dim"))
        room = width - sum(one.cell_length for one in pieces) - 10 - 9 - 11
        pieces += [
            piece(name, "bold" if not row.is_child else "plain", max(8, room)),
            piece(" " + style.word(row.status), style.look(row.status).style, 11),
            piece(age, "dim", 8, right=True), piece(" "), piece(took, "plain", 9, right=True),
        ]  # fmt: skip
        return line(pieces, width, index == self.cursor and self.has_focus)

    def watch_cursor(self, before: int, now: int) -> None:
        """Keeps the cursor in sight, and asks for more where the end is near."""
        if self.rows:
            self.scroll_to_region(Region(0, now, 1, 1), animate=False, force=True)
            self.refresh()
            self.post_message(self.Selected(self.row))
            self._ask_for_more()

    def watch_scroll_y(self, before: float, now: float) -> None:
        """See `ScrollView`; asks for more where the end is near."""
        super().watch_scroll_y(before, now)
        self._ask_for_more()

    def _ask_for_more(self) -> None:
        seen = max(self.cursor, round(self.scroll_y) + self.size.height)
        if self.rows and not self._is_whole and seen + AHEAD >= len(self.rows):
            bottom = self.rows[-1].number
            if self._asked != bottom:
                self._asked = bottom
                self.post_message(self.Wanted(bottom))

    def action_move(self, by: int) -> None:
        """Moves the cursor."""
        self.cursor = max(0, min(len(self.rows) - 1, self.cursor + by))

    def action_top(self) -> None:
        """Goes to the newest one."""
        self.cursor = 0

    def action_bottom(self) -> None:
        """Goes to the last one that is there."""
        self.cursor = max(0, len(self.rows) - 1)

    def action_open(self) -> None:
        """Opens the execution under the cursor."""
        if self.row is not None:
            self.post_message(self.Selected(self.row, opens=True))
