"""The schedules: when each fires next, what it has started, and what became of its slots."""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from textual.app import ComposeResult
from textual.binding import Binding

from polos import schedules
from polos.authoring.payload import instant
from polos.core.durations import show_duration
from polos.core.manifest import Schedule
from polos_cli.dashboard.pages.page import Do, News, OpenExecution
from polos_cli.dashboard.pages.tabular import TablePage
from polos_cli.dashboard.widgets.tables import Row, Rows
from polos_cli.dashboard.widgets.texts import Text, Texts

_NEXT = 20


class SchedulesPage(TablePage):
    """The table, and below it the next times of the one under the cursor."""

    NAME = "schedules"
    BINDINGS: ClassVar = [Binding("t", "trigger", "trigger now"), Binding("p", "pause", "pause or resume")]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._found: dict[str, Schedule] = {}

    def table(self) -> Rows:
        """See `TablePage`."""
        heads = ("schedule", "cron", "next", "in", "last", "started", "skipped", "missed", "state")
        empty = 'no schedules: @workflow(schedule="0 9 * * *") declares one'
        return Rows(heads, right=(3, 5, 6, 7), spare=(4, 6, 7, 5), empty=empty)

    def below(self) -> ComposeResult:
        """See `TablePage`."""
        yield Texts(classes="below")

    async def look(self, news: News) -> None:
        """See `Page`."""
        now = self.reading.clock.now()
        self._found = {one.id: one for one in await self.reading.schedules()}
        is_held = await self.reading.schedules_are_held()
        self._rows.show([_row(one, now, is_held) for one in self._found.values()])

    def tick(self) -> None:
        """Times are told anew each second."""

    def on_rows_moved(self, moved: Rows.Moved) -> None:
        """Shows the next times of the one under the cursor."""
        one = self.chosen(self._found)
        lines = [] if one is None else _lines(one)
        shown = self.query_one(Texts)
        shown.show(lines, is_other=shown.of != moved.key)
        shown.of = moved.key

    def open_row(self, opened: Rows.Opened) -> None:
        """Opens the execution that it started last."""
        one = self.chosen(self._found)
        if one is not None and one.execution is not None:
            self.post_message(OpenExecution(str(one.execution)))

    def _do(self, what: Literal["trigger", "pause", "resume"]) -> None:
        one = self.chosen(self._found)
        if one is not None:
            self.post_message(Do(self.actions.schedule(one, what)))

    def action_trigger(self) -> None:
        """Starts its workflow now."""
        self._do("trigger")

    def action_pause(self) -> None:
        """Pauses it, or lets it go on."""
        one = self.chosen(self._found)
        self._do("resume" if one is not None and one.is_paused else "pause")

    @property
    def command(self) -> str:
        """The command that shows the same."""
        return self.actions.line.text("schedules")


def _row(one: Schedule, now: int, is_held: bool) -> Row:
    rule = one.rule
    name = rule.workflow_id if rule.key == "global" else f"{rule.workflow_id}/{rule.key}"
    zone = "" if rule.timezone == "UTC" else f" {rule.timezone}"
    following = "" if one.next_at is None else _local(one.next_at, rule.timezone)
    left = "" if one.next_at is None else show_duration(max(0, one.next_at - now))
    last = "" if one.last_at is None else _local(one.last_at, rule.timezone)
    state = one.fault or ("paused" if one.is_paused else "held" if is_held else "on")
    if one.queued:
        state = f"{state}, {one.queued} queued"
    look = "red" if one.fault else "yellow" if one.is_paused or is_held else "green"
    cells = (name, rule.cron + zone, following, left, last, str(one.started), str(one.skipped), str(one.missed), state)
    return Row(one.id, cells, ("bold", "plain", "plain", "plain", "dim", "plain", "plain", "plain", look))


def _local(at: int, zone: str) -> str:
    return instant(at).astimezone(ZoneInfo(zone)).strftime("%a %d %b %H:%M")


def _lines(one: Schedule) -> list[Text]:
    rule = one.rule
    last = f"; enter opens execution {one.execution}, the last one" if one.execution is not None else ""
    made = "declared in code" if one.is_declared else "made by the API"
    lines = [Text(f"overlap: {rule.overlap}   catchup: {rule.catchup}   {made}{last}", look="dim")]
    if one.is_paused:
        return [*lines, Text("paused: p lets it go on", look="yellow")]
    return lines + [Text(time.strftime("%a %Y-%m-%d %H:%M %z"), "next") for time in schedules.next_times(one, _NEXT)]
