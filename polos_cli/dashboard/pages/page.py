"""What all pages have: the head with their names, how things stand, and the keys below. Reads nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer

from polos.errors import PolosError
from polos_cli.dashboard import editor
from polos_cli.dashboard.actions import Actions, Deed, to_json
from polos_cli.dashboard.reading import Reading
from polos_cli.dashboard.widgets.lines import Lines
from polos_cli.dashboard.widgets.payload import PayloadTree
from polos_cli.dashboard.widgets.standing import Standing, StandingLine
from polos_cli.dashboard.widgets.tabs import Tabs

ONLY_READ = "a bundle is only read: polos dashboard without it shows the database, where this can be done"
NAMES = ("executions", "workflows", "events", "schedules", "queues", "workers")


@contextmanager
def until_closed(app: App[Any]) -> Iterator[None]:
    """Has what fails while an app is being closed pass: what it was shown on has gone. Before that, nothing is swallowed."""
    try:
        yield
    except Exception:  # which one depends on what had gone already
        if app.is_running:
            raise


@dataclass(frozen=True, slots=True)
class News:
    """What has happened since a page was last shown: the executions concerned, and whether events were published.

    `is_all`: whatever may have been missed.
    """

    numbers: frozenset[int] = frozenset()
    published: bool = False
    is_all: bool = False


class Do(Message):
    """A deed is to be done: it is asked for first where it wants to be, and said after."""

    def __init__(self, deed: Deed) -> None:
        super().__init__()
        self.deed = deed


class RunCommand(Message):
    """A command of polos is to be run, and what it says to be shown."""

    def __init__(self, *words: str) -> None:
        super().__init__()
        self.words = words


class OpenExecution(Message):
    """An execution is to be shown; by number, id, or as commands name it."""

    def __init__(self, reference: str) -> None:
        super().__init__()
        self.reference = reference


class StartWorkflow(Message):
    """A workflow is to be started, from its form."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__()
        self.workflow_id = workflow_id


class PublishEvent(Message):
    """An event is to be published, with a topic and data to begin with."""

    def __init__(self, topic: str = "", data: str = "{}") -> None:
        super().__init__()
        self.topic, self.data = topic, data


class Tell(Message):
    """Something is to be said."""

    def __init__(self, text: str, is_error: bool = False) -> None:
        super().__init__()
        self.text, self.is_error = text, is_error


class Page(Screen[None]):
    """A page. Pages say `content`, `look` (what is new) and `tick` (what only time has changed)."""

    DEFAULT_CSS = """
    Page { layout: vertical; }
    Page > Tabs { background: $boost; }
    Page > StandingLine { padding: 0 1; }
    Page .below { border-top: solid $primary; }
    Page Heading.below { height: 2; }
    """
    NAME: ClassVar[str]
    POLLS: ClassVar[float] = 0.0

    def __init__(self, reading: Reading, actions: Actions) -> None:
        super().__init__()
        self.reading, self.actions = reading, actions
        self._standing = Standing("")
        self._polled_at = 0.0

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        names = [f"{at} {name}" for at, name in enumerate(NAMES, 1)]
        yield Tabs(names, NAMES.index(self.NAME), id="pages")
        yield StandingLine()
        yield from self.content()
        yield Footer(show_command_palette=False)

    def content(self) -> ComposeResult:
        """Returns what is between the head and the keys."""
        raise NotImplementedError

    async def look(self, news: News) -> None:
        """Shows what is new."""
        raise NotImplementedError

    async def glance(self) -> None:
        """Looks for what no event tells, however little happens: each `POLLS` seconds, where that is not 0."""
        now = self.reading.clock.monotonic()
        if self.POLLS and now >= self._polled_at + self.POLLS:
            self._polled_at = now
            await self.look(News())

    def ask_again(self) -> None:
        """Has what no event tells looked for at once: something was done."""
        self._polled_at = 0.0

    def tick(self) -> None:
        """Shows how time has gone on."""
        for lines in self.query(Lines):
            lines.refresh()

    def stands(self, standing: Standing) -> None:
        """Shows how things stand."""
        self._standing = standing
        self.query_one(StandingLine).show(standing, self.narrowed())

    async def narrow(self) -> None:
        """Shows what is narrowed otherwise, and says so."""
        self.stands(self._standing)
        await self._guarded(partial(self.look, News(is_all=True)))

    def start_named(self) -> StartWorkflow:
        """Returns the message that starts the workflow under the cursor, or one that is named."""
        return StartWorkflow("")

    def event_named(self) -> PublishEvent:
        """Returns the message that sends an event: the one that is meant here, if there is one."""
        return PublishEvent()

    def open(self, reference: str) -> None:
        """Shows an execution, where this is the page of executions."""

    @property
    def command(self) -> str:
        """The command that shows the same."""
        raise NotImplementedError

    @property
    def copied(self) -> str | None:
        """The value under the cursor as JSON, while keys go to values."""
        focused = self.focused
        return to_json(focused.value, indent=True) if isinstance(focused, PayloadTree) else None

    def narrowed(self) -> str:
        """Returns what this page is narrowed to, as it was typed."""
        return ""

    def reads(self, reading: Callable[[], Coroutine[Any, Any, None]], group: str) -> None:
        """Reads beside what goes on; an earlier one of the same group is given up."""
        self.run_worker(partial(self._guarded, reading), exclusive=True, group=group)  # type: ignore[arg-type]  # is async

    async def _guarded(self, reading: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            with until_closed(self.app):
                await reading()
        except PolosError as error:
            self.fails(error)

    def fails(self, error: PolosError) -> None:
        """Says what was wrong."""
        self.post_message(Tell(f"{error.message}. {error.hint}" if error.hint else error.message, is_error=True))

    def is_only_read(self) -> bool:
        """Tells whether nothing can be done to what is shown, which is a bundle, and says so."""
        if self._standing.is_bundle:
            self.post_message(Tell(ONLY_READ, is_error=True))
        return self._standing.is_bundle

    def edit(self, text: str) -> str | None:
        """Returns a text as it was left in the person's editor; None: there is no editor, or it failed, which is said."""
        try:
            return editor.edit(self.app, text)
        except PolosError as error:
            self.fails(error)
            return None
