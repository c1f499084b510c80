"""The form of a suspend, from its data: its fields, and the answer that was typed into them. Shows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class FormField:
    """One field. `kind`: ``string``, ``number``, ``integer``, ``boolean`` or ``json``; `options`: the only values."""

    name: str
    label: str
    kind: str
    is_required: bool = False
    options: tuple[str, ...] = ()


_WANTED = {"integer": "a whole number", "number": "a number"}


def fields_of(request: str | None) -> list[FormField]:
    """Returns the fields of a suspend's ``form`` or ``schema``; none: it is a question of yes or no."""
    data = orjson.loads(request) if request else None
    form = data.get("form") or data.get("schema") if isinstance(data, dict) else None
    if not isinstance(form, dict):
        return []
    properties = form.get("properties", form)
    required = form.get("required", []) if "properties" in form else list(properties)
    if not isinstance(properties, dict):
        return []
    return [_field(str(name), about, name in required) for name, about in properties.items()]


def _field(name: str, about: Any, is_required: bool) -> FormField:
    schema = about if isinstance(about, dict) else {"type": str(about)}
    kind = schema.get("type")
    if kind not in ("string", "number", "integer", "boolean"):
        kind = "json" if kind in ("object", "array") else "string"
    options = schema.get("enum")
    return FormField(
        name, str(schema.get("description") or schema.get("title") or name), kind, is_required,
        tuple(one if isinstance(one, str) else orjson.dumps(one).decode() for one in options) if isinstance(options, list) else (),
    )  # fmt: skip


def answer_of(fields: list[FormField], typed: Mapping[str, str]) -> tuple[Any, list[str]]:
    """Returns the answer, and what is wrong with what was typed."""
    if not fields:
        word = typed.get("approved")
        return ({"approved": word == "true"}, []) if word in ("true", "false") else (None, ["choose one"])
    answer: dict[str, Any] = {}
    mistakes: list[str] = []
    for field in fields:
        text = typed.get(field.name, "").strip()
        if field.kind == "boolean":
            answer[field.name] = text == "true"
        elif not text:
            if field.is_required:
                mistakes.append(f"{field.label} is needed")
        elif field.options and text not in field.options:
            mistakes.append(f"{field.label}: one of {', '.join(field.options)}")
        else:
            try:
                answer[field.name] = _read(field.kind, text)
            except ValueError:
                mistakes.append(f"{field.label}: {_WANTED.get(field.kind, 'JSON')}")
    return answer, mistakes


def _read(kind: str, text: str) -> Any:
    if kind == "integer":
        return int(text)
    if kind == "number":
        number = float(text)
        if number != number or number in (float("inf"), float("-inf")):
            raise ValueError
        return int(number) if number.is_integer() and "." not in text and abs(number) < 1 << 53 else number
    return orjson.loads(text) if kind == "json" else text


def shown_of(data: Any) -> list[tuple[str, str]]:
    """Returns what a suspend puts before a person: names and texts."""
    if isinstance(data, dict):
        return [(str(key), _text(value)) for key, value in data.items() if key not in ("form", "schema")]
    return [] if data is None else [("request", _text(data))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
