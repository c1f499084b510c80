"""The app of `polos dashboard`: six pages over one database, what is new brought to the one that is seen. Reads no store."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.binding import Binding

from polos.errors import PolosError
from polos_cli.dashboard import terminal
from polos_cli.dashboard.actions import Actions, Deed
from polos_cli.dashboard.dialogs.box import ask
from polos_cli.dashboard.dialogs.confirm import Confirm
from polos_cli.dashboard.dialogs.keys import keys_of
from polos_cli.dashboard.dialogs.output import Output
from polos_cli.dashboard.looks import theme_of
from polos_cli.dashboard.pages.page import (
    NAMES,
    Do,
    News,
    OpenExecution,
    Page,
    PublishEvent,
    RunCommand,
    StartWorkflow,
    Tell,
    until_closed,
)
from polos_cli.dashboard.pages.table import page_class
from polos_cli.dashboard.reading import Reading
from polos_cli.dashboard.widgets.standing import Standing
from polos_cli.dashboard.widgets.tabs import Tabs
from polos_cli.dashboard.widgets.texts import Text
from polos_cli.output.sanitize import sanitize

if TYPE_CHECKING:
    from textual.command import Provider

    from polos_cli.dashboard.asking import Asking

LOOK_EVERY = 0.15
"""Seconds after which news is looked for."""
MANY = 10
"""Executions beyond which, changed at once, news is looked for half as often: nobody reads so fast."""
COUNTS_COST = 20
"""How many times as long as a count took it is not made again: it looks at every execution."""
AGAIN = 1.0
"""Seconds after which what could not be read is read again."""


def _palette() -> type[Provider]:
    from polos_cli.dashboard.palette import Palette

    return Palette


class Dashboard(App[None]):
    """Six pages over one database."""

    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {_palette}
    BINDINGS: ClassVar = [
        *(Binding(str(at), f"page('{name}')", name, show=False) for at, name in enumerate(NAMES, 1)),
        # before any widget has them: what is typed after a tab, however soon, is the next one's
        Binding("tab", "focus_next", "next pane or field", show=False, priority=True),
        Binding("shift+tab", "focus_previous", "the one before", show=False, priority=True),
        Binding("i", "start", "start"), Binding("e", "event", "event", show=False), Binding("Y", "copy", "copy", show=False),
        Binding("T", "theme", "theme", show=False), Binding("colon", "command_palette", "palette", show=False, key_display=":"),
        Binding("question_mark", "keys", "keys", key_display="?"), Binding("q", "quit", "quit"),
    ]  # fmt: skip

    def __init__(
        self, reading: Reading, actions: Actions, project: str, *, theme: str = "terminal", is_bundle: bool = False
    ) -> None:
        super().__init__(ansi_color=True if os.environ.get("NO_COLOR") else None)
        self.theme = theme_of("terminal" if os.environ.get("NO_COLOR") else theme)
        self._reading, self._actions, self._clock = reading, actions, reading.clock
        self._standing = Standing(project, is_bundle=is_bundle)
        self._done_last = ("", "")
        self._counted_until = 0.0
        self._owes_count = True
        self._missed = dict.fromkeys(NAMES, News(is_all=True))
        self.title = f"polos {project}"

    async def on_mount(self) -> None:
        """Shows what is there, and follows from then on."""
        for name in NAMES:
            self.add_mode(name, partial(self._page_of, name))
        await self.switch_mode("executions")
        self._follow()
        terminal.when_ended(self.exit)

    def pop_screen(self) -> AwaitComplete:
        """See `App`: what two keys close at once is closed once."""
        return super().pop_screen() if len(self.screen_stack) > 1 else AwaitComplete()

    def _page_of(self, name: str) -> Page:
        return page_class(name)(self._reading, self._actions)

    # ── what is new ──────────────────────────────────────────────────────────────────────────────────

    @property
    def page(self) -> Page | None:
        """The page that is seen, if need be below a dialog. None: the app is being closed."""
        bottom = self.screen_stack[0] if self.is_running and self.screen_stack else None
        return bottom if isinstance(bottom, Page) else None

    @work(exclusive=True, group="follow")
    async def _follow(self) -> None:
        with until_closed(self):
            await self._follow_on()

    async def _follow_on(self) -> None:
        """Looks for news, and shows it: next to nothing is done while nothing happens. What fails is tried again."""
        has_begun = False
        while True:
            if not self.is_headless and terminal.is_gone():
                terminal.leave()
            try:
                if not has_begun:
                    await self._reading.begin()
                    has_begun = True
                    await self._looked(News())
                else:
                    numbers, published = await self._reading.news()
                    await self._looked(News(numbers, published))
                    if len(numbers) > MANY:
                        await asyncio.sleep(LOOK_EVERY)
                self._stands(problem="")
            except (PolosError, sqlite3.Error, OSError) as error:
                self._stands(problem=error.message if isinstance(error, PolosError) else str(error))
                self._missed = dict.fromkeys(NAMES, News(is_all=True))
                await asyncio.sleep(AGAIN)
            await asyncio.sleep(LOOK_EVERY)

    async def _looked(self, news: News) -> None:
        has_news = bool(news.numbers or news.published)
        self._owes_count |= has_news
        if has_news:
            for name, missed in self._missed.items():
                self._missed[name] = News(
                    missed.numbers | news.numbers, missed.published or news.published, missed.is_all
                )
        page = self.page
        if page is None or not page.is_mounted:
            return
        owed = self._missed[page.NAME]
        if owed.is_all or owed.numbers or owed.published:
            await page.look(owed)
            self._missed[page.NAME] = News()
        else:
            await page.glance()
        page.tick()
        if self._owes_count and self._clock.monotonic() > self._counted_until:
            await self._count()

    async def _count(self) -> None:
        began, self._owes_count = self._clock.monotonic(), False
        counts = await self._reading.counts()
        now = self._clock.monotonic()
        self._counted_until = now + COUNTS_COST * (now - began)
        self._standing = replace(self._standing, counts=counts)

    def _stands(self, problem: str) -> None:
        self._standing = replace(self._standing, problem=problem, is_idle=self._reading.is_idle)
        if self.page is not None and self.page.is_mounted:
            self.page.stands(self._standing)

    # ── pages ────────────────────────────────────────────────────────────────────────────────────────

    async def action_page(self, name: str) -> None:
        """Goes to a page."""
        if self.current_mode != name and len(self.screen_stack) == 1:
            await self.switch_mode(name)

    async def on_tabs_chosen(self, chosen: Tabs.Chosen) -> None:
        """Goes to the page that was clicked."""
        if chosen.tabs.id == "pages":
            await self.action_page(NAMES[chosen.at])

    async def on_open_execution(self, wanted: OpenExecution) -> None:
        """Shows an execution."""
        await self.action_page("executions")
        if self.page is not None:
            self.page.open(wanted.reference)

    # ── doing ────────────────────────────────────────────────────────────────────────────────────────

    def on_tell(self, told: Tell) -> None:
        """Says something."""
        self.say(told.text, told.is_error)

    def say(self, text: str, is_error: bool = False) -> None:
        """Says something at the edge of the screen."""
        self.notify(
            sanitize(text[:2_000], multiline=True), markup=False, severity="error" if is_error else "information"
        )

    @work
    async def on_do(self, message: Do) -> None:
        """Asks for a deed where it wants to be, does it, and says what came of it, or what was wrong."""
        deed = message.deed
        if deed.refusal:
            self.say(deed.refusal, is_error=True)
            return
        asked = [*deed.question, "", f"the same: {deed.command}"]
        if not deed.question or await ask(self, Confirm(asked)) is not None:
            wrong = await self._done(deed)
            if wrong:
                self.say(wrong, is_error=True)

    async def _done(self, deed: Deed) -> str:
        """Does it, and says so; returns what was wrong, empty where it was done."""
        assert deed.does is not None
        try:
            said = await deed.does()
        except PolosError as error:
            return f"{error.message}\n{error.hint}".strip()
        self._remember(deed.command)
        if self.page is not None:
            self.page.ask_again()
        self.say(f"{said}\nthe same: {deed.command}  (Y copies it)")
        return ""

    @work(exclusive=True, group="command")
    async def on_run_command(self, message: RunCommand) -> None:
        """Runs a command, and shows what it says."""
        line = self._actions.line
        words = line.words(*message.words)
        command = line.text(*message.words)
        self._remember(command)
        self.say(f"runs {command}")
        code, said = await line.run(words, max(40, min(130, self.size.width - 12)))
        lines = [Text(row) for row in said.rstrip().splitlines()] or [Text("it said nothing", look="dim")]
        self.clear_notifications()
        await ask(self, Output(f"exit code {code}   {command}", lines))

    @work
    async def on_start_workflow(self, message: StartWorkflow) -> None:
        """Starts a workflow from its form."""
        if self.page is None or self.page.is_only_read():
            return
        try:
            await self._asking().start(self._reading, self._actions, message.workflow_id)
        except PolosError as error:
            self.say(error.message, is_error=True)

    @work
    async def on_publish_event(self, message: PublishEvent) -> None:
        """Publishes an event."""
        if self.page is None or self.page.is_only_read():
            return
        await self._asking().publish(self._actions, message.topic, message.data)

    def _remember(self, command: str) -> None:
        """Keeps the command of what was done, to be copied while the same is shown."""
        self._done_last = (command, self.page.command if self.page is not None else "")

    def _asking(self) -> Asking:
        from polos_cli.dashboard.asking import Asking  # its widgets take long to import

        return Asking(self, self._done, lambda text: self.page.edit(text) if self.page is not None else None)

    def action_start(self) -> None:
        """Starts the workflow under the cursor, or one that is named."""
        if self.page is not None:
            self.post_message(self.page.start_named())

    def action_event(self) -> None:
        """Sends an event: the one that is waited for, or one like the one under the cursor."""
        if self.page is not None:
            self.post_message(self.page.event_named())

    def action_copy(self) -> None:
        """Copies the value under the cursor, else the command of the last action, or the one that shows what is shown."""
        if self.page is None:
            return
        value = self.page.copied
        done, where = self._done_last
        text = value if value is not None else done if done and where == self.page.command else self.page.command
        self.copy_to_clipboard(text)
        self.say(f"copied: {text[:300]}")

    def action_theme(self) -> None:
        """Goes on to the next theme: the terminal's own colours, dark, light."""
        themes = [theme_of(name) for name in ("terminal", "dark", "light")]
        self.theme = themes[(themes.index(self.theme) + 1) % 3] if self.theme in themes else themes[0]

    def action_keys(self) -> None:
        """Shows all keys that mean something here."""
        self.push_screen(keys_of(self))
