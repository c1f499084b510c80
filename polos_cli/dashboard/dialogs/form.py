"""Asks for a value: field by field where its schema says which there are, else as JSON. Does nothing with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Label, Select, Static, TextArea

from polos.core import jsontext
from polos.core.answers import answer_of
from polos.core.forms import FormField
from polos_cli.dashboard.dialogs.box import Dialog, told
from polos_cli.dashboard.widgets.yesno import YesNo
from polos_cli.output.sanitize import clip, sanitize

NAME = "polos:name"
"""The field of a form's first line: a topic, a workflow."""


class Form(Dialog[tuple[str, Any] | None]):
    """Closes with what was typed: a name (empty, where none is asked for) and the value.

    Args:
        title: what it is about.
        fields: of the value; None: it is typed as JSON.
        text: the JSON to begin with, or the JSON that gives the fields their first values.
        name: a line of text that is asked for as well: (what it is, the text to begin with).
        edit: edits a text elsewhere and returns it, or None; there is ``ctrl+e`` where this is.
        wrong: what was wrong with what was sent before.
    """

    DEFAULT_CSS = """
    Form .row { height: auto; }
    Form .row > Label { width: 30%; max-width: 32; padding: 0 1 0 0; }
    Form .row > Input, Form .row > Select, Form .row > YesNo { width: 1fr; }
    """
    BINDINGS: ClassVar = [
        Binding("ctrl+s", "send", "send", priority=True), Binding("ctrl+e", "edit", "edit as JSON", priority=True),
    ]  # fmt: skip

    def __init__(
        self, title: str, fields: Sequence[FormField] | None = None, text: str = "null", name: tuple[str, str] | None = None,
        edit: Callable[[str], str | None] | None = None, wrong: str = "",
    ) -> None:  # fmt: skip
        super().__init__()
        self._title, self._fields, self._text, self._line, self._edit = title, fields, text, name, edit
        self._asks: dict[Widget, FormField] = {}
        self._wrong = wrong

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        self._asks.clear()
        with VerticalScroll(classes="box", can_focus=False):
            yield told(self._title)
            if self._line is not None:
                yield from self._row(FormField(NAME, self._line[0], "string", True), self._line[1])
            if self._fields is None:
                yield TextArea(self._text, id="json", soft_wrap=True)
            else:
                begins = _begins(self._text)
                for field in self._fields:
                    yield from self._row(field, begins.get(field.name, field.default))
            yield Static(classes="said", markup=False)
            yield Static(classes="keys", id="sends", markup=False)
            keys = "enter send   tab next   ctrl+e as JSON   esc leave" if self._fields is not None else (
                "ctrl+s send   tab next   ctrl+e in your editor   esc leave"
            )  # fmt: skip
            yield told(keys, classes="keys")

    def _row(self, field: FormField, begin: str) -> ComposeResult:
        kind = "" if field.kind in ("string", "boolean", "any") else f" ({field.kind})"
        hint = ", ".join(["JSON"] * (field.kind == "json") + ["optional"] * (not field.is_required))
        widget: YesNo | Select[str] | Input
        if field.kind == "boolean":
            widget = YesNo(None if not begin and not field.is_required else begin == "true")
        elif field.options:
            known = [(clip(sanitize(one), 60), one) for one in field.options]
            # With borders there is no room for the value in its one line.
            widget = Select(known, value=begin, compact=True) if begin in field.options else Select(known, compact=True)
        else:
            widget = Input(begin, placeholder=hint)
        self._asks[widget] = field
        with Horizontal(classes="row"):
            named = field.label.lower().replace(" ", "_") == field.name.lower() or field.name == NAME
            label = field.label if named else f"{field.name}: {field.label}"
            yield Label(f"{clip(sanitize(label), 60)}{kind}", markup=False)
            yield widget

    def on_mount(self) -> None:
        """Begins where something is to be typed."""
        wanted = list(self.query("Input, Select, YesNo, TextArea"))
        wrong = [one for one in wanted if (field := self._asks.get(one)) and _is_named(field.name, self._wrong)]
        empty = [
            one
            for one in wanted
            if (isinstance(one, Input) and not one.value) or (isinstance(one, Select) and one.is_blank())
        ]
        has_name = self._line is not None and bool(self._line[1])
        for one in (wrong or empty or wanted[1 if has_name and len(wanted) > 1 else 0 :])[:1]:
            one.focus()
        self._preview()
        self.say(self._wrong)

    def _typed(self) -> Mapping[str, str]:
        typed: dict[str, str] = {}
        for one in self.query("Input, Select, YesNo"):
            field = self._asks.get(one)
            if field is None:
                continue
            if isinstance(one, YesNo):
                typed[field.name] = "" if one.value is None else "true" if one.value else "false"
            elif isinstance(one, Select):
                typed[field.name] = "" if one.is_blank() else str(one.value)
            elif isinstance(one, Input):
                typed[field.name] = one.value
        return typed

    def _read(self) -> tuple[str, Any, list[str]]:
        typed = self._typed()
        name = typed.get(NAME, "").strip()
        mistakes = [f"{self._line[0]} is needed"] if self._line is not None and not name else []
        if self._fields is not None:
            value, wrong = answer_of(self._fields, typed)
            return name, value, mistakes + wrong
        try:
            return name, jsontext.loads(self.query_one("#json", TextArea).text.strip() or "null"), mistakes
        except ValueError as error:
            return name, None, [*mistakes, f"that is no JSON: {error}"]

    def _preview(self) -> None:
        if self._fields is not None:
            _, value, mistakes = self._read()
            room = max(20, self.size.width - 20)
            text = "" if mistakes else f"sends {clip(sanitize(jsontext.dumps(value)), room)}"
            self.query_one("#sends", Static).update(sanitize(text))

    def on_input_changed(self) -> None:
        """Shows what would be sent."""
        self._preview()

    def on_yes_no_changed(self) -> None:
        """Shows what would be sent."""
        self._preview()

    def on_select_changed(self) -> None:
        """Shows what would be sent."""
        self._preview()

    def on_input_submitted(self) -> None:
        """Sends it, when all is there; else goes on to what is not."""
        self.action_send()

    def action_send(self) -> None:
        """Closes it with what was typed, if that can be read."""
        name, value, mistakes = self._read()
        if mistakes:
            self.say("\n".join(mistakes))
            wrong = [one for one, field in self._asks.items() if mistakes[0].startswith((field.label, field.name))]
            for one in wrong[:1]:
                one.focus()  # which brings it into sight, and what is said may be out of it
                self.notify(sanitize(mistakes[0]), markup=False, severity="error", timeout=3)
        else:
            self.answer((name, value))

    async def action_edit(self) -> None:
        """Goes over to JSON: in the editor where there is one, else here."""
        name, value, mistakes = self._read()
        if self._fields is not None and mistakes:
            value = {key: text for key, text in self._typed().items() if key != NAME and text}
        text = (
            self.query_one("#json", TextArea).text if self._fields is None
            else jsontext.dumps(value, indent=True)
        )  # fmt: skip
        edited = self._edit(text) if self._edit is not None else None
        self._text = text if edited is None else edited
        self._fields = None
        if self._line is not None:
            self._line = (self._line[0], name)
        await self.recompose()
        self.on_mount()


def _begins(text: str) -> dict[str, str]:
    """Returns the first values of fields, as they would be typed."""
    try:
        found = jsontext.loads(text)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: one if isinstance(one, str) else jsontext.dumps(one) for name, one in found.items()}


def _is_named(name: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def _is_empty(one: Widget) -> bool:
    return (isinstance(one, Input) and not one.value) or (isinstance(one, Select) and one.is_blank())
