"""What is done to the execution under the cursor, by its keys. Which one that is, the page says."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import work
from textual.binding import Binding

from polos.core import jsontext
from polos.core.forms import FormField, fields_of, shown_of
from polos_cli.dashboard.actions import suspend_of
from polos_cli.dashboard.dialogs.box import ask
from polos_cli.dashboard.dialogs.line import Line
from polos_cli.dashboard.pages.page import Do, Page, RunCommand, Tell
from polos_cli.dashboard.reading import Whole


class DrivenPage(Page):
    """A page with one execution under its cursor."""

    BINDINGS: ClassVar = [
        Binding("a", "answer", "answer"), Binding("c", "cancel", "cancel"), Binding("r", "retry", "retry"),
        Binding("f", "fork", "fork"), Binding("d", "diff", "diff", show=False),
        Binding("y", "replay", "replay", show=False), Binding("x", "export", "export", show=False),
    ]  # fmt: skip

    async def under_cursor(self) -> Whole | None:
        """Returns the execution, read first where the cursor was quicker than the reading."""
        raise NotImplementedError

    @property
    def key(self) -> str | None:
        """The step under the cursor, of that execution."""
        raise NotImplementedError

    @work
    async def action_cancel(self) -> None:
        """Cancels what is shown."""
        if not self.is_only_read() and (whole := await self.under_cursor()) is not None:
            self.post_message(Do(self.actions.cancel(whole.execution)))

    @work
    async def action_retry(self) -> None:
        """Reopens what is shown."""
        if not self.is_only_read() and (whole := await self.under_cursor()) is not None:
            self.post_message(Do(self.actions.retry(whole)))

    @work
    async def action_answer(self) -> None:
        """Answers the suspend of what is shown."""
        from polos_cli.dashboard.dialogs.form import Form  # takes long to import

        whole = None if self.is_only_read() else await self.under_cursor()
        if whole is None:
            return
        wait = suspend_of(whole, self.key)
        if wait is None:
            self.post_message(Tell(f"answer: {whole.execution.number} asks nothing", is_error=True))
            return
        asked = "\n".join(f"  {name}: {text}" for name, text in shown_of(jsontext.loads(wait.request or "null")))
        title = f"{whole.execution.workflow_id} {whole.execution.number} asks at {wait.key!r}:\n{asked[:4_000]}"
        fields = fields_of(wait.request) or [FormField("approved", "approved", "boolean", True)]
        given = await ask(self.app, Form(title, fields, "{}", edit=self.edit))
        if given is not None:
            self.post_message(Do(self.actions.resume(whole.execution, wait, given[1])))

    @work
    async def action_fork(self) -> None:
        """Forks what is shown at the step under the cursor, with other values where they are edited."""
        if not self.is_only_read() and (whole := await self.under_cursor()) is not None:
            from polos_cli.dashboard.pages.forking import fork

            await self._guarded(partial(fork, self, whole.execution, self.key))

    @work
    async def action_diff(self) -> None:
        """Compares what is shown with another execution: the one whose fork it is, unless another is named."""
        whole = await self.under_cursor()
        if whole is None:
            return
        known = str(whole.origin.source_number) if whole.origin is not None else ""
        other = await ask(self.app, Line(f"Compare {whole.execution.number} with which execution?", known, True))
        if other is not None:
            line = self.actions.line
            first = line.reference(int(other)) if other.isdigit() else other
            self.post_message(RunCommand("diff", first, line.reference(whole.execution.number)))

    @work
    async def action_replay(self) -> None:
        """Runs today's code against what is recorded."""
        if (whole := await self.under_cursor()) is not None:
            self.post_message(RunCommand("replay", self.actions.line.reference(whole.execution.number)))

    @work
    async def action_export(self) -> None:
        """Writes what is shown, with its tree, to a file."""
        if (whole := await self.under_cursor()) is None:
            return
        number = whole.execution.number
        file = await ask(
            self.app, Line(f"Write {number} and its tree to which file?", f"execution-{number}.polos", True)
        )
        if file is not None:
            self.post_message(RunCommand("export", self.actions.line.reference(number), "-o", file))
