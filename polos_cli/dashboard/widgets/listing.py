"""The list of executions: draws only the lines that are seen, of rows that come page by page. Reads no store."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection

from textual import events
from textual.message import Message
from textual.strip import Strip

from polos.clock import Clock
from polos.core.durations import show_duration
from polos.core.ids import short_end
from polos_cli.dashboard.looks import line, piece, sign
from polos_cli.dashboard.reading import PAGE, ExecutionRow
from polos_cli.dashboard.widgets.lines import Lines
from polos_cli.output import style

KEPT = 1_000
"""Rows that are kept while the newest ones are followed."""
AHEAD = 100
"""Rows before the end of what is there at which more is asked for."""


class ExecutionList(Lines):
    """The rows, newest first, with a cursor.

    Until somebody moves it the cursor stands on the newest row, whichever that is (`follows`); from then on, on its execution.
    ``g`` goes back to the newest.
    """

    class Moved(Message):
        """The cursor stands on another execution, or on none; `by_hand`: it was moved, else the rows were."""

        def __init__(self, row: ExecutionRow | None, by_hand: bool = True) -> None:
            super().__init__()
            self.row, self.by_hand = row, by_hand

    class Opened(Moved):
        """An execution was opened."""

    class Wanted(Message):
        """More rows are wanted, below a number."""

        def __init__(self, before: int) -> None:
            super().__init__()
            self.before = before

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.rows: list[ExecutionRow] = []
        self.follows = True
        self._is_whole = False
        self._asked: int | None = None

    @property
    def row(self) -> ExecutionRow | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def count(self) -> int:
        """See `Lines`."""
        return len(self.rows)

    def replace(self, rows: list[ExecutionRow], is_whole: bool) -> None:
        """Shows these rows; the cursor stays on its execution."""
        held = self.row
        self.rows, self._is_whole, self._asked = rows, is_whole, None
        self.changed()
        kept = None if self.follows else held
        at = next((i for i, row in enumerate(rows) if kept is not None and row.number == kept.number), None)
        with self.prevent(self.Moved):
            self.cursor = at if at is not None else 0 if self.follows else min(self.cursor, max(0, len(rows) - 1))
        self._shifted()

    def merge(self, newest: list[ExecutionRow]) -> None:
        """Brings the newest rows, and what has changed of those that are there, into the list."""
        top = self.rows[0].number if self.rows else 0
        if len(newest) >= PAGE and newest[-1].number > top:  # so many came at once that there is a gap
            self.replace(newest, is_whole=False)
            return
        held, before = self.row, len(self.rows)
        bottom = newest[-1].number if len(newest) >= PAGE else 0
        self.rows[: self._at(bottom - 1)] = newest  # below it nothing has changed
        self.changed()
        grown = len(self.rows) - before
        if self.follows and len(self.rows) > KEPT:  # they can be had again
            del self.rows[KEPT:]
            self._is_whole, self._asked = False, None
        if grown and held is not None and not self.follows:  # what the person looks at does not move
            at = self._at(held.number)
            with self.prevent(self.Moved):
                self.cursor = min(at, max(0, len(self.rows) - 1))
            self.scroll_to(y=self.scroll_y + grown, animate=False)
        self._shifted()

    def change(self, rows: list[ExecutionRow], gone: Collection[int] = ()) -> None:
        """Brings rows that are there up to date; those `gone` are shown no more."""
        for row in rows:
            at = self._at(row.number)
            if at < len(self.rows) and self.rows[at].number == row.number:
                self.rows[at] = row
        for number in gone:
            at = self._at(number)
            if at < len(self.rows) and self.rows[at].number == number:
                del self.rows[at]
        self.changed()
        self._shifted()

    def _at(self, number: int) -> int:
        """Returns where an execution's row is, or would be: the first row whose number is not above it."""
        return bisect_left(self.rows, -number, key=lambda row: -row.number)

    def extend(self, rows: list[ExecutionRow], is_whole: bool) -> None:
        """Adds rows below."""
        bottom = self.rows[-1].number if self.rows else None
        self.rows += [row for row in rows if bottom is None or row.number < bottom]
        self._is_whole, self._asked = is_whole, None
        self.changed()

    def action_move(self, by: int) -> None:
        """See `Lines`."""
        self.follows = False
        super().action_move(by)

    def action_last(self) -> None:
        """See `Lines`."""
        self.follows = False
        super().action_last()

    def action_first(self) -> None:
        """Goes to the newest, and stays with the newest."""
        self.follows = True
        super().action_first()

    def action_open(self) -> None:
        """See `Lines`."""
        self.follows = False
        super().action_open()

    def on_click(self, event: events.Click) -> None:
        """See `Lines`, whose own is called too."""
        self.follows = False

    def go_to(self, number: int) -> bool:
        """Puts the cursor on an execution, and keeps it there, if it is there; tells whether it is."""
        self.follows = False
        at = self._at(number)
        if at < len(self.rows) and self.rows[at].number == number:
            self.cursor = at
            return True
        return False

    def heading(self, width: int) -> Strip:
        """See `Lines`."""
        room = self._name_room(width)
        ident = f"{'number':>7} {'id':<6} " if width >= 60 else f"{'number':>7} "
        above = round(self.scroll_y)
        texts = (f"   {above:,} newer above (g)", f"   ↑{above:,}") if above else ()
        newer = piece(next((text for text in texts if len(text) <= room - 8), ""), "cyan")
        pieces = [piece(f"  {ident}", "dim"), piece("workflow", "dim"), newer]
        pieces.append(piece(" " * (room - 8 - newer.cell_length)))
        return line([*pieces, piece(" status", "dim", 11), piece("age", "dim", 8, right=True),
                     piece("took", "dim", 10, right=True)], width)  # fmt: skip

    def _name_room(self, width: int) -> int:
        return max(8, width - (17 if width >= 60 else 10) - 10 - 9 - 11)

    def draw(self, index: int, width: int, is_marked: bool) -> Strip:
        """See `Lines`."""
        row, now = self.rows[index], self._clock.now()
        age = show_duration(max(0, now - row.created_at))
        took = "" if row.ended_at is None else show_duration(max(0, row.ended_at - row.created_at))
        name = f"↳ {row.workflow_id}" if row.is_child else row.workflow_id
        pieces = [piece(" "), sign(row.status), piece(f" {row.number:>6} ", "dim")]
        if width >= 60:
            pieces.append(piece(short_end(row.id) + " ", "dim"))
        pieces += [
            piece(name, "bold" if not row.is_child else "plain", self._name_room(width)),
            piece(" " + style.word(row.status), style.look(row.status).style, 11),
            piece(age, "dim", 8, right=True), piece(took, "plain", 10, right=True),
        ]  # fmt: skip
        return line(pieces, width, is_marked)

    def _shifted(self) -> None:
        self.post_message(self.Moved(self.row, by_hand=False))
        self._ask_for_more()

    def moved(self) -> None:
        """Says so, and asks for more where the end is near."""
        self.post_message(self.Moved(self.row))
        self._ask_for_more()

    def opened(self) -> None:
        """See `Lines`."""
        if self.row is not None:
            self.post_message(self.Opened(self.row))

    def watch_scroll_y(self, before: float, now: float) -> None:
        """See `ScrollView`; asks for more where the end is near."""
        super().watch_scroll_y(before, now)
        if self.head is not None:
            self.head.refresh()
        self._ask_for_more()

    def _ask_for_more(self) -> None:
        seen = max(self.cursor, round(self.scroll_y) + self.size.height)
        if self.rows and not self._is_whole and seen + AHEAD >= len(self.rows):
            bottom = self.rows[-1].number
            if self._asked != bottom:
                self._asked = bottom
                self.post_message(self.Wanted(bottom))
