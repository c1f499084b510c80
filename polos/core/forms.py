"""Forms made from JSON schemas: their fields, and what a question puts before a person. Shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polos.core import jsontext


@dataclass(frozen=True, slots=True)
class FormField:
    """One field. `options`: the only values, as they are typed.

    Attributes:
        kind: ``string``, ``number``, ``integer``, ``boolean``, ``json`` (an object, a list, one of several types) or
            ``any``: text, or JSON where it is some.
        default: as it would be typed; empty: none.
        is_nullable: null is a value of it, too.
        rules: what else a value must be: keywords of JSON Schema (draft 2020-12, validation), as far as they are known here.
    """

    name: str
    label: str
    kind: str
    is_required: bool = False
    options: tuple[str, ...] = ()
    default: str = ""
    is_nullable: bool = False
    rules: tuple[tuple[str, Any], ...] = ()


_KINDS = ("string", "number", "integer", "boolean")
_TYPES = frozenset({*_KINDS, "object", "array", "null"})
_BY_PYTHON = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
}
_KEYWORDS = frozenset({
    "type", "title", "description", "default", "examples", "enum", "const", "format", "pattern", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "items", "prefixItems", "minItems", "maxItems",
    "uniqueItems", "additionalProperties", "required", "$schema", "$id", "$defs", "$comment",
})  # fmt: skip
_SEVERAL = ("anyOf", "oneOf", "allOf", "$ref")
RULES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "minimum": ((int, float), "at least {}"), "maximum": ((int, float), "at most {}"),
    "exclusiveMinimum": ((int, float), "more than {}"), "exclusiveMaximum": ((int, float), "less than {}"),
    "minLength": (str, "at least {} characters"), "maxLength": (str, "at most {} characters"),
    "minItems": (list, "at least {} of them"), "maxItems": (list, "at most {} of them"),
}  # fmt: skip


def fields_of(request: str | None) -> Fields:
    """Returns the fields of a suspend's ``form`` or ``schema``; none: it is a question of yes or no."""
    return fields_in(jsontext.loads(request) if request else None)


class Fields(list[FormField]):
    """The fields of a form. `is_open`: an answer may have others, too."""

    is_open = False


def fields_in(data: Any) -> Fields:
    """Returns the fields of what a suspend puts before a person.

    A form is the JSON schema of an object, or names its fields, each with its schema or type: all of these are needed,
    but for those with a default, and with ``"required": false``. A schema of something else has no fields.
    """
    form = data.get("form") or data.get("schema") if isinstance(data, dict) else None
    if not isinstance(form, dict):
        return Fields()
    if not _is_schema(form):
        return Fields(_field(str(name), about, not _is_optional(about), {}) for name, about in form.items())
    fields = Fields(fields_of_schema(form) or ())
    fields.is_open = form.get("additionalProperties") is not False
    return fields


def _is_schema(form: Mapping[str, Any]) -> bool:
    """Tells whether a form is a JSON schema; else it names its fields, of which one may be called ``type``."""
    if isinstance(form.get("properties"), dict) or any(isinstance(form.get(key), list | str) for key in _SEVERAL):
        return True
    kind = form.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    return all(isinstance(one, str) and one in _TYPES for one in kinds) and form.keys() <= _KEYWORDS


def _is_optional(about: Any) -> bool:
    return isinstance(about, dict) and (about.get("required") is False or "default" in about)


def fields_of_schema(schema: Mapping[str, Any]) -> list[FormField] | None:
    """Returns the fields of a JSON schema of an object; None: it is of something else, or says nothing of its fields."""
    definitions = schema.get("$defs")
    known = definitions if isinstance(definitions, dict) else {}
    found = _resolved(schema, known)
    properties, required = found.get("properties"), found.get("required")
    if not isinstance(properties, dict) or not properties:
        return None
    needed = set(map(str, required)) if isinstance(required, list) else set()
    return [_field(str(name), about, name in needed or _says_so(about), known) for name, about in properties.items()]


def _says_so(about: Any) -> bool:
    return isinstance(about, dict) and about.get("required") is True


def field_of(schema: Mapping[str, Any]) -> FormField | None:
    """Returns the one field of a schema of a plain value, such as a number; None: it is of something else."""
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _KINDS:
        return None
    return _field(str(schema.get("title") or "value"), schema, "default" not in schema, {})


