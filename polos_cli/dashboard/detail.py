"""One execution: its steps along a timeline, and all that is known of the step under the cursor. Reads no store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from polos.clock import Clock
from polos.core import codec
from polos.core.durations import show_duration
from polos.core.model import Entry, FailedAttempt, PendingWait
from polos_cli.dashboard.feed import Whole
from polos_cli.dashboard.looks import line, marked, piece, sign
from polos_cli.output import stdout, style
from polos_cli.output.sanitize import sanitize
from polos_cli.view.model import ViewExecution, ViewStep
from polos_cli.view.render import bar_of, note_of

LONGEST = 20_000
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the tree: an execution (`step` None) or a step of one."""

    execution: ViewExecution
    step: ViewStep | None
    depth: int


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


class StepTree(ScrollView, can_focus=True):
    """The tree of steps with their bars, and a cursor."""

    BINDINGS: ClassVar = [
        Binding("j,down", "move(1)", "down", show=False), Binding("k,up", "move(-1)", "up", show=False),
        Binding("g,home", "move(-100000)", "first", show=False), Binding("G,end", "move(100000)", "last", show=False),
        Binding("pagedown", "move(10)", "page down", show=False), Binding("pageup", "move(-10)", "page up", show=False),
    ]  # fmt: skip
    cursor: reactive[int] = reactive(0)

    class Selected(Message):
        """The cursor stands on a step, or on an execution (`key` None)."""

        def __init__(self, execution: int, key: str | None) -> None:
            super().__init__()
            self.execution, self.key = execution, key

    def __init__(self, clock: Clock, **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock
        self._lines: list[_Line] = []
        self._root: ViewExecution | None = None
        self._statuses: Mapping[int, str] = {}

    @property
    def selected(self) -> tuple[int, str | None] | None:
        """The execution and the step under the cursor."""
        if self.cursor >= len(self._lines):
            return None
        found = self._lines[self.cursor]
        return found.execution.number, None if found.step is None else found.step.key

    def show(self, root: ViewExecution | None, statuses: Mapping[int, str]) -> None:
        """Shows a tree; the cursor stays on its step. `statuses`: what its executions are now, by number."""
        held = self.selected
        self._statuses = statuses
        self._root, self._lines = root, [] if root is None else list(_lines(root))
        self.virtual_size = Size(0, len(self._lines))
        keys = [(one.execution.number, None if one.step is None else one.step.key) for one in self._lines]
        self.cursor = keys.index(held) if held in keys else 0
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draws one line of what is seen."""
        index, width = y + round(self.scroll_y), self.size.width
        if index >= len(self._lines) or self._root is None:
            return Strip.blank(width)
        found, now = self._lines[index], self._clock.now()
        is_marked = index == self.cursor and self.has_focus
        indent = "  " * found.depth
        if found.step is None:
            one = found.execution
            state = self._statuses.get(one.number, one.state)
            took = show_duration(max(0, (one.ended_at or now) - one.started_at))
            pieces = [piece(indent), sign(state), piece(f" {one.workflow_id} {one.number}  ", "bold"),
                      piece(f"{style.word(state)} {took}", style.look(state).style)]  # fmt: skip
            return line(pieces, width, is_marked)
        step = found.step
        span = (self._root.started_at, self._root.ended_at or now)
        bars = max(8, width // 3)
        key = max(8, min(36, width - bars - 26) - len(indent))  # bars begin in one column, and a note has room
        spent = show_duration(max(0, (step.ended_at or now) - step.started_at))
        named = [piece(indent), sign(step.state), piece(" "), piece(step.key, "plain", key)]
        bar = piece(bar_of(step, now, span, bars), style.look(step.state).style)
        pieces = [*marked(named, is_marked), piece(spent, "dim", 9, right=True), piece(" "), bar]
        return line([*pieces, piece(f" {note_of(step, now)}", "dim")], width)

    def watch_cursor(self) -> None:
        """Keeps the cursor in sight."""
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True)
        self.refresh()
        if self.selected is not None:
            self.post_message(self.Selected(*self.selected))

    def action_move(self, by: int) -> None:
        """Moves the cursor."""
        self.cursor = max(0, min(len(self._lines) - 1, self.cursor + by))


class Detail(Vertical):
    """The tree above, and below it the values of what is under its cursor."""

    DEFAULT_CSS = """
    Detail > #title { height: auto; padding: 0 1; }
    Detail > StepTree { height: 3fr; }
    Detail > #values { height: 2fr; border-top: solid $primary; padding: 0 1; }
    """

    def __init__(self, clock: Clock, **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock
        self._wholes: dict[int, Whole] = {}
        self.number = 0

    def compose(self) -> ComposeResult:
        """See `Widget`."""
        yield Static(id="title", markup=False)
        yield StepTree(self._clock)
        with VerticalScroll(id="values"):
            yield Static(id="value", markup=False)

    @property
    def whole(self) -> Whole | None:
        """What is shown."""
        return self._wholes.get(self.number)

    def show(self, whole: Whole | None) -> None:
        """Shows an execution, or nothing."""
        self._wholes = {} if whole is None else {whole.execution.number: whole}
        self.number = 0 if whole is None else whole.execution.number
        tree = self.query_one(StepTree)
        if whole is None:
            tree.show(None, {})
            self._say("#title", ["no execution"])
            self._say("#value", [])
            return
        found = whole.tree.executions.get(self.number)
        tree.show(found, whole.statuses)
        self._say("#title", [whole.why.headline, *whole.why.details[:2]])
        self.say_step()

    def say_step(self) -> None:
        """Shows what is under the cursor of the tree."""
        whole = self.whole
        selected = self.query_one(StepTree).selected
        if whole is None or selected is None:
            return
        number, key = selected
        if number != self.number:
            self._say("#value", [f"execution {number}: enter opens it"])
        elif key is None:
            self._say("#value", _of_execution(whole))
        else:
            self._say("#value", _of_step(whole, key))

    def _say(self, where: str, lines: Sequence[str]) -> None:
        text = sanitize("\n".join(lines)[:LONGEST], multiline=True)
        self.query_one(where, Static).update(Content(text))


def _of_execution(whole: Whole) -> list[str]:
    one = whole.execution
    lines = [f"input   {_json(one.input)}"]
    if one.state is not None:
        lines.append(f"state   {_json(one.state)}")
    if one.result is not None:
        lines.append(f"result  {_json(one.result)}")
    if one.failure is not None:
        lines += [f"error   {one.failure.type_name}: {one.failure.message}", *one.failure.traceback_text.splitlines()]
    return [*lines, *([""] if whole.logs else []), *whole.logs[-200:]]


def _of_step(whole: Whole, key: str) -> list[str]:
    entry: Entry | None = next((one for one in whole.entries if one.key == key), None)
    wait: PendingWait | None = next((one for one in whole.waits if one.key == key), None)
    failed: list[FailedAttempt] = [one for one in whole.attempts if one.key == key]
    lines: list[str] = []
    if entry is not None:
        lines.append(f"{key}: {style.word(entry.outcome)}, {entry.kind}, {entry.site}")
        if entry.value is not None:
            lines.append(_json(entry.value))
        if entry.failure is not None:
            lines += [f"{entry.failure.type_name}: {entry.failure.message}", *entry.failure.traceback_text.splitlines()]
    elif wait is not None:
        lines += [f"{key}: waits, {wait.kind}, {wait.site}", wait.request or ""]
    else:
        lines.append(f"{key}: no outcome yet")
    lines += [f"attempt {one.attempt}: {one.failure.type_name}: {one.failure.message}" for one in failed]
    return lines


def _json(stored: Any) -> str:
    return stdout.to_json(codec.plain(stored), indent=True)
