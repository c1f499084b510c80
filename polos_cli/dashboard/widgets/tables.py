"""Rows in columns, with a cursor and a line of heads. The rows are texts already; what is opened is what a row stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual.message import Message
from textual.strip import Strip

from polos_cli.dashboard.looks import line, piece
from polos_cli.dashboard.widgets.lines import Lines
from polos_cli.output.sanitize import sanitize, width


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its cells, the look of each, what it stands for, and what tells it from others."""

    key: object
    cells: tuple[str, ...]
    looks: tuple[str, ...] = ()


class Rows(Lines):
    """A table. Columns are as wide as what is in them; where there is no room the widest are cut first."""

    class Moved(Message):
        """The cursor stands on another row (`key`), or on none."""

        def __init__(self, rows: Rows, key: object) -> None:
            super().__init__()
            self.rows, self.key = rows, key

    class Opened(Moved):
        """A row was opened."""

    def __init__(
        self, heads: Sequence[str], right: Sequence[int] = (), spare: Sequence[int] = (), empty: str = "", **options: Any
    ) -> None:  # fmt: skip
        """Args: `right`: the columns that are aligned to the right; `spare`: those left out first where there is no room."""
        super().__init__(**options)
        self._heads, self._right, self._spare, self.empty = tuple(heads), frozenset(right), tuple(spare), empty
        self._rows: Sequence[Row] = ()
        self._widths: list[int] = []

    @property
    def key(self) -> object:
        """What the row under the cursor stands for."""
        return self._rows[self.cursor].key if self.cursor < len(self._rows) else None

    def show(self, rows: Sequence[Row]) -> None:
        """Shows these; the cursor stays on its row."""
        held = self.key
        self._rows = rows
        self._widths = [
            max([width(sanitize(head)), *(width(sanitize(row.cells[at])) for row in rows)])
            for at, head in enumerate(self._heads)
        ]
        self.changed()
        keys = [row.key for row in rows]
        at = keys.index(held) if held in keys else min(self.cursor, max(0, len(keys) - 1))
        if at != self.cursor:
            self.cursor = at
        else:
            self.moved()

    def count(self) -> int:
        """See `Lines`."""
        return len(self._rows)

    def _fitted(self, room: int) -> list[int]:
        widths = list(self._widths or [len(head) for head in self._heads])
        for at in self._spare:
            if sum(one + 2 for one in widths if one) <= room:
                break
            widths[at] = 0
        while sum(one + 2 for one in widths if one) > room and max(widths) > 6:
            widths[widths.index(max(widths))] -= 1
        return widths

    def heading(self, width: int) -> Strip:
        """See `Lines`."""
        sizes = self._fitted(width)
        return line([piece(self._cell(at, head, sizes), "dim") for at, head in enumerate(self._heads)], width)

    def _cell(self, at: int, text: str, sizes: Sequence[int]) -> str:
        return piece(text, width=sizes[at], right=at in self._right).text + "  " if sizes[at] else ""

    def draw(self, index: int, width: int, is_marked: bool) -> Strip:
        """See `Lines`."""
        row, sizes = self._rows[index], self._fitted(width)
        looks = row.looks or ("plain",) * len(row.cells)
        cells = [piece(self._cell(at, text, sizes), looks[at]) for at, text in enumerate(row.cells)]
        return line(cells, width, is_marked)

    def moved(self) -> None:
        """See `Lines`."""
        self.post_message(self.Moved(self, self.key))

    def opened(self) -> None:
        """See `Lines`."""
        if self._rows:
            self.post_message(self.Opened(self, self.key))