def brief_of(schema: Mapping[str, Any]) -> str:
    """Returns what a schema takes in a few words: its fields, those that may be left out in brackets, else its type."""
    fields = fields_of_schema(schema)
    if fields:
        return " ".join(field.name if field.is_required else f"[{field.name}]" for field in fields)
    kind = str(schema.get("type", "any"))
    return f"[{kind}]" if "default" in schema else kind


def _resolved(about: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns what a reference names, and of "this or null" this."""
    schema: dict[str, Any] = about if isinstance(about, dict) else {"type": str(about)}
    for _ in range(8):  # a reference may name another one
        reference = schema.get("$ref")
        target = definitions.get(reference.rpartition("/")[2]) if isinstance(reference, str) else None
        either = [one for one in _listed(schema, "anyOf") if isinstance(one, dict) and one.get("type") != "null"]
        types = [one for one in _listed(schema, "type") if one != "null"]
        if isinstance(target, dict):
            schema = target | {key: schema[key] for key in ("default", "description", "title") if key in schema}
        elif len(either) == 1:
            schema = dict(either[0]) | {key: schema[key] for key in ("default", "description") if key in schema}
        elif len(types) == 1:
            schema = schema | {"type": types[0]}
        else:
            break
    return schema


def _listed(schema: Mapping[str, Any], key: str) -> list[Any]:
    found = schema.get(key)
    return found if isinstance(found, list) else []


def _is_nullable(about: Any, definitions: Mapping[str, Any]) -> bool:
    if not isinstance(about, dict):
        return False
    reference = about.get("$ref")
    target = definitions.get(reference.rpartition("/")[2]) if isinstance(reference, str) else None
    either = [one for one in _listed(about, "anyOf") if isinstance(one, dict)]
    return (
        "null" in _listed(about, "type") or about.get("type") == "null" or any(one.get("type") == "null" for one in either)
        or (isinstance(target, dict) and target is not about and _is_nullable(target, {}))
    )  # fmt: skip


def _field(name: str, about: Any, is_required: bool, definitions: Mapping[str, Any]) -> FormField:
    schema = _resolved(about, definitions)
    options, default = schema.get("enum"), schema.get("default")
    is_nullable = _is_nullable(about, definitions) or (isinstance(options, list) and None in options)
    kind = _kind_of(schema, options if isinstance(options, list) else None)
    rules = [(key, schema[key]) for key in RULES if isinstance(schema.get(key), int | float)]
    if kind == "json" and schema.get("type") in ("object", "array"):
        rules.append(("type", schema["type"]))
    return FormField(
        name, str(schema.get("description") or schema.get("title") or name), kind, is_required,
        tuple(map(typed, options)) if isinstance(options, list) else (),
        "" if default is None else typed(default), is_nullable, tuple(rules),
    )  # fmt: skip


def _kind_of(schema: Mapping[str, Any], options: Sequence[Any] | None) -> str:
    kind = schema.get("type")
    kind = _BY_PYTHON.get(kind, kind) if isinstance(kind, str) else kind
    if isinstance(kind, str) and kind in _KINDS:
        return kind
    known = [one for one in options or () if one is not None]
    if known and kind is None:
        return next(
            (one for one in ("boolean", "integer", "number", "string") if all(fits(one, o) for o in known)), "any"
        )
    either = [one.get("type") for one in _listed(schema, "anyOf") if isinstance(one, dict)]
    if "string" in (*either, *(kind if isinstance(kind, list) else ())):
        return "any"  # what is typed need not be JSON
    if (
        isinstance(kind, list)
        or kind in ("object", "array")
        or any(key in schema for key in (*_SEVERAL, "properties", "items"))
    ):
        return "json"
    return "any" if kind is None or kind == "null" else "string"  # an unknown word, such as "text"


def typed(value: Any) -> str:
    """Returns a value as it is typed: text as it is, all else as JSON."""
    return value if isinstance(value, str) else jsontext.dumps(value, default=str)


def fits(kind: str, value: Any) -> bool:
    """Tells whether a value is of a kind of field."""
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


def shown_of(data: Any) -> list[tuple[str, str]]:
    """Returns what a suspend puts before a person: names and texts."""
    if isinstance(data, dict):
        return [(str(key), _text(value)) for key, value in data.items() if key not in ("form", "schema")]
    return [] if data is None else [("request", _text(data))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value, indent=True)
