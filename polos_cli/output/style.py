"""How things look: whether a stream has colour, and the sign and word of each state. Writes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TextIO, TypeAlias

from polos_cli.output.sanitize import Clean, sanitize

Style: TypeAlias = Literal["red", "green", "yellow", "blue", "magenta", "cyan", "dim", "bold", "plain"]

_SGR: Mapping[str, str] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


@dataclass(frozen=True, slots=True)
class Look:
    """The look of one state: its sign, the sign where the encoding has no better, and its colour."""

    sign: str
    ascii: str
    style: Style


LOOKS: Mapping[str, Look] = {
    "completed": Look("✓", "+", "green"),
    "failed": Look("✗", "x", "red"),
    "timed_out": Look("✗", "x", "red"),
    "running": Look("●", "*", "blue"),
    "waiting": Look("◌", "~", "cyan"),
    "queued": Look("○", ".", "plain"),
    "blocked": Look("⚠", "!", "yellow"),
    "retrying": Look("⚠", "!", "yellow"),
    "cancelled": Look("⊘", "-", "dim"),
}
_UNKNOWN = Look("?", "?", "plain")


def is_terminal(stream: TextIO) -> bool:
    """Tells whether a person sits at the other end."""
    try:
        return stream.isatty()
    except ValueError:
        return False  # closed


def has_colour(stream: TextIO) -> bool:
    """Tells whether colour may be used: a terminal, not a dumb one, and NO_COLOR is not set."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def can_move(stream: TextIO) -> bool:
    """Tells whether the cursor may be moved: a terminal that is not a dumb one."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def can_show(signs: str, stream: TextIO) -> bool:
    """Tells whether the stream's encoding has all of `signs`."""
    try:
        signs.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def columns() -> int:
    """Returns the width of the terminal, 80 where it is not known; COLUMNS overrides."""
    return shutil.get_terminal_size().columns


def rows() -> int:
    """Returns the height of the terminal, 24 where it is not known; LINES overrides."""
    return shutil.get_terminal_size().lines


def paint(text: str, style: Style, stream: TextIO) -> Clean:
    """Returns the text sanitized, and in colour where the stream has any."""
    shown = sanitize(text)
    if style == "plain" or not shown or not has_colour(stream):
        return shown
    return Clean(f"\x1b[{_SGR[style]}m{shown}\x1b[0m")


def look(status: str) -> Look:
    """Returns the look of an execution's status or a step's outcome."""
    return LOOKS.get(status, _UNKNOWN)


def glyph(status: str, stream: TextIO) -> str:
    """Returns the one-column sign of a state, as the stream's encoding allows; not coloured."""
    found = look(status)
    return found.sign if can_show(found.sign, stream) else found.ascii


def status_text(status: str, stream: TextIO) -> Clean:
    """Returns the sign and the word of a state, coloured where possible; the word alone says it all."""
    return paint(f"{glyph(status, stream)} {word(status)}", look(status).style, stream)


def word(status: str) -> str:
    """Returns a state as people say it."""
    return status.replace("_", " ")


def ellipsis(stream: TextIO) -> str:
    """Returns the sign of something cut off."""
    return "…" if can_show("…", stream) else "..."
