"""The app of `polos dashboard`: puts the list, the detail and the forms together. Reads through the feed alone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.css.query import NoMatches
from textual.widgets import Footer, Static

from polos.clock import Clock
from polos.core.status import Status
from polos.errors import PolosError
from polos_cli.dashboard import actions
from polos_cli.dashboard.actions import Deed
from polos_cli.dashboard.detail import Detail, StepTree
from polos_cli.dashboard.feed import PAGE, Feed, Filter, Row
from polos_cli.dashboard.forms import Confirm, Filtering, JsonForm
from polos_cli.dashboard.listing import ExecutionList
from polos_cli.output.sanitize import sanitize

LOOK_EVERY = 0.15
"""Seconds after which news is looked for."""
COUNTS_COST = 20
"""How many times as long as a count took it is not made again: it looks at every execution."""
WIDE = 100
"""Columns from which on list and detail stand side by side."""


class Dashboard(App[None]):
    """One screen over one database."""

    ENABLE_COMMAND_PALETTE = True
    CSS = """
    Screen { layout: vertical; }
    #head { height: 1; background: $boost; padding: 0 1; }
    #body { height: 1fr; }
    ExecutionList { width: 45%; border-right: solid $primary; }
    Detail { width: 1fr; }
    .narrow ExecutionList { width: 100%; border-right: none; }
    .narrow Detail { width: 100%; display: none; }
    .narrow.opened ExecutionList { display: none; }
    .narrow.opened Detail { display: block; }
    """
    BINDINGS: ClassVar = [
        Binding("slash", "filter", "filter", key_display="/"), Binding("i", "start", "start"),
        Binding("e", "event", "event"), Binding("a", "answer", "answer"), Binding("c", "cancel", "cancel"),
        Binding("r", "retry", "retry"), Binding("f", "fork", "fork"), Binding("Y", "copy", "copy"),
        Binding("tab", "other", "other pane", show=False), Binding("escape", "back", "back", show=False),
        Binding("question_mark", "show_help_panel", "keys", key_display="?"), Binding("q", "quit", "quit"),
    ]  # fmt: skip

    def __init__(self, feed: Feed, clock: Clock, name: str) -> None:
        super().__init__()
        self._feed, self._clock, self._project = feed, clock, name
        self._filter = Filter()
        self._shown: Row | None = None
        self._command = ""
        self._counted_until = 0.0
        self._owes_count = False
        self.title = f"polos {name}"

    def compose(self) -> ComposeResult:
        """See `App`."""
        yield Static(id="head", markup=False)
        with Horizontal(id="body"):
            yield ExecutionList(self._clock)
            yield Detail(self._clock)
        yield Footer(show_command_palette=False)

    async def on_mount(self) -> None:
        """Shows what is there, and follows from then on."""
        self._fit()
        await self._feed.begin()
        await self._read()
        self.query_one(ExecutionList).focus()
        self._follow()

    def on_resize(self) -> None:
        """Puts the panes side by side, or one behind the other."""
        self._fit()

    def _fit(self) -> None:
        self.query_one("#body").set_class(self.size.width < WIDE, "narrow")

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────

    async def _read(self) -> None:
        rows = await self._feed.page(self._filter, None)
        self.query_one(ExecutionList).replace(rows, len(rows) < PAGE)
        await self._head()

    async def _head(self) -> None:
        began, self._owes_count = self._clock.monotonic(), False
        counts = await self._feed.counts()
        now = self._clock.monotonic()
        self._counted_until = now + COUNTS_COST * (now - began)
        told = "  ".join(f"{count:,} {status.value}" for status in Status if (count := counts.get(status.value, 0)))
        wanted = f"   only: {self._filter.words}" if self._filter.words else ""
        self.query_one("#head", Static).update(
            Content(sanitize(f"polos {self._project}   {told or 'no executions yet'}{wanted}"))
        )

    @work(exclusive=True, group="follow")
    async def _follow(self) -> None:
        """Looks for news, and shows what changed: next to nothing is done while nothing happens."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                changed = await self._feed.news()
                if not changed:
                    await self._tick()
                    continue
                await self._changed(changed)
                self._owes_count = True
                await self._tick()
                if self._shown is not None:
                    await self._show(self._shown)
            except NoMatches:
                return  # it is being closed
            except PolosError as error:
                self._say(error.message, error=True)
                await asyncio.sleep(1.0)

    async def _changed(self, numbers: set[int]) -> None:
        shown = self.query_one(ExecutionList)
        newest = await self._feed.page(self._filter, None)
        shown.merge(newest)
        below = numbers & {row.number for row in shown.rows[len(newest) :]}
        if below:
            shown.change(await self._feed.some(sorted(below)[-PAGE:]))

    async def _tick(self) -> None:
        if self._owes_count and self._clock.monotonic() > self._counted_until:
            await self._head()
        self.query_one(ExecutionList).refresh()
        whole = self.query_one(Detail).whole
        if whole is not None and whole.execution.ended_at is None:
            self.query_one(StepTree).refresh()

    async def _show(self, row: Row) -> None:
        whole = await self._feed.whole(row.id)
        detail = self.query(Detail)
        if detail and self._shown is not None and self._shown.number == row.number:
            detail.first().show(whole)

    async def on_execution_list_wanted(self, wanted: ExecutionList.Wanted) -> None:
        """Brings the next page."""
        rows = await self._feed.page(self._filter, wanted.before)
        self.query_one(ExecutionList).extend(rows, len(rows) < PAGE)

    def on_execution_list_selected(self, selected: ExecutionList.Selected) -> None:
        """Shows the execution under the cursor."""
        moved = selected.row is None or self._shown is None or selected.row.number != self._shown.number
        self._shown = selected.row
        if moved:
            self._look()
        if selected.opens:
            self.query_one("#body").add_class("opened")
            self.query_one(StepTree).focus()

    @work(exclusive=True, group="look")
    async def _look(self) -> None:
        if self._shown is None:
            self.query_one(Detail).show(None)
            return
        await asyncio.sleep(0.03)  # a cursor that runs over the list reads none of them
        await self._show(self._shown)

    def on_step_tree_selected(self) -> None:
        """Shows the values of the step under the cursor."""
        self.query_one(Detail).say_step()

    # ── doing ────────────────────────────────────────────────────────────────────────────────────────

    def _say(self, text: str, error: bool = False) -> None:
        self.notify(sanitize(text), markup=False, severity="error" if error else "information")

    async def _try(self, deed: Coroutine[Any, Any, str]) -> None:
        """Does it, and says the equal command, or what was wrong."""
        try:
            self._command = await deed
            self._say(f"done; the same: {self._command}")
        except PolosError as error:
            self._say(f"{error.message}. {error.hint}", error=True)

    def _ask_and_do(self, deed: Deed, doing: Coroutine[Any, Any, object]) -> None:
        self.run_worker(self._asked(deed, doing))

    async def _asked(self, deed: Deed, doing: Coroutine[Any, Any, object]) -> None:
        if deed.refusal:
            doing.close()
            self._say(deed.refusal, error=True)
        elif await self.push_screen_wait(Confirm([*deed.question, f"the same: {deed.command}"])):

            async def done() -> str:
                await doing
                return deed.command

            await self._try(done())
        else:
            doing.close()

    def action_cancel(self) -> None:
        """Cancels what is shown."""
        if (whole := self.query_one(Detail).whole) is not None:
            self._ask_and_do(actions.cancel(whole), self._feed.client.cancel(whole.execution))

    def action_retry(self) -> None:
        """Reopens what is shown."""
        if (whole := self.query_one(Detail).whole) is not None:
            self._ask_and_do(actions.retry(whole), self._feed.client.retry(whole.execution))

    def action_fork(self) -> None:
        """Forks what is shown at the step under the cursor."""
        if (whole := self.query_one(Detail).whole) is not None:
            selected = self.query_one(StepTree).selected
            key = selected[1] if selected is not None and selected[0] == whole.execution.number else None
            self._ask_and_do(actions.fork(whole, key), self._feed.client.fork(whole.execution, key))

    @work
    async def action_answer(self) -> None:
        """Answers the suspend of what is shown."""
        if (whole := self.query_one(Detail).whole) is None:
            return
        deed, key = actions.answer(whole)
        if deed.refusal:
            self._say(deed.refusal, error=True)
            return
        given = await self.push_screen_wait(JsonForm("\n".join(deed.question), '{"approved": true}'))
        if given is not None:
            await self._try(actions.resume(self._feed.client, whole.execution.number, key, given[1]))

    @work
    async def action_event(self) -> None:
        """Sends an event: the one that is waited for, by default."""
        topic, data = actions.event_of(self.query_one(Detail).whole)
        given = await self.push_screen_wait(JsonForm("send an event", data, ("topic", topic)))
        if given is not None:
            await self._try(actions.publish(self._feed.client, *given))

    @work
    async def action_start(self) -> None:
        """Starts a workflow."""
        known = self._shown.workflow_id if self._shown is not None else ""
        given = await self.push_screen_wait(JsonForm("start a workflow", "null", ("workflow", known)))
        if given is not None:

            async def started() -> str:
                return (await actions.start(self._feed.client, *given))[1]

            await self._try(started())

    @work
    async def action_filter(self) -> None:
        """Narrows the list."""
        text = await self.push_screen_wait(Filtering(self._filter.words))
        if text is not None:
            self._filter = Filter.read(text)
            await self._read()

    def action_copy(self) -> None:
        """Copies the command that is the same as the last action, or shows what is shown."""
        command = self._command or (f"polos show {self._shown.number}" if self._shown is not None else "polos ps")
        self.copy_to_clipboard(command)
        self._say(f"copied: {command}")

    # ── moving ───────────────────────────────────────────────────────────────────────────────────────

    async def action_other(self) -> None:
        """Goes to the other pane."""
        if isinstance(self.focused, ExecutionList):
            self.query_one("#body").add_class("opened")
            self.query_one(StepTree).focus()
        else:
            await self.action_back()

    async def action_back(self) -> None:
        """Goes back to the list."""
        self.query_one("#body").remove_class("opened")
        self.query_one(ExecutionList).focus()
