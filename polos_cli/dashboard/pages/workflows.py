"""The workflows, as the newest workers have told of them: what each is for, what it takes, and a form to start it."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
from textual.binding import Binding

from polos.core.forms import brief_of
from polos.core.manifest import Declared
from polos_cli.dashboard.pages.page import News, StartWorkflow
from polos_cli.dashboard.pages.tabular import TablePage
from polos_cli.dashboard.widgets.payload import PayloadTree, Section
from polos_cli.dashboard.widgets.tables import Row, Rows


class WorkflowsPage(TablePage):
    """The table, and below it what is known of the one under the cursor."""

    NAME = "workflows"
    BINDINGS: ClassVar = [Binding("enter", "start", "start", show=False)]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._found: dict[str, Declared] = {}

    def table(self) -> Rows:
        """See `TablePage`."""
        empty = "no worker has told of its workflows yet: polos dev and polos worker do"
        return Rows(("workflow", "input", "queue", "about"), empty=empty)

    async def look(self, news: News) -> None:
        """See `Page`."""
        self._found = {one.workflow_id: one for one in await self.reading.workflows()}
        self._rows.show([_row(one) for one in self._found.values()])

    def on_rows_moved(self, moved: Rows.Moved) -> None:
        """Shows what is known of the one under the cursor."""
        one = self.chosen(self._found)
        self.query_one(PayloadTree).show([] if one is None else _sections(one), moved.key)

    def open_row(self, opened: Rows.Opened) -> None:
        """Starts the one that was opened."""
        self.post_message(StartWorkflow(str(opened.key)))

    def start_named(self) -> StartWorkflow:
        """Returns the message that starts the one under the cursor."""
        return StartWorkflow(str(self._rows.key or ""))

    @property
    def command(self) -> str:
        """The command that shows the one under the cursor."""
        key = self._rows.key
        return self.actions.line.text("workflows", *([str(key)] if key else []))


def about_of(one: Declared) -> dict[str, Any]:
    """Returns what a worker has told of a workflow: ``description``, ``site``, ``input_schema``."""
    found = orjson.loads(one.about) if one.about else {}
    return found if isinstance(found, dict) else {}


def schema_of(one: Declared) -> dict[str, Any]:
    """Returns the input schema of a workflow; empty where none was told."""
    found = about_of(one).get("input_schema")
    return found if isinstance(found, dict) else {}


def _row(one: Declared) -> Row:
    about = about_of(one)
    first = str(about.get("description") or "").partition("\n")[0]
    return Row(
        one.workflow_id,
        (one.workflow_id, brief_of(schema_of(one)), one.queue or "", first),
        ("bold", "plain", "plain", "dim"),
    )


def _sections(one: Declared) -> list[Section]:
    about = about_of(one)
    sections = []
    if about.get("description"):
        sections.append(Section("about", str(about["description"]), prose=True))
    if about.get("site"):
        sections.append(Section("site", about["site"], "dim"))
    if schema_of(one):
        sections.append(Section("input schema", schema_of(one)))
    return sections
