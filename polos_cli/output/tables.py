"""Plain tables: aligned and fitted on a terminal, elsewhere tab-separated. Reads no data itself."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from polos_cli.output import stdout, style
from polos_cli.output.sanitize import Clean, clip, pad, sanitize, width
from polos_cli.output.style import Style

_GAP = "  "
_LEAST = 6  # a column is not squeezed below this


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell with a look: `sign` and `style` are for terminals alone, so `text` must say everything."""

    text: str
    sign: str = ""
    style: Style = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column. `fits`: it may be cut short when the table is too wide."""

    head: str
    right: bool = False
    fits: bool = True


Row: TypeAlias = Sequence["str | Cell"]


def status_cell(status: str) -> Cell:
    """Returns the cell of a state."""
    return Cell(text=style.word(status), sign=style.glyph(status, sys.stdout), style=style.look(status).style)


def table(columns: Sequence[str | Column], rows: Iterable[Row]) -> None:
    """Writes a table to stdout; with no rows, nothing.

    On a terminal it has heads and fits the width: the widest columns that may be are cut. Elsewhere it is
    tab-separated, uncut and without heads, signs and colour.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(text=cell) for cell in row] for row in rows]
    if not cells:
        return
    if style.is_terminal(sys.stdout):
        named = [column if isinstance(column, Column) else Column(head=column) for column in columns]
        stdout.data(_aligned(named, cells, style.columns()))
    else:
        stdout.data(Clean("\n".join("\t".join(sanitize(cell.text) for cell in row) for row in cells)))


def _aligned(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int) -> Clean:
    heads = [Cell(text=column.head.upper(), style="dim") for column in columns]
    lines = [heads, *rows]
    natural = [max(width(_shown(line[at])) for line in lines) for at in range(len(columns))]
    widths = _fitted(columns, natural, room - len(_GAP) * (len(columns) - 1))
    return Clean("\n".join(_line(line, columns, widths) for line in lines))


def _fitted(columns: Sequence[Column], natural: Sequence[int], room: int) -> list[int]:
    widths = list(natural)
    while sum(widths) > room:
        cuttable = [at for at, column in enumerate(columns) if column.fits and widths[at] > _LEAST]
        if not cuttable:
            break
        widest = max(cuttable, key=lambda at: widths[at])
        second = max((widths[at] for at in cuttable if at != widest), default=_LEAST)
        over = sum(widths) - room
        # Down to the second widest at once, then by one column a turn between the equals.
        widths[widest] -= min(over, max(1, widths[widest] - max(second, _LEAST)))
    return widths


def _line(cells: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int]) -> str:
    mark = style.ellipsis(sys.stdout)
    shown = []
    for at, cell in enumerate(cells):
        text = clip(_shown(cell), widths[at], mark)
        last = at == len(cells) - 1 and not columns[at].right
        shown.append(style.paint(text if last else pad(text, widths[at], columns[at].right), cell.style, sys.stdout))
    return _GAP.join(shown)


def _shown(cell: Cell) -> Clean:
    return sanitize(f"{cell.sign} {cell.text}" if cell.sign else cell.text)
