"""The scale of a timeline: where an instant stands among so many columns, long idle times folded. Draws bars as text.

A stretch in which every branch only waits is idle. The longest that such a stretch gets is half of the time at work
(shared by all of them), so that hours of waiting leave room for the milliseconds around them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from polos.core.durations import show_duration
from polos_cli.output import style
from polos_cli.output.style import Style
from polos_cli.view.model import ViewExecution, ViewStep

WAITS = frozenset({"sleep", "event", "suspend", "child", "timer"})
"""The kinds of steps that do no work of their own."""
LEAST_FOLDED = 1_000_000
"""Microseconds up to which no idle stretch is folded."""
_IDLE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """A run of columns of a bar that look alike."""

    text: str
    look: Style


@dataclass(frozen=True, slots=True)
class Fold:
    """An idle stretch that is drawn shorter than it was, in instants."""

    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Scale:
    """Instants on a line: `edges` (ascending), and where each stands, from 0.0 to 1.0."""

    edges: tuple[int, ...]
    places: tuple[float, ...]
    folds: tuple[Fold, ...] = ()

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last instant."""
        return self.edges[0], self.edges[-1]

    def place(self, at: int) -> float:
        """Returns where an instant stands, from 0.0 to 1.0; before the first is 0.0."""
        if at <= self.edges[0]:
            return 0.0
        if at >= self.edges[-1]:
            return 1.0
        after = bisect_right(self.edges, at)
        left, right = self.edges[after - 1], self.edges[after]
        part = (at - left) / (right - left)
        return self.places[after - 1] + part * (self.places[after] - self.places[after - 1])

    def column(self, at: int, columns: int) -> int:
        """Returns in which of so many columns an instant lies."""
        return min(columns - 1, int(self.place(at) * columns))


def scale_of(root: ViewExecution, now: int) -> Scale:
    """Returns the scale of an execution and its children, up to its end or now."""
    first, last = root.started_at, max(root.started_at + 1, root.ended_at or now)
    work = _merged(sorted(_work(root, now)), first, last)
    idle = [Fold(since, until) for since, until in _between(work, first, last)]
    long = [one for one in idle if one.until - one.since > LEAST_FOLDED]
    busy = last - first - sum(one.until - one.since for one in long)
    if not long or not busy:
        return _scaled(first, last, (), 0.0)
    most = busy * _IDLE_SHARE / len(long)
    return _scaled(first, last, tuple(one for one in long if one.until - one.since > most), most)


def _scaled(first: int, last: int, folds: tuple[Fold, ...], most: float) -> Scale:
    edges, weights, at, weight = [first], [0.0], first, 0.0
    for one in folds:
        for edge, adds in ((one.since, one.since - at), (one.until, most)):
            if edge > at:
                weight += adds
                edges.append(edge)
                weights.append(weight)
                at = edge
    if last > at:
        edges.append(last)
        weights.append(weight + last - at)
    whole = weights[-1] or 1.0
    return Scale(tuple(edges), tuple(one / whole for one in weights), folds)


def _work(execution: ViewExecution, now: int) -> Iterator[tuple[int, int]]:
    """Yields when something was at work: bodies, not waits, and not the delays between attempts."""
    for step in execution.steps.values():
        if step.kind in WAITS:
            continue
        for since, until, sort in spans_of(step, now):
            if sort != "delay":
                yield since, until
    for child in execution.children:
        yield from _work(child, now)


def _merged(spans: list[tuple[int, int]], first: int, last: int) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for since, until in spans:
        since, until = max(first, since), min(last, until)
        if until < since:
            continue
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        else:
            merged.append((since, until))
    return merged


def _between(work: list[tuple[int, int]], first: int, last: int) -> Iterator[tuple[int, int]]:
    at = first
    for since, until in work:
        if since > at:
            yield at, since
        at = until
    if last > at:
        yield at, last


def spans_of(step: ViewStep, now: int) -> Iterator[tuple[int, int, str]]:
    """Yields the parts of a step's time: (since, until, ``failed``, ``delay``, ``wait`` or ``work``)."""
    at = step.started_at
    for since, failed_at, due_at in step.failures:
        yield since, failed_at, "failed"
        at = max(failed_at, min(due_at, step.ended_at or now))
        if at > failed_at:
            yield failed_at, at, "delay"
    if step.state != "retrying":
        yield at, max(at, step.ended_at or now), "wait" if step.kind in WAITS else "work"


def bar_of(step: ViewStep, now: int, scale: Scale, columns: int) -> list[Run]:
    """Returns a step's bar: work solid, waits light, delays before a retry dotted, folded time broken; as wide as `columns`."""
    cells = [" "] * columns
    looks: list[Style] = ["plain"] * columns
    look = style.look(step.state).style
    for since, until, sort in sorted(spans_of(step, now), key=lambda span: _ABOVE.index(span[2])):
        sign, shown = _SIGNS[sort]
        left, right = scale.column(since, columns), scale.column(until, columns)
        for at in range(left, max(left + 1, right if scale.place(until) < 1.0 else columns)):
            cells[at], looks[at] = sign, shown or look
    for one in scale.folds:
        left, right = scale.column(one.since, columns), scale.column(one.until, columns)
        middle = (left + right) // 2
        if right - left >= 2 and cells[middle] != " ":
            cells[middle] = "┆"
    return _runs(cells, looks)


_ABOVE = ("delay", "wait", "failed", "work")
"""What is drawn above what, where they share a column."""
_SIGNS: dict[str, tuple[str, Style | None]] = {
    "work": ("█", None), "failed": ("█", "red"), "delay": ("┄", "dim"), "wait": ("░", None),
}  # fmt: skip


def _runs(cells: list[str], looks: list[Style]) -> list[Run]:
    runs: list[Run] = []
    start = 0
    for at in range(1, len(cells) + 1):
        if at == len(cells) or looks[at] != looks[start]:
            runs.append(Run("".join(cells[start:at]), looks[start]))
            start = at
    return runs


def axis_of(scale: Scale, columns: int) -> str:
    """Returns the line above the bars: 0, the whole time at the right, and how much is left out at each fold."""
    first, last = scale.span
    cells = list(" " * columns)
    whole = show_duration(last - first)
    _put(cells, "0", 0)
    _put(cells, whole, columns - len(whole))
    for one in scale.folds:
        told = f"┆{show_duration(one.until - one.since)}┆"
        middle = (scale.column(one.since, columns) + scale.column(one.until, columns)) // 2
        _put(cells, told, min(columns - len(told), max(0, middle - len(told) // 2)))
    return "".join(cells)


def _put(cells: list[str], text: str, at: int) -> None:
    """Writes a text where it and a blank on each side have room; else leaves it out."""
    around = cells[max(0, at - 1) : at + len(text) + 1]
    if at >= 0 and at + len(text) <= len(cells) and all(cell == " " for cell in around):
        cells[at : at + len(text)] = text
