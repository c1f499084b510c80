"""Forms made from JSON schemas: their fields, and whether what was typed or given fits them. Shows nothing."""

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


_WANTED = {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false"}
_SAMPLES: dict[str, Any] = {"integer": 1, "number": 1.5, "string": "...", "boolean": True, "json": {}}
_WORDS = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}
_KINDS = ("string", "number", "integer", "boolean")


def fields_of(request: str | None) -> list[FormField]:
    """Returns the fields of a suspend's ``form`` or ``schema``; none: it is a question of yes or no."""
    return fields_in(jsontext.loads(request) if request else None)


def fields_in(data: Any) -> list[FormField]:
    """Returns the fields of what a suspend puts before a person."""
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


def field_of(schema: Mapping[str, Any]) -> FormField | None:
    """Returns the one field of a schema of a plain value, such as a number; None: it is of something else."""
    if schema.get("type") not in _KINDS:
        return None
    return _field(str(schema.get("title") or "value"), schema, "default" not in schema, {})


def brief_of(schema: Mapping[str, Any]) -> str:
    """Returns what a schema takes in a few words: its fields, those that may be left out in brackets, else its type."""
    reference, definitions = schema.get("$ref"), schema.get("$defs")
    found = schema
    if isinstance(reference, str) and isinstance(definitions, dict):
        found = definitions.get(reference.rpartition("/")[2], {})
    required = set(found.get("required", []))
    names = [name if name in required else f"[{name}]" for name in found.get("properties", {})]
    kind = str(found.get("type", "any"))
    return " ".join(names) or (f"[{kind}]" if "default" in schema else kind)


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
        else:
            try:
                answer[field.name] = value_of(field, text)
            except ValueError as error:
                mistakes.append(f"{field.label}: {error}")
    return answer, mistakes


def value_of(field: FormField, text: str) -> Any:
    """Returns the value that was typed into a field.

    Raises:
        ValueError: it is not one of the field's; says what is wanted.
    """
    if field.options and text not in field.options:
        raise ValueError(f"one of {', '.join(field.options)}")
    if field.kind == "boolean":
        if text.lower() not in _WORDS:
            raise ValueError("yes or no")
        return _WORDS[text.lower()]
    if "\0" in text:
        raise ValueError("a text without NUL")
    try:
        return _read(field.kind, text)
    except ValueError:
        raise ValueError(_WANTED.get(field.kind, "JSON")) from None


def mistakes_in(fields: Sequence[FormField], answer: Any) -> list[str]:
    """Returns what is wrong with an answer that was given whole; without fields, every answer is right."""
    if not fields:
        return []
    if not isinstance(answer, dict):
        return [f"an object with {', '.join(field.name for field in fields)} is wanted"]
    known = {field.name: field for field in fields}
    mistakes = [f"the form has no {name!r}" for name in answer if name not in known]
    for name, field in known.items():
        value = answer.get(name)
        if value is None:
            if field.is_required:
                mistakes.append(f"{name!r} is needed")
        elif field.options and _typed(value) not in field.options:
            mistakes.append(f"{name!r}: one of {', '.join(field.options)}")
        elif not field.options and not _fits(field.kind, value):
            mistakes.append(f"{name!r}: {_WANTED[field.kind]}")
    return mistakes


def sample_of(fields: Sequence[FormField]) -> Any:
    """Returns an answer that shows how one is written: its fields with a value of their kind each."""
    if not fields:
        return {"approved": True}
    return {field.name: _sample(field) for field in fields}


def _sample(field: FormField) -> Any:
    text = field.default or (field.options[0] if field.options else "")
    try:
        return value_of(field, text) if text else _SAMPLES[field.kind]
    except ValueError:
        return _SAMPLES[field.kind]


def _fits(kind: str, value: Any) -> bool:
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case _:
            return True


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
