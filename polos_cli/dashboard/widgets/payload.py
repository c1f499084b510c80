"""JSON values as trees that open and close. Draws only what is seen; keeps what was opened when the values change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from textual.binding import Binding
from textual.strip import Strip

from polos_cli.dashboard.looks import line, piece, wrapped
from polos_cli.dashboard.widgets.lines import Lines
from polos_cli.output import stdout

AT_ONCE = 200
"""Entries of an object or an array that are shown before more is asked for."""
_OPEN_BELOW = 40
"""A value with so few entries is open at first."""
_IN_A_LINE = 20
"""Entries of a value that is shown in one line."""
Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A value with its name; `look` is of the name. Text that is no JSON (a traceback) is `prose`."""

    name: str
    value: Any
    look: str = "bold"
    prose: bool = False


@dataclass(frozen=True, slots=True)
class _Node:
    path: Path
    name: str
    value: Any
    look: str
    is_prose: bool = False


class PayloadTree(Lines):
    """Values, each under its name."""

    BINDINGS: ClassVar = [
        Binding("l,right", "unfold", "unfold", show=False), Binding("h,left", "close", "fold", show=False),
        Binding("space", "open", "fold or unfold", show=False),
    ]  # fmt: skip

    def __init__(self, empty: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._sections: Sequence[Section] = ()
        self._of: object = None
        self._empty = empty
        self._unfolded: set[Path] = set()
        self._folded: set[Path] = set()
        self._most: dict[Path, int] = {}
        self._rows: list[tuple[_Node, str | None]] = []
        self._width = 0

    def show(self, sections: Sequence[Section], of: object) -> None:
        """Shows values. `of`: what they are of; while that stays, so does what is open, and the cursor."""
        if of != self._of:
            self._of = of
            self._unfolded, self._folded, self._most = set(), set(), {}
            self.cursor = 0
            self.scroll_to(y=0, animate=False)
        elif sections == self._sections:
            return
        self._sections = sections
        self._lay()

    @property
    def value(self) -> Any:
        """The value under the cursor."""
        return self._rows[self.cursor][0].value if self.cursor < len(self._rows) else None

    def _lay(self) -> None:
        self._width = self.size.width
        self._rows = []
        for at, one in enumerate(self._sections):
            self._rows.extend(self._of_node(_Node((at,), one.name, one.value, one.look, one.prose)))
        if not self._rows and self._empty:
            self._rows = [(_Node((), "", None, "dim"), self._empty)]
        self.changed()

    def on_resize(self) -> None:
        """Lays long texts anew."""
        if self.size.width != self._width:
            self._lay()

    def _is_open(self, node: _Node) -> bool:
        if node.path in self._folded or not _can_open(node.value):
            return False
        small = node.is_prose or (isinstance(node.value, dict | list) and len(node.value) <= _OPEN_BELOW)
        return node.path in self._unfolded or (small and len(node.path) <= 2)

    def _of_node(self, node: _Node) -> Iterator[tuple[_Node, str | None]]:
        """Yields a value's line, and those below it; a line with text goes on with the one above."""
        yield node, None
        if not self._is_open(node):
            return
        if isinstance(node.value, str):
            room = self._width - 2 * len(node.path) - 2 if self._width else 80
            for row in wrapped(node.value, room):
                yield node, row
            return
        most = self._most.get(node.path, AT_ONCE)
        for at, (name, value) in enumerate(_entries(node.value)):
            if at >= most:
                yield node, f"… {len(node.value) - most:,} more (enter)"
                return
            yield from self._of_node(_Node((*node.path, name), str(name), value, "cyan"))

    def count(self) -> int:
        """See `Lines`."""
        return len(self._rows)

    def draw(self, index: int, width: int, is_marked: bool) -> Strip:
        """See `Lines`."""
        node, text = self._rows[index]
        indent = "  " * (len(node.path) - 1)
        if text is not None:
            return line([piece(f"{indent}  {text}", "dim" if text.startswith("…") else "plain")], width, is_marked)
        can_open = _can_open(node.value)
        mark = "  " if not can_open else "▾ " if self._is_open(node) else "▸ "
        pieces = [piece(f"{indent}{mark}", "dim"), piece(f"{node.name}  ", node.look)]
        room = max(4, width - sum(one.cell_length for one in pieces))
        if not (can_open and self._is_open(node)):
            is_text = node.is_prose and isinstance(node.value, str)
            shown = str(_short(node.value)) if is_text else stdout.to_json(_short(node.value))
            pieces.append(piece(shown, "plain" if is_text else _look(node.value), room))
        elif isinstance(node.value, dict | list):
            pieces.append(
                piece(f"{{{len(node.value)}}}" if isinstance(node.value, dict) else f"[{len(node.value)}]", "dim")
            )
        return line(pieces, width, is_marked)

    def opened(self) -> None:
        """Opens or closes what is under the cursor; on the line that says that there is more, shows more."""
        node, text = self._rows[self.cursor]
        if text is not None and text.startswith("…") and not isinstance(node.value, str):
            self._most[node.path] = self._most.get(node.path, AT_ONCE) * 5
        elif self._is_open(node):
            self._unfolded.discard(node.path)
            self._folded.add(node.path)
        elif _can_open(node.value):
            self._folded.discard(node.path)
            self._unfolded.add(node.path)
        self._lay()

    def action_unfold(self) -> None:
        """Opens what is under the cursor."""
        if self._rows and not self._is_open(self._rows[self.cursor][0]):
            self.opened()

    def action_close(self) -> None:
        """Closes what is under the cursor, or what that is a part of."""
        if not self._rows:
            return
        node, _ = self._rows[self.cursor]
        if not (self._is_open(node) and _can_open(node.value)) and len(node.path) > 1:
            above = node.path[:-1]
            self.cursor = next(at for at, (one, _) in enumerate(self._rows) if one.path == above)
            return
        if self._is_open(node):
            self.cursor = next(at for at, (one, _) in enumerate(self._rows) if one.path == node.path)
            self.opened()


def _entries(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _can_open(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) > 60 or "\n" in value
    return isinstance(value, dict | list) and bool(value)


def _short(value: Any) -> Any:
    """Returns so much of a value as a line can show: all of a large one would be written for nothing."""
    if isinstance(value, str):
        return value if len(value) <= 500 else value[:500] + "…"
    if isinstance(value, dict):
        shown = {name: _short(value[name]) for name in list(value)[:_IN_A_LINE]}
        return shown if len(value) <= _IN_A_LINE else {**shown, "…": f"{len(value) - _IN_A_LINE:,} more"}
    if isinstance(value, list):
        more = [f"… {len(value) - _IN_A_LINE:,} more"] if len(value) > _IN_A_LINE else []
        return [*(_short(one) for one in value[:_IN_A_LINE]), *more]
    return value


def _look(value: Any) -> str:
    if isinstance(value, str):
        return "green"
    return "plain" if isinstance(value, dict | list) else "magenta"
