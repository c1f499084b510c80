"""Forms made from JSON schemas: their fields, and the value that was typed into them. Shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polos.core import jsontext


@dataclass(frozen=True, slots=True)
class FormField:
    """One field. `kind`: ``string``, ``number``, ``integer``, ``boolean`` or ``json``; `options`: the only values.

    Attributes:
        default: as it would be typed; empty: none.
    """

    name: str
    label: str
    kind: str
    is_required: bool = False
    options: tuple[str, ...] = ()
    default: str = ""


_WANTED = {"integer": "a whole number", "number": "a number"}
_KINDS = ("string", "number", "integer", "boolean")


def fields_of(request: str | None) -> list[FormField]:
    """Returns the fields of a suspend's ``form`` or ``schema``; none: it is a question of yes or no."""
    data = jsontext.loads(request) if request else None
    form = data.get("form") or data.get("schema") if isinstance(data, dict) else None
    if not isinstance(form, dict):
        return []
    properties = form.get("properties", form)
    required = form.get("required", []) if "properties" in form else list(properties)
    if not isinstance(properties, dict):
        return []
    return [_field(str(name), about, name in required, {}) for name, about in properties.items()]


def fields_of_schema(schema: Mapping[str, Any]) -> list[FormField] | None:
    """Returns the fields of a JSON schema of an object; None: it is of something else, or says nothing of its fields."""
    definitions = schema.get("$defs")
    found = _resolved(schema, definitions if isinstance(definitions, dict) else {})
    properties, required = found.get("properties"), found.get("required", [])
    if not isinstance(properties, dict) or not properties:
        return None
    known = definitions if isinstance(definitions, dict) else {}
    return [_field(str(name), about, name in required, known) for name, about in properties.items()]


def _resolved(about: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns what a reference names, and of "this or null" this."""
    schema: dict[str, Any] = about if isinstance(about, dict) else {"type": str(about)}
    for _ in range(8):  # a reference may name another one
        reference = schema.get("$ref")
        target = definitions.get(reference.rpartition("/")[2]) if isinstance(reference, str) else None
        either = [one for one in schema.get("anyOf", ()) if isinstance(one, dict) and one.get("type") != "null"]
        if isinstance(target, dict):
            schema = target | {key: schema[key] for key in ("default", "description", "title") if key in schema}
        elif len(either) == 1:
            schema = dict(either[0]) | {key: schema[key] for key in ("default", "description") if key in schema}
        else:
            break
    return schema


def _field(name: str, about: Any, is_required: bool, definitions: Mapping[str, Any]) -> FormField:
    schema = _resolved(about, definitions)
    kind = schema.get("type")
    if kind not in _KINDS:
        kind = "json" if kind in ("object", "array") or "anyOf" in schema or "properties" in schema else "string"
    options, default = schema.get("enum"), schema.get("default")
    return FormField(
        name, str(schema.get("description") or schema.get("title") or name), kind, is_required,
        tuple(map(_typed, options)) if isinstance(options, list) else (),
        "" if default is None else _typed(default),
    )  # fmt: skip


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value, default=str)


def answer_of(fields: Sequence[FormField], typed: Mapping[str, str]) -> tuple[Any, list[str]]:
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
    return jsontext.loads(text) if kind == "json" else text


def shown_of(data: Any) -> list[tuple[str, str]]:
    """Returns what a suspend puts before a person: names and texts."""
    if isinstance(data, dict):
        return [(str(key), _text(value)) for key, value in data.items() if key not in ("form", "schema")]
    return [] if data is None else [("request", _text(data))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value, indent=True)
