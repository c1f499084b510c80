"""The frame that all dialogs have: a box in the middle, with what is said below. Asks nothing itself."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from textual.app import App
from textual.binding import Binding
from textual.content import Content
from textual.css.query import NoMatches
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from polos_cli.output.sanitize import sanitize

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A box above the page; escape leaves it with nothing (None)."""

    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > .box { width: 90%; max-width: 100; height: auto; max-height: 95%; padding: 0 1; }
    Dialog > .box { border: round $primary; background: $surface; }
    Dialog .said { color: $text-error; height: auto; }
    Dialog .keys { color: $text-muted; height: auto; }
    Dialog Input { border: none; border-left: outer $primary; height: 1; padding: 0; background: $boost; }
    Dialog TextArea { height: 12; border: none; border-left: outer $primary; padding: 0; background: $boost; }
    Dialog TextArea:focus, Dialog Input:focus { border: none; border-left: outer $accent; }
    Dialog Select { height: 1; }
    Dialog SelectCurrent { height: 1; padding: 0 1; background: $boost; }
    Dialog Select:focus > SelectCurrent #label { text-style: reverse; }
    """
    BINDINGS: ClassVar = [Binding("escape", "leave", "leave")]
    _has_answer = False

    def action_leave(self) -> None:
        """Closes it with nothing."""
        self.answer(None)

    def answer(self, value: T | None) -> None:
        """Closes it with an answer: the first one counts, whatever else was typed by then."""
        if not self._has_answer:
            self._has_answer = True
            self.dismiss(value)

    def say(self, text: str) -> None:
        """Says what is wrong."""
        try:
            self.query_one(".said", Static).update(Content(sanitize(text, multiline=True)))
        except NoMatches:
            pass


async def ask(app: App[Any], dialog: Screen[T | None]) -> T | None:
    """Shows a dialog above the page, and returns what it is closed with; None at once where there is one already.

    A key that came twice, before the first had been seen to, asks once.
    """
    if len(app.screen_stack) > 1:
        return None
    app.clear_notifications()  # they would lie over it
    return await app.push_screen_wait(dialog)


def told(text: str, **options: str) -> Static:
    """Returns text as a widget; nothing in it is markup, and nothing steers."""
    return Static(Content(sanitize(text, multiline=True)), markup=False, **options)  # type: ignore[arg-type]  # a widget's own
