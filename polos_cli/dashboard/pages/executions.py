"""The executions: the list, and beside it the one under its cursor along its timeline."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical

from polos.errors import UsageError
from polos_cli.dashboard.actions import event_of
from polos_cli.dashboard.dialogs.box import ask
from polos_cli.dashboard.dialogs.line import Line
from polos_cli.dashboard.pages.driven import DrivenPage
from polos_cli.dashboard.pages.page import News, PublishEvent, StartWorkflow
from polos_cli.dashboard.reading import PAGE, ExecutionRow, Filter, Whole
from polos_cli.dashboard.widgets.detail import Detail
from polos_cli.dashboard.widgets.lines import Heading
from polos_cli.dashboard.widgets.listing import ExecutionList
from polos_cli.dashboard.widgets.steps import StepTree

WIDE = 100
"""Columns from which on list and detail stand side by side."""
LATE = 2_000_000
"""Microseconds after its end within which lines of an execution may still come."""
TURNS = 1.0
"""Seconds for which the newest execution is shown at least, while the cursor stands at the top and others come."""
LEAST = 0.1
REST = 3.0
"""How many times as long as a reading took an execution is not read again: a large one is read less often."""


class ExecutionsPage(DrivenPage):
    """List and detail."""

    NAME = "executions"
    DEFAULT_CSS = """
    ExecutionsPage #body { height: 1fr; }
    ExecutionsPage #list { width: 45%; min-width: 50; border-right: solid $primary; }
    ExecutionsPage Detail { width: 1fr; }
    ExecutionsPage .narrow #list { width: 100%; border-right: none; }
    ExecutionsPage .narrow Detail { width: 100%; display: none; }
    ExecutionsPage .narrow.opened #list { display: none; }
    ExecutionsPage .narrow.opened Detail { display: block; }
    """
    BINDINGS: ClassVar = [
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("left_square_bracket", "pane(-1)", "earlier pane", show=False, key_display="["),
        Binding("right_square_bracket", "pane(1)", "next pane", show=False, key_display="]"),
        Binding("escape", "back", "back", show=False),
    ]  # fmt: skip

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.filter = Filter()
        self._shown: ExecutionRow | None = None
        self._opened: list[ExecutionRow] = []
        self._is_pinned = False
        self._read_until = 0.0
        self._told_at = 0.0
        self._turned_at = 0.0
        self._owes: frozenset[int] = frozenset()

    def content(self) -> ComposeResult:
        """See `Page`."""
        shown = ExecutionList(self.reading.clock)
        with Horizontal(id="body"):
            with Vertical(id="list"):
                yield Heading(shown)
                yield shown
            yield Detail(self.reading.clock)

    def on_mount(self) -> None:
        """Begins in the list."""
        self.query_one(ExecutionList).focus()

    def on_resize(self) -> None:
        """Puts the panes side by side, or one behind the other."""
        self.query_one("#body").set_class(self.size.width < WIDE, "narrow")

    def narrowed(self) -> str:
        """See `Page`."""
        return self.filter.words

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────

    async def look(self, news: News) -> None:
        """See `Page`."""
        shown = self.query_one(ExecutionList)
        hint = f" (did you mean {self.filter.meant}?)" if self.filter.meant else ""
        words = self.filter.words
        shown.empty = f"there is none of: {words}{hint}" if words else "none was started yet: i starts one"
        newest = await self.reading.page(self.filter, None)
        if news.is_all:
            shown.replace(newest, len(newest) < PAGE)
        else:
            shown.merge(newest)
            bottom = newest[-1].number if newest else 0
            below = {one for one in news.numbers if one < bottom}
            if below:
                rows = await self.reading.some(sorted(below)[-PAGE:])
                shown.change(rows, {row.number for row in rows if not self.filter.takes(row)})
        self._owes |= news.numbers
        if news.published and self._shown is not None and self._shown.status == "waiting":
            self._owes |= {self._shown.number}  # an event that it passed over is told of nowhere else
        await self._catch_up(news.is_all)

    async def _catch_up(self, is_all: bool = False) -> None:
        """Reads the execution that is shown again, if something was told of its tree."""
        row, whole = self._shown, self.query_one(Detail).whole
        if row is None:
            return
        family = whole.tree.executions.keys() | {row.number} if whole is not None else {row.number}
        self._owes &= family
        if not is_all and (not self._owes or self.reading.clock.monotonic() < self._read_until):
            return
        self._owes = frozenset()
        await self._show(row)

    async def glance(self) -> None:
        """See `Page`: what was not read at once; and lines are captured without a word in the event log."""
        await self._catch_up()
        detail = self.query_one(Detail)
        whole = detail.whole
        if whole is None or self.reading.clock.now() - (whole.execution.ended_at or self.reading.clock.now()) > LATE:
            return
        more = await self.reading.more_lines(whole)
        if more is not None and detail.whole is whole:
            detail.show(more)

    async def _show(self, row: ExecutionRow) -> None:
        began = self.reading.clock.monotonic()
        whole = await self.reading.whole(row.id)
        now = self.reading.clock.monotonic()
        self._read_until = now + max(LEAST, REST * (now - began))
        if self._shown is not None and self._shown.number == row.number:
            self.query_one(Detail).show(whole)

    def tick(self) -> None:
        """See `Page`."""
        now = self.reading.clock.monotonic()
        if now >= self._told_at + 1.0:  # a second is fine enough: each redrawing is sent to the terminal
            self._told_at = now
            if self.query_one(ExecutionList).rows:
                self.query_one(ExecutionList).refresh()
            self.query_one(Detail).tell_why()
            tree = self.query_one(StepTree)
            if tree.is_open:
                tree.redraw()
        row = self.query_one(ExecutionList).row
        if row is not None:  # what was not turned to, since it ran by
            self.on_execution_list_moved(ExecutionList.Moved(row, by_hand=False))

    def on_execution_list_wanted(self, wanted: ExecutionList.Wanted) -> None:
        """Brings the next page."""
        self.reads(partial(self._extend, wanted.before), "page")

    async def _extend(self, before: int) -> None:
        rows = await self.reading.page(self.filter, before)
        self.query_one(ExecutionList).extend(rows, len(rows) < PAGE)

    def on_execution_list_moved(self, moved: ExecutionList.Moved) -> None:
        """Shows the execution under the cursor, unless another one was opened, and only the rows have moved."""
        if self._is_pinned and not moved.by_hand:
            return
        is_other = moved.row is None or self._shown is None or moved.row.number != self._shown.number
        if is_other and (moved.by_hand or self._shown is None or self._may_turn()):
            self._turned_at = self.reading.clock.monotonic()
            self._opened, self._is_pinned = [], False
            self._turn_to(moved.row)

    def _may_turn(self) -> bool:
        """While the newest ones run by under the cursor, one of them is shown for a while."""
        return self.reading.clock.monotonic() >= self._turned_at + TURNS

    def _turn_to(self, row: ExecutionRow | None) -> None:
        self._shown, self._read_until = row, 0.0
        if row is None:
            self.query_one(Detail).show(None)
        else:
            self.reads(partial(self._soon, row), "look")

    async def _soon(self, row: ExecutionRow) -> None:
        await asyncio.sleep(0.03)  # a cursor that runs over the list reads none of them
        await self._show(row)

    def on_execution_list_opened(self, opened: ExecutionList.Opened) -> None:
        """Goes to the steps of an execution."""
        if opened.row is not None and (self._shown is None or opened.row.number != self._shown.number):
            self._opened, self._is_pinned = [], False
            self._turn_to(opened.row)
        self.query_one("#body").add_class("opened")
        self.query_one(StepTree).focus()

    def on_detail_opened(self, opened: Detail.Opened) -> None:
        """Goes to another execution of the tree; escape comes back."""
        self.reads(partial(self._go_to, str(opened.number), keeps=True), "look")

    def open(self, reference: str) -> None:
        """Shows an execution, wherever it is in the list."""
        self.reads(partial(self._go_to, reference, keeps=False), "look")

    async def _go_to(self, reference: str, keeps: bool) -> None:
        row = await self.reading.one(reference)
        self._opened = [*self._opened, self._shown] if keeps and self._shown is not None else []
        if not keeps and not self.query_one(ExecutionList).go_to(row.number) and self._shown is not None:
            self._opened = [self._shown]
        self._shown, self._is_pinned = row, True
        self.query_one("#body").add_class("opened")
        self.query_one(StepTree).focus()
        await self._show(row)

    def on_detail_history_wanted(self, wanted: Detail.HistoryWanted) -> None:
        """Reads the past of what is shown."""
        self.reads(partial(self._history, wanted.by), "look")

    async def _history(self, by: int) -> None:
        detail = self.query_one(Detail)
        if detail.whole is not None:
            detail.enter_past(await self.reading.history(detail.whole.execution), by)

    def action_pane(self, by: int) -> None:
        """Shows the next pane of the execution, or the one before."""
        self.query_one(Detail).turn(by)

    def action_back(self) -> None:
        """Goes back: from the past to now, from a child to its parent, from the steps to the list."""
        if self.query_one(Detail).leave_past():
            return
        if self._opened:
            self._turn_to(self._opened.pop())
            return
        self._is_pinned = False
        self.query_one("#body").remove_class("opened")
        self.query_one(ExecutionList).focus()
        self._turn_to(self.query_one(ExecutionList).row)

    @property
    def whole(self) -> Whole | None:
        """What is shown."""
        return self.query_one(Detail).whole

    @property
    def key(self) -> str | None:
        """The step under the cursor, of the execution that is shown."""
        whole, selected = self.whole, self.query_one(StepTree).selected
        return selected[1] if whole is not None and selected and selected[0] == whole.execution.number else None

    @property
    def command(self) -> str:
        """The command that shows what is shown."""
        if self._shown is None:
            return self.actions.line.text("ps")
        step = ["--step", self.key] if self.key is not None and self.query_one(StepTree).has_focus else []
        return self.actions.line.text("show", self.actions.line.reference(self._shown.number), *step)

    @work
    async def action_filter(self) -> None:
        """Narrows the list."""
        title = "Show only: statuses (failed, waiting, …), a workflow's id, started within (10m, 2h). Empty: all."
        text, wrong = self.filter.words, ""
        while True:
            given = await ask(self.app, Line(title, text, wrong=wrong))
            if given is None:
                return
            try:
                self.filter = Filter.read(given)
                break
            except UsageError as error:
                text, wrong = given, error.message
        await self.narrow()

    async def under_cursor(self) -> Whole | None:
        """Returns what is shown, as it is now: nothing is done to another one, nor by what it was before."""
        if self._shown is None:
            return None
        if not self._is_pinned:
            self.query_one(ExecutionList).go_to(self._shown.number)  # and no newer one comes under it
        await self._guarded(partial(self._show, self._shown))
        whole = self.whole if self.app.is_running else None
        return (
            whole
            if whole is not None and self._shown is not None and whole.execution.number == self._shown.number
            else None
        )

    def start_named(self) -> StartWorkflow:
        """Returns the message that starts the workflow of what is shown."""
        return StartWorkflow(self._shown.workflow_id if self._shown is not None else "")

    def event_named(self) -> PublishEvent:
        """Returns the message that sends the event that is waited for."""
        return PublishEvent(*event_of(self.whole, self.key))
