"""The events that were published, newest first, live, and the data of the one under the cursor."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import work
from textual.binding import Binding

from polos.core import codec
from polos.core.model import Event
from polos_cli.dashboard.actions import to_json
from polos_cli.dashboard.dialogs.box import ask
from polos_cli.dashboard.dialogs.line import Line
from polos_cli.dashboard.pages.page import News, PublishEvent
from polos_cli.dashboard.pages.tabular import TablePage
from polos_cli.dashboard.widgets.payload import PayloadTree, Section
from polos_cli.dashboard.widgets.tables import Row, Rows
from polos_cli.session import clock_time


class EventsPage(TablePage):
    """The table, and below it the data."""

    NAME = "events"
    POLLS = 0.0
    BINDINGS: ClassVar = [
        Binding("slash", "filter", "filter", key_display="/"), Binding("e", "app.event", "send an event"),
    ]  # fmt: skip

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._topic = ""
        self._found: dict[int, Event] = {}

    def table(self) -> Rows:
        """See `TablePage`."""
        heads = ("position", "time", "topic", "type", "data")
        return Rows(heads, right=(0,), spare=(0,))

    def narrowed(self) -> str:
        """See `Page`."""
        return self._topic

    async def look(self, news: News) -> None:
        """See `Page`."""
        if not (news.is_all or news.published or self._topic):
            return
        nothing = f"no event on {self._topic}" if self._topic else "no event was published yet"
        self._rows.empty = f"{nothing}: e sends one"
        found = await self.reading.events(self._topic)
        self._found = {one.position: one for one in found}
        self._rows.show([_row(one) for one in found])

    def tick(self) -> None:
        """Nothing here grows old."""

    def on_rows_moved(self, moved: Rows.Moved) -> None:
        """Shows the data of the one under the cursor."""
        event = self.chosen(self._found)
        sections = [] if event is None else [
            Section("data", codec.plain(event.data)),
            Section("about", {"topic": event.topic, "sequence": event.sequence, "id": event.id}, "dim"),
        ]  # fmt: skip
        self.query_one(PayloadTree).show(sections, moved.key)

    @work
    async def action_filter(self) -> None:
        """Narrows the table to a topic."""
        text = await ask(
            self.app, Line("Show only which topic? A * at its end takes all that start so. Empty: all.", self._topic)
        )
        if text is not None:
            self._topic = text
            await self.narrow()

    def event_named(self) -> PublishEvent:
        """Returns the message that sends an event like the one under the cursor."""
        event = self.chosen(self._found)
        return (
            PublishEvent()
            if event is None
            else PublishEvent(event.topic, to_json(codec.plain(event.data), indent=True))
        )

    @property
    def command(self) -> str:
        """The command that shows the same."""
        return self.actions.line.text("events", *(["--topic", self._topic] if self._topic else []))


def _row(one: Event) -> Row:
    text = one.data.text if len(one.data.text) <= 300 else one.data.text[:300] + "…"
    cells = (str(one.position), clock_time(one.created_at), one.topic, one.type or "", text)
    return Row(one.position, cells, ("dim", "dim", "bold", "plain", "plain"))
