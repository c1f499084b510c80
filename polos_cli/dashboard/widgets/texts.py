"""Lines of text, wrapped to the width: logs, events, attempts, the output of a command. Made safe as they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip

from polos_cli.dashboard.looks import line, piece, wrapped
from polos_cli.dashboard.widgets.lines import Lines


@dataclass(frozen=True, slots=True)
class Text:
    """A line: its head (a time, a step) and what is said, which goes on below itself where it is long.

    `opens`: what an opened line stands for.
    """

    body: str
    head: str = ""
    look: str = "plain"
    opens: object = None


class Texts(Lines):
    """Lines of text. With `follows`, a cursor on the last line stays on the last line. `of`: the owner's own mark."""

    class Opened(Message):
        """A line was opened."""

        def __init__(self, texts: Texts, what: object) -> None:
            super().__init__()
            self.texts, self.what = texts, what

    def __init__(self, follows: bool = False, empty: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._follows, self._empty = follows, empty
        self.of: object = None
        self._texts: Sequence[Text] = ()
        self._rows: list[tuple[int, str, bool]] = []
        self._width = 0

    def show(self, texts: Sequence[Text], is_other: bool = False) -> None:
        """Shows these. `is_other`: they have nothing to do with those before; the cursor begins anew."""
        if not is_other and texts == self._texts:
            return
        at_end = self.cursor >= len(self._rows) - 1
        self._texts = texts or ((Text(self._empty, look="dim"),) if self._empty else ())
        self._lay()
        if is_other:
            self.cursor = self.count() - 1 if self._follows else 0
            self.scroll_to(y=0, animate=False)
        elif self._follows and at_end:
            self.cursor = max(0, self.count() - 1)
        if self._follows:
            self.watch_cursor()

    def _lay(self) -> None:
        self._width = self.size.width
        room = max(8, self._width or 80)
        self._rows = []
        for index, one in enumerate(self._texts):
            head = len(one.head) + 1 if one.head else 0
            for at, row in enumerate(wrapped(one.body, room - head)):
                self._rows.append((index, row, at == 0))
        self.changed()

    def on_resize(self) -> None:
        """Wraps the lines anew."""
        if self.size.width != self._width:
            self._lay()

    def count(self) -> int:
        """See `Lines`."""
        return len(self._rows)

    def draw(self, index: int, width: int, is_marked: bool) -> Strip:
        """See `Lines`."""
        at, row, is_first = self._rows[index]
        one = self._texts[at]
        pieces: list[Segment] = []
        if one.head:
            pieces.append(piece(f"{one.head} " if is_first else " " * (len(one.head) + 1), "dim"))
        return line([*pieces, piece(row, one.look)], width, is_marked)

    def opened(self) -> None:
        """See `Lines`."""
        one = self._texts[self._rows[self.cursor][0]]
        if one.opens is not None:
            self.post_message(self.Opened(self, one.opens))
