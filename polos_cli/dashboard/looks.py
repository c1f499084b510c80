"""How things look on the dashboard: text with styles of the terminal's own colours. Markup is never read."""

from __future__ import annotations

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
    return list(Segment.apply_style(pieces, post_style=CURSOR)) if is_under_cursor else list(pieces)


def line(pieces: Sequence[Segment], width: int, is_under_cursor: bool = False) -> Strip:
    """Returns a line of just that width."""
    strip = Strip(pieces).adjust_cell_length(width)
    return strip.apply_style(CURSOR) if is_under_cursor else strip
