"""The queues: their limits, who holds a place, how many wait."""

from __future__ import annotations

from functools import partial
from typing import Any

from textual.app import ComposeResult

from polos.core.durations import show_duration
from polos.core.manifest import QueueState
from polos_cli.dashboard.pages.page import News, OpenExecution
from polos_cli.dashboard.pages.tabular import TablePage
from polos_cli.dashboard.reading import ExecutionRow
from polos_cli.dashboard.widgets.lines import Heading
from polos_cli.dashboard.widgets.tables import Row, Rows
from polos_cli.output import style

SHOWN = 50
"""Holders that are listed."""


class QueuesPage(TablePage):
    """The table, and below it the executions that hold a place in the one under the cursor."""

    NAME = "queues"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._found: dict[tuple[str, str], QueueState] = {}

    def table(self) -> Rows:
        """See `TablePage`."""
        empty = 'no queues: @workflow(queue=polos.queue("mail", 3)) declares one'
        return Rows(
            ("queue", "key", "limit", "running", "waiting", "first since"), right=(2, 3, 4, 5), empty=empty, id="queues"
        )

    def below(self) -> ComposeResult:
        """See `TablePage`."""
        heads = ("holds a place", "workflow", "status", "for")
        holders = Rows(heads, right=(0, 3), empty="nothing holds a place", id="holders")
        yield Heading(holders, classes="below")
        yield holders

    async def look(self, news: News) -> None:
        """See `Page`."""
        now = self.reading.clock.now()
        self._found = {(one.name, one.concurrency_key): one for one in await self.reading.queues()}
        self._rows.show([_row(one, now) for one in self._found.values()])

    def on_rows_moved(self, moved: Rows.Moved) -> None:
        """Shows the holders of the one under the cursor."""
        if moved.rows.id == "queues":
            one = self.chosen(self._found)
            self.reads(partial(self._holders, one), "holders")

    async def _holders(self, one: QueueState | None) -> None:
        now = self.reading.clock.now()
        rows = [] if one is None else await self.reading.some(one.running[:SHOWN])
        self.query_one("#holders", Rows).show([_holder(row, now) for row in rows])

    def open_row(self, opened: Rows.Opened) -> None:
        """Opens a holder; goes to the holders."""
        if opened.rows.id == "holders":
            self.post_message(OpenExecution(str(opened.key)))
        else:
            self.query_one("#holders").focus()

    @property
    def command(self) -> str:
        """The command that shows the same."""
        return self.actions.line.text("queues")


def _row(one: QueueState, now: int) -> Row:
    limit = "" if one.concurrency_limit is None else str(one.concurrency_limit)
    since = "" if one.oldest_at is None else show_duration(max(0, now - one.oldest_at))
    is_full = one.concurrency_limit is not None and len(one.running) >= one.concurrency_limit
    cells = (one.name, one.concurrency_key, limit, str(len(one.running)), str(one.queued), since)
    return Row(
        (one.name, one.concurrency_key),
        cells,
        ("bold", "plain", "plain", "yellow" if is_full else "plain", "plain", "dim"),
    )


def _holder(row: ExecutionRow, now: int) -> Row:
    cells = (str(row.number), row.workflow_id, style.word(row.status), show_duration(max(0, now - row.created_at)))
    return Row(row.number, cells, ("bold", "plain", style.look(row.status).style, "dim"))
