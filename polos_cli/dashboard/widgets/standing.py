"""The line that says how things stand: the project, how many executions there are of each status, whether all is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from textual.strip import Strip
from textual.widget import Widget

from polos.core.status import Status
from polos_cli.dashboard.looks import line, piece
from polos_cli.output import style


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand. `problem`: why nothing can be read just now; `is_idle`: no engine is up, so that nothing goes on."""

    project: str
    counts: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""
    is_bundle: bool = False
    is_idle: bool = False


class StandingLine(Widget):
    """The line."""

    DEFAULT_CSS = "StandingLine { height: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._standing = Standing("")
        self._narrowed = ""

    @property
    def text(self) -> str:
        """What is shown, as text."""
        return self._drawn().text

    def show(self, standing: Standing, narrowed: str) -> None:
        """Shows how things stand; `narrowed`: what the page is narrowed to."""
        if (standing, narrowed) != (self._standing, self._narrowed):
            self._standing, self._narrowed = standing, narrowed
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draws it."""
        return self._drawn().apply_style(self.rich_style)

    def _drawn(self) -> Strip:
        """Returns the line: what is wrong first, then what the page is narrowed to, then the counts."""
        one, width = self._standing, self.size.width
        pieces = [piece(f"{one.project}  ", "bold")]
        if one.problem:
            room = width - sum(one.cell_length for one in pieces)
            return line([*pieces, piece(f"⚠ {_shortened(one.problem, room - 18)}; trying again", "red")], width)
        if one.is_bundle:
            pieces.append(piece("a bundle, which is only read  ", "yellow"))
        elif one.is_idle:
            pieces.append(piece("no engine is up  ", "yellow"))
        if self._narrowed:
            pieces.append(piece(f"only {self._narrowed}  ", "yellow"))
        found = [status for status in Status if one.counts.get(status.value, 0)]
        is_long = width < 40 + 16 * len(found)
        for status in found:
            look = style.look(status.value)
            name = "" if is_long else f" {status.value}"
            pieces.append(piece(f"{look.sign} {one.counts[status.value]:,}{name}  ", look.style))
        if not found:
            pieces.append(piece("no executions yet", "dim"))
        return line(pieces, width)


def _shortened(text: str, room: int) -> str:
    """Returns as much of a text as there is room for, in whole clauses, the first one at least."""
    while len(text) > room and ": " in text:
        text = text.rpartition(": ")[0]
    return text
