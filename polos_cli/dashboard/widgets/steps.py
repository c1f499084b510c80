"""An execution as a tree of steps along a timeline, now or at a moment of its past. Reads no store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from textual.binding import Binding
from textual.message import Message
from textual.strip import Strip

from polos.clock import Clock
from polos.core.durations import show_duration
from polos_cli.dashboard.looks import CURSOR, line, marked, piece, sign
from polos_cli.dashboard.widgets.lines import Lines
from polos_cli.output import style
from polos_cli.view.model import ViewExecution, ViewStep
from polos_cli.view.render import note_of
from polos_cli.view.timeline import Scale, axis_of, bar_of, scale_of

_SPENT = 9
_NOTES = (12, 26)
"""Columns of the notes behind the bars: at least, at most."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the tree: an execution (`step` None) or a step of one."""

    execution: ViewExecution
    step: ViewStep | None
    depth: int

    @property
    def named(self) -> tuple[int, str | None]:
        return self.execution.number, None if self.step is None else self.step.key


def _lines(execution: ViewExecution, depth: int = 0) -> Iterator[_Line]:
    yield _Line(execution, None, depth)
    children: dict[str, list[ViewExecution]] = {}
    for child in execution.children:
        children.setdefault(child.parent_key, []).append(child)
    for step in execution.steps.values():
        yield _Line(execution, step, depth + 1)
        for child in children.pop(step.key, []):
            yield from _lines(child, depth + 2)
    for left in children.values():
        for child in left:
            yield from _lines(child, depth + 2)


class StepTree(Lines):
    """The steps with their bars, a cursor, and where in time it stands."""

    BINDINGS: ClassVar = [
        Binding("left,h", "scrub(-1)", "earlier", show=False), Binding("right,l", "scrub(1)", "later", show=False),
        Binding("shift+left,H", "scrub(-10)", "ten happenings earlier", show=False),
        Binding("shift+right,L", "scrub(10)", "ten happenings later", show=False),
    ]  # fmt: skip

    class Moved(Message):
        """The cursor stands on a step, or on an execution (`key` None)."""

        def __init__(self, execution: int, key: str | None) -> None:
            super().__init__()
            self.execution, self.key = execution, key

    class Opened(Moved):
        """A line was opened."""

    class Scrubbed(Message):
        """The moment that is shown is to be another: so many happenings on, or back."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self, clock: Clock, **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock
        self._lines: list[_Line] = []
        self._root: ViewExecution | None = None
        self._statuses: Mapping[int, str] = {}
        self._moment: int | None = None
        self._whole: ViewExecution | None = None
        self._scaled: tuple[int, Scale] | None = None

    @property
    def selected(self) -> tuple[int, str | None] | None:
        """The execution and the step under the cursor."""
        return self._lines[self.cursor].named if self.cursor < len(self._lines) else None

    @property
    def is_open(self) -> bool:
        """Something in it goes on."""
        return self._root is not None and self._root.ended_at is None and self._moment is None

    def show(
        self, root: ViewExecution | None, statuses: Mapping[int, str], moment: int | None = None,
        whole: ViewExecution | None = None,
    ) -> None:  # fmt: skip
        """Shows a tree; the cursor stays on its step.

        Args:
            statuses: what its executions are now, by number.
            moment: the instant that is shown, if it is not now.
            whole: the tree of now, whose timeline the moment is a part of.
        """
        held = self.selected
        is_other = root is None or self._root is None or root.number != self._root.number
        self._statuses, self._moment, self._whole, self._scaled = statuses, moment, whole, None
        self._root, self._lines = root, [] if root is None else list(_lines(root))
        self.changed()
        keys = [one.named for one in self._lines]
        self.cursor = keys.index(held) if held in keys and not is_other else 0 if is_other else self.cursor
        if self.count():
            self.moved()

    def count(self) -> int:
        """See `Lines`."""
        return len(self._lines)

    def _now(self) -> int:
        return self._clock.now() if self._moment is None else self._moment

    def _scale(self, root: ViewExecution) -> Scale:
        """Returns the scale; it is made anew ten times a second while something goes on."""
        of = self._whole or root
        now = self._clock.now()
        stamp = of.ended_at or now // 100_000
        if self._scaled is None or self._scaled[0] != stamp:
            self._scaled = (stamp, scale_of(of, now))
        return self._scaled[1]

    def _columns(self, width: int) -> tuple[int, int]:
        """Returns how wide keys and bars are."""
        widest = max((len(one.step.key) + 2 * one.depth for one in self._lines if one.step is not None), default=8)
        keys = max(8, min(widest, 40, width // 3))
        note = max(_NOTES[0], min(_NOTES[1], width // 4))
        return keys, max(8, width - keys - 2 - _SPENT - 1 - note)

    def heading(self, width: int) -> Strip:
        """Draws the axis."""
        if self._root is None:
            return Strip.blank(width)
        keys, bars = self._columns(width)
        return line(
            [piece("step", "dim", keys + 2 + _SPENT + 1), piece(axis_of(self._scale(self._root), bars), "dim")], width
        )

    def draw(self, index: int, width: int, is_marked: bool) -> Strip:
        """See `Lines`."""
        assert self._root is not None
        found, now = self._lines[index], self._now()
        indent = "  " * found.depth
        keys, bars = self._columns(width)
        if found.step is None:
            one = found.execution
            state = one.seems if self._moment is not None else self._statuses.get(one.number, one.state)
            took = show_duration(max(0, (one.ended_at or now) - one.started_at))
            pieces = [piece(indent), sign(state), piece(f" {one.workflow_id} {one.number}  ", "bold"),
                      piece(f"{style.word(state)} {took}", style.look(state).style)]  # fmt: skip
            return line(pieces, width, is_marked)
        step = found.step
        spent = show_duration(max(0, (step.ended_at or now) - step.started_at))
        named = [piece(indent), sign(step.state), piece(" "), piece(step.key, "plain", max(4, keys - len(indent)))]
        bar = self._bar(step, now, self._scale(self._root), bars)
        pieces = [*marked(named, is_marked), piece(spent, "dim", _SPENT, right=True), piece(" "), *bar]
        note = note_of(step, now)
        return line([*pieces, piece(f" {note}", "dim", max(0, width - keys - 2 - _SPENT - 1 - bars))], width)

    def _bar(self, step: ViewStep, now: int, scale: Scale, columns: int) -> list[Segment]:
        runs = bar_of(step, now, scale, columns)
        pieces = [piece(run.text, run.look) for run in runs]
        if self._moment is None:
            return pieces
        at = scale.column(self._moment, columns)
        before, here, after = Strip(pieces).divide([at, at + 1, columns])
        text = here.text.replace(" ", "│")
        return [*before, Segment(text, CURSOR if text != "│" else None), *after]

    def moved(self) -> None:
        """See `Lines`."""
        if self.selected is not None:
            self.post_message(self.Moved(*self.selected))

    def opened(self) -> None:
        """See `Lines`."""
        if self.selected is not None:
            self.post_message(self.Opened(*self.selected))

    def action_scrub(self, by: int) -> None:
        """Shows an earlier or a later moment."""
        self.post_message(self.Scrubbed(by))
