"""A page of one table, and below it what is known of the row under its cursor. Which rows, each page says."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.widget import Widget

from polos_cli.dashboard.pages.page import Page
from polos_cli.dashboard.widgets.lines import Heading
from polos_cli.dashboard.widgets.payload import PayloadTree
from polos_cli.dashboard.widgets.tables import Rows

T = TypeVar("T")


class TablePage(Page):
    """The table above, and a widget below, which is a payload's tree where the page says no other."""

    DEFAULT_CSS = """
    TablePage Rows, TablePage > Heading { margin: 0 1; }
    TablePage Rows { height: 1fr; }
    TablePage > .below { height: 1fr; padding: 0 0 0 1; }
    TablePage > Heading.below { height: 2; margin: 0; padding: 0 1; }
    """
    POLLS: ClassVar[float] = 1.0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._rows = self.table()

    def table(self) -> Rows:
        """Makes the table."""
        raise NotImplementedError

    def below(self) -> ComposeResult:
        """Returns what is below it."""
        yield PayloadTree(classes="below")

    def content(self) -> ComposeResult:
        """See `Page`."""
        yield Heading(self._rows)
        yield self._rows
        yield from self.below()

    def on_mount(self) -> None:
        """Begins in the table."""
        self._rows.focus()

    def chosen(self, found: dict[Any, T]) -> T | None:
        """Returns what the row under the cursor stands for."""
        return found.get(self._rows.key)

    def on_rows_opened(self, opened: Rows.Opened) -> None:
        """Opens a row."""
        self.open_row(opened)

    def open_row(self, opened: Rows.Opened) -> None:
        """Goes to what is below."""
        self.query(".below").last(Widget).focus()
