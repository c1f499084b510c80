"""The workers that are up: their processes, their code, what they take."""

from __future__ import annotations

from typing import Any

from polos.core.durations import show_duration
from polos.core.manifest import WorkerInfo
from polos_cli.dashboard.pages.page import News
from polos_cli.dashboard.pages.tabular import TablePage
from polos_cli.dashboard.widgets.payload import PayloadTree, Section
from polos_cli.dashboard.widgets.tables import Row, Rows

_TAKES = {"all": "all that it can run", "own": "what it started", "rest": "what no other takes", "none": "nothing new"}


class WorkersPage(TablePage):
    """The table, and below it the workflows of the one under the cursor."""

    NAME = "workers"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._found: dict[str, WorkerInfo] = {}

    def table(self) -> Rows:
        """See `TablePage`."""
        return Rows(("process", "project", "code", "takes", "workflows", "up for"), right=(0, 4, 5),
                    empty="no worker is up: polos dev, polos worker and polos run are workers")  # fmt: skip

    async def look(self, news: News) -> None:
        """See `Page`."""
        now = self.reading.clock.now()
        self._found = {one.id: one for one in await self.reading.workers()}
        self._rows.show([_row(one, now) for one in self._found.values()])

    def on_rows_moved(self, moved: Rows.Moved) -> None:
        """Shows the one under the cursor."""
        one = self.chosen(self._found)
        sections = [] if one is None else [Section("workflows", sorted(one.workflow_ids)), Section("id", one.id, "dim")]
        self.query_one(PayloadTree).show(sections, moved.key)

    @property
    def command(self) -> str:
        """The command that shows the same."""
        return self.actions.line.text("doctor")


def _row(one: WorkerInfo, now: int) -> Row:
    up = show_duration(max(0, now - one.started_at))
    cells = (str(one.pid), one.project, one.code, _TAKES[one.claims], str(len(one.workflow_ids)), up)
    return Row(one.id, cells, ("bold", "plain", "plain", "plain", "plain", "dim"))
