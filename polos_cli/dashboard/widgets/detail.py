"""One execution: why it is where it is, its steps along a timeline, and below all that is known of what is under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from polos.clock import Clock
from polos.core.model import Event
from polos_cli.dashboard.looks import wrapped
from polos_cli.dashboard.reading import Whole
from polos_cli.dashboard.widgets import values
from polos_cli.dashboard.widgets.lines import Heading
from polos_cli.dashboard.widgets.payload import PayloadTree, Section
from polos_cli.dashboard.widgets.steps import StepTree
from polos_cli.dashboard.widgets.tabs import Tabs
from polos_cli.dashboard.widgets.texts import Text, Texts
from polos_cli.output.sanitize import clip, sanitize
from polos_cli.view.feed import tree_of

PANES = ("value", "attempts", "logs", "events", "state", "children")


class Detail(Vertical):
    """The tree above, and below it the panes of what is under its cursor."""

    DEFAULT_CSS = """
    Detail > #title { height: auto; max-height: 4; padding: 0 1; }
    Detail > #tree-head { margin: 0 1; }
    Detail > StepTree { height: 3fr; margin: 0 1; }
    Detail > Tabs { background: $boost; }
    Detail > ContentSwitcher { height: 2fr; padding: 0 0 0 1; }
    """

    class HistoryWanted(Message):
        """The past of what is shown is to be looked at."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class Opened(Message):
        """Another execution of the tree is to be shown."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, clock: Clock, **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock
        self._past: Sequence[Event] = ()
        self._at: int | None = None
        self._pane = 0
        self._told = ""
        self.whole: Whole | None = None

    def compose(self) -> ComposeResult:
        """See `Widget`."""
        tree = StepTree(self._clock)
        yield Static(id="title", markup=False)
        yield Heading(tree, id="tree-head")
        yield tree
        yield Tabs(PANES, hint="[ ] ", id="panes")
        with ContentSwitcher(initial="value"):
            yield PayloadTree(id="value")
            yield Texts(id="attempts", empty="no attempt has failed")
            yield Texts(id="logs", follows=True, empty="nothing was logged")
            yield Texts(id="events", follows=True, empty="nothing was told")
            yield PayloadTree(id="state", empty="it keeps no state")
            yield Texts(id="children", empty="no children")

    @property
    def moment(self) -> int | None:
        """The instant of the past that is shown; None: it is now."""
        return None if self._at is None else self._past[self._at].created_at

    def show(self, whole: Whole | None) -> None:
        """Shows an execution as it is now, or nothing; a moment of its past stays on the screen."""
        is_other = whole is None or self.whole is None or whole.execution.number != self.whole.execution.number
        self.whole = whole
        if is_other:
            self._past, self._at = (), None
        if self._at is None:
            self._show_now()
        else:
            self._show_past()

    def _show_now(self) -> None:
        whole, tree = self.whole, self.query_one(StepTree)
        if whole is None:
            tree.show(None, {})
            self._title(["no execution"])
            self.query_one("#value", PayloadTree).show([], None)
            return
        tree.show(whole.tree.executions.get(whole.execution.number), whole.statuses)
        self.tell_why()
        self.show_panes()

    def tell_why(self) -> None:
        """Says why it is where it is, as of now."""
        if self.whole is not None and self._at is None:
            why = self.whole.why(self._clock.now())
            room = max(8, self.size.width - 2)
            details = [line for one in why.details[:2] for line in wrapped(one, room)[:2]]
            self._title([*wrapped(why.headline, room)[:2], *details])

    def _title(self, lines: Sequence[str]) -> None:
        room = max(8, self.size.width - 2)
        text = "\n".join(clip(line, room) for line in lines)
        if text != self._told:
            is_as_high = text.count("\n") == self._told.count("\n")  # else all below it moves
            self._told = text
            shown = Content(sanitize(text, multiline=True))
            self.query_one("#title", Static).update(shown, layout=not is_as_high)

    # ── the past ─────────────────────────────────────────────────────────────────────────────────────

    def on_step_tree_scrubbed(self, scrubbed: StepTree.Scrubbed) -> None:
        """Goes to another moment; the past is asked for where it is not there."""
        scrubbed.stop()
        if self.whole is None:
            return
        if self._at is None:
            if scrubbed.by < 0:
                self.post_message(self.HistoryWanted(scrubbed.by))
            return
        self._go(self._at + scrubbed.by)

    def enter_past(self, past: Sequence[Event], by: int) -> None:
        """Shows a moment of the past, so many happenings back from the last."""
        if past:
            self._past = past
            self._go(len(past) - 1 + by)

    def _go(self, at: int) -> None:
        if at >= len(self._past):
            self.leave_past()
            return
        self._at = max(0, at)
        self._show_past()

    def _show_past(self) -> None:
        assert self._at is not None and self.whole is not None
        number = self.whole.execution.number
        then = tree_of(self._past[: self._at + 1])
        self.query_one(StepTree).show(
            then.executions.get(number), {}, self._past[self._at].created_at, self.whole.tree.executions.get(number)
        )
        self._title([f"◀ {values.moment_of(self._past, self._at)}", "← → move in time, esc goes back to now"])
        self.show_panes()

    def leave_past(self) -> bool:
        """Goes back to now; tells whether the past was shown."""
        if self._at is None:
            return False
        self._past, self._at = (), None
        self._show_now()
        return True

    # ── the panes ────────────────────────────────────────────────────────────────────────────────────

    def show_panes(self) -> None:
        """Shows what is under the cursor of the tree."""
        whole, selected = self.whole, self.query_one(StepTree).selected
        if whole is None:
            return
        number, key = selected or (whole.execution.number, None)
        own = number == whole.execution.number
        of = (number, key)
        shown = self.query_one("#value", PayloadTree)
        if own:
            shown.show(values.sections_of(whole, key, self.moment), of)
        else:
            shown.show([Section(f"execution {number}", "enter opens it", prose=True)], of)
        of_key = key if own else None
        self._texts("attempts", values.attempts_of(whole, of_key) if own else [], of)
        self._texts("logs", values.logs_of(whole, of_key, self.moment) if own else [], of)
        self._texts("events", values.events_of(whole, number, key, self.moment), of)
        self.query_one("#state", PayloadTree).show(values.state_of(whole), whole.execution.number)
        self._texts("children", values.children_of(whole.tree, number, dict(whole.statuses)), of)
        self._name_panes(whole, of_key)

    def _texts(self, name: str, lines: list[Text], of: object) -> None:
        pane = self.query_one(f"#{name}", Texts)
        pane.show(lines, is_other=pane.of != of)
        pane.of = of

    def _name_panes(self, whole: Whole, key: str | None) -> None:
        attempts = sum(key in (None, one.key) for one in whole.attempts) + len(whole.superseded)
        logs = sum(key in (None, one.step_key) for one in whole.lines)
        found = whole.tree.executions.get(whole.execution.number)
        counts = {"attempts": attempts, "logs": logs, "children": len(found.children) if found else 0}
        names = [f"{name} {counts[name]}" if counts.get(name) else name for name in PANES]
        self.query_one("#panes", Tabs).show(names, self._pane)

    def turn(self, by: int) -> None:
        """Shows the next pane, or the one before."""
        self.choose((self._pane + by) % len(PANES))

    def choose(self, pane: int) -> None:
        """Shows a pane; keys go there if they went to the one before."""
        switcher = self.query_one(ContentSwitcher)
        had_keys = switcher.has_focus_within
        self._pane = pane
        switcher.current = PANES[pane]
        if had_keys:
            self.pane.focus()
        if self.whole is not None:
            self.show_panes()

    @property
    def pane(self) -> Widget:
        """The pane that is shown."""
        return self.query_one(f"#{PANES[self._pane]}")

    def on_tabs_chosen(self, chosen: Tabs.Chosen) -> None:
        """Shows the pane that was clicked."""
        chosen.stop()
        self.choose(chosen.at)

    def on_step_tree_moved(self, moved: StepTree.Moved) -> None:
        """Shows what is under the cursor."""
        moved.stop()
        self.show_panes()

    def on_step_tree_opened(self, opened: StepTree.Opened) -> None:
        """Opens a child, or goes to the values of a step."""
        opened.stop()
        if self.whole is not None and opened.execution != self.whole.execution.number:
            self.post_message(self.Opened(opened.execution))
        else:
            self.pane.focus()

    def on_texts_opened(self, opened: Texts.Opened) -> None:
        """Opens a child."""
        opened.stop()
        if isinstance(opened.what, int):
            self.post_message(self.Opened(opened.what))
