"""How things look on the dashboard: text with styles of the terminal's own colours. Markup is never read."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from polos_cli.output import style
from polos_cli.output.sanitize import clip, pad, sanitize

_STYLES = {
    "red": Style(color="red"), "green": Style(color="green"), "yellow": Style(color="yellow"), "blue": Style(color="blue"),
    "magenta": Style(color="magenta"), "cyan": Style(color="cyan"), "dim": Style(dim=True), "bold": Style(bold=True),
    "plain": Style(),
}  # fmt: skip
CURSOR = Style(reverse=True)
THEMES = {"dark": "textual-dark", "light": "textual-light"}
"""The themes with colours of their own; any other name stands for the terminal's colours."""


def theme_of(name: str) -> str:
    """Returns the theme of that name: ``dark``, ``light``, or ``terminal``: as light or dark as the terminal says it is."""
    if name in THEMES:
        return THEMES[name]
    _, _, ground = os.environ.get("COLORFGBG", "").rpartition(";")
    return "ansi-light" if ground in ("7", "15") else "ansi-dark"


def piece(text: str, look: str = "plain", width: int | None = None, right: bool = False) -> Segment:
    """Returns a piece of a line, made safe, cut or filled to a width."""
    shown = sanitize(text)
    if width is not None:
        shown = pad(clip(shown, width), width, right=right)
    return Segment(shown, _STYLES[look])


def sign(state: str) -> Segment:
    """Returns the one-column sign of a state."""
    found = style.look(state)
    return Segment(found.sign, _STYLES[found.style])


def marked(pieces: Sequence[Segment], is_under_cursor: bool) -> list[Segment]:
    """Returns pieces as they look under the cursor, or as they are."""
    return [Segment(one.text, CURSOR) for one in pieces] if is_under_cursor else list(pieces)


def line(pieces: Sequence[Segment], width: int, is_under_cursor: bool = False) -> Strip:
    """Returns a line of just that width."""
    return Strip(marked(pieces, is_under_cursor)).adjust_cell_length(width, CURSOR if is_under_cursor else None)


def wrapped(text: str, width: int, most: int = 400) -> list[str]:
    """Returns text, made safe, as lines that fit a width; beyond `most` lines it says how much is left out."""
    lines: list[str] = []
    safe = sanitize(text, multiline=True)
    room = max(4, width)
    for row in safe.split("\n"):
        while True:
            if len(lines) >= most:
                return [*lines, f"… and more ({len(safe):,} characters in all)"]
            cut = clip(row[: 4 * room + 64], room, mark="")  # what is cut off is not looked at again and again
            if len(cut) >= len(row) or not cut:
                lines.append(cut)
                break
            space = cut.rfind(" ", len(cut) // 2)  # between words, where one ends late enough
            if space > 0 and row[len(cut)] != " ":
                cut = clip(row[: space + 1], room, mark="")
            lines.append(cut)
            row = row[len(cut) :]
    return lines
