"""Asks for what a workflow is started with, and for an event to send, until it is taken or left. Nothing typed is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from textual.app import App

from polos.core.forms import field_of, fields_of_schema
from polos_cli.dashboard.actions import Actions, Deed, to_json
from polos_cli.dashboard.dialogs.box import ask
from polos_cli.dashboard.dialogs.form import Form
from polos_cli.dashboard.pages.workflows import about_of, schema_of
from polos_cli.dashboard.reading import Reading


@dataclass(frozen=True, slots=True)
class Asking:
    """Who is asked, and what is done with the answer.

    Attributes:
        does: does a deed; returns what was wrong with it, empty where it was done.
        edit: edits a text in the person's editor; None where there is none.
    """

    app: App[None]
    does: Callable[[Deed], Awaitable[str]]
    edit: Callable[[str], str | None]

    async def start(self, reading: Reading, actions: Actions, workflow_id: str) -> None:
        """Starts a workflow, from the form of its schema where a worker has told one. Raises `PolosError`: it cannot be read."""
        declared = {one.workflow_id: one for one in await reading.workflows()}
        if not workflow_id and declared:
            await self.app.run_action("page('workflows')")
            self.app.notify("choose a workflow: enter or i starts it", markup=False)
            return
        found = declared.get(workflow_id)
        schema = schema_of(found) if found is not None else {}
        about = str(about_of(found).get("description") or "").partition("\n")[0] if found is not None else ""
        title = f"Start {workflow_id}\n{about}".strip() if found is not None else "Start a workflow"
        fields, plain = fields_of_schema(schema), field_of(schema)
        if fields is None and plain is not None:
            fields = [plain]  # the payload itself
        else:
            plain = None
        begins = {"None": "null", "null": "null", "array": "[]"}
        text = begins.get(str(schema.get("type")), "{}") if fields is None else "{}"
        name = None if found is not None else ("workflow", workflow_id)
        wrong = ""
        while True:
            given = await ask(self.app, Form(title, fields, text, name, self.edit, wrong))
            if given is None:
                return
            wanted = workflow_id if found is not None else given[0]
            payload = typed = given[1]
            if plain is not None and isinstance(payload, dict) and payload.keys() <= {plain.name}:
                payload = payload.get(plain.name)
            elif plain is not None:
                typed = {plain.name: payload}
            wrong = await self.does(actions.start(wanted, payload))
            if not wrong:
                return
            text, name = to_json(typed, indent=True), None if name is None else (name[0], wanted)

    async def publish(self, actions: Actions, topic: str, text: str) -> None:
        """Publishes an event."""
        wrong = ""
        while True:
            form = Form("Send an event", None, text, ("topic", topic), self.edit, wrong)
            given = await ask(self.app, form)
            if given is None:
                return
            wrong = await self.does(actions.publish(*given))
            if not wrong:
                return
            topic, text = given[0], to_json(given[1], indent=True)
