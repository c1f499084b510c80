"""Forms made from JSON schemas: their fields, and whether what was typed or given fits them. Shows nothing."""

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


_WANTED = {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false"}
_SAMPLES: dict[str, Any] = {"integer": 1, "number": 1.5, "string": "...", "boolean": True, "json": {}, "any": "..."}
_WORDS = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}
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
_SEVERAL = ("anyOf", "oneOf", "allOf", "$ref")
_RULES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "minimum": ((int, float), "at least {}"), "maximum": ((int, float), "at most {}"),
    "exclusiveMinimum": ((int, float), "more than {}"), "exclusiveMaximum": ((int, float), "less than {}"),
    "minLength": (str, "at least {} characters"), "maxLength": (str, "at most {} characters"),
    "minItems": (list, "at least {} of them"), "maxItems": (list, "at most {} of them"),
}  # fmt: skip


def fields_of(request: str | None) -> list[FormField]:
    """Returns the fields of a suspend's ``form`` or ``schema``; none: it is a question of yes or no."""
    return fields_in(jsontext.loads(request) if request else None)


def fields_in(data: Any) -> list[FormField]:
    """Returns the fields of what a suspend puts before a person.

    A form is the JSON schema of an object, or names its fields, each with its schema or type: all of these are needed,
    but for those with a default, and with ``"required": false``. A schema of something else has no fields.
    """
    form = data.get("form") or data.get("schema") if isinstance(data, dict) else None
    if not isinstance(form, dict):
        return []
    if "properties" in form or any(key in form for key in _SEVERAL) or form.get("type") in _TYPES:
        return fields_of_schema(form) or []
    return [_field(str(name), about, not _is_optional(about), {}) for name, about in form.items()]


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
    if schema.get("type") not in _KINDS:
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
    kind = _kind_of(schema, options if isinstance(options, list) else None)
    rules = [(key, schema[key]) for key in _RULES if isinstance(schema.get(key), int | float)]
    if kind == "json" and schema.get("type") in ("object", "array"):
        rules.append(("type", schema["type"]))
    return FormField(
        name, str(schema.get("description") or schema.get("title") or name), kind, is_required,
        tuple(map(_typed, options)) if isinstance(options, list) else (),
        "" if default is None else _typed(default), _is_nullable(about, definitions), tuple(rules),
    )  # fmt: skip


def _kind_of(schema: Mapping[str, Any], options: Sequence[Any] | None) -> str:
    kind = schema.get("type")
    kind = _BY_PYTHON.get(kind, kind) if isinstance(kind, str) else kind
    if kind in _KINDS:
        return str(kind)
    if options and kind is None:
        return next(
            (one for one in ("boolean", "integer", "number", "string") if all(_fits(one, o) for o in options)), "any"
        )
    if (
        kind in ("object", "array")
        or isinstance(kind, list)
        or any(key in schema for key in (*_SEVERAL, "properties", "items"))
    ):
        return "json"
    return "any" if kind is None or kind == "null" else "string"  # an unknown word, such as "text"


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
            if text or field.is_required or field.default:
                answer[field.name] = text == "true"
        elif not text:
            if field.is_required and field.is_nullable:
                answer[field.name] = None
            elif field.is_required:
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
        value = _read(field.kind, text)
    except ValueError:
        of = str(dict(field.rules).get("type"))
        example = {"array": "a list, such as [1, 2]", "object": 'an object, such as {"a": 1}'}.get(of, "JSON")
        raise ValueError(_WANTED.get(field.kind, example)) from None
    if wanted := _broken_rule(field, value):
        raise ValueError(wanted)
    return value


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
            if field.is_required and not (name in answer and (field.is_nullable or field.kind in ("json", "any"))):
                mistakes.append(f"{name!r} is needed")
        elif not _fits(field.kind, value):
            mistakes.append(f"{name!r}: {_WANTED[field.kind]}")
        elif field.options and _typed(value) not in field.options:
            mistakes.append(f"{name!r}: one of {', '.join(field.options)}")
        elif wanted := _broken_rule(field, value):
            mistakes.append(f"{name!r}: {wanted}")
    return mistakes


def sample_of(fields: Sequence[FormField]) -> Any:
    """Returns an answer that shows how one is written: its fields with a value of their kind each."""
    if not fields:
        return {"approved": True}
    return {field.name: _sample(field) for field in fields}


def _sample(field: FormField) -> Any:
    rules = dict(field.rules)
    text = field.default or (field.options[0] if field.options else "")
    try:
        if text:
            return value_of(field, text)
    except ValueError:
        pass
    if field.kind in ("integer", "number"):
        least = rules.get("minimum", rules.get("exclusiveMinimum", _SAMPLES[field.kind] - 1) + 1)
        return min(least, rules.get("maximum", least))
    if rules.get("type") == "array":
        return ["..."] * int(rules.get("minItems", 0))
    return _SAMPLES[field.kind][: rules.get("maxLength")] if field.kind == "string" else _SAMPLES[field.kind]


def _broken_rule(field: FormField, value: Any) -> str:
    """Returns what a value of the right kind must be besides, and is not; empty: nothing."""
    for key, limit in field.rules:
        if key == "type":
            if not isinstance(value, list if limit == "array" else dict):
                return "a list" if limit == "array" else "an object"
            continue
        of, words = _RULES[key]
        if not isinstance(value, of) or isinstance(value, bool):
            continue
        size = len(value) if isinstance(value, str | list) else value
        is_right = {
            "min": size >= limit, "max": size <= limit, "exclusiveMin": size > limit, "exclusiveMax": size < limit
        }[key.removesuffix("imum").removesuffix("Length").removesuffix("Items")]  # fmt: skip
        if not is_right:
            return words.format(limit)
    return ""


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
    if kind != "any":
        return jsontext.loads(text) if kind == "json" else text
    try:
        return jsontext.loads(text)
    except ValueError:
        return text


def shown_of(data: Any) -> list[tuple[str, str]]:
    """Returns what a suspend puts before a person: names and texts."""
    if isinstance(data, dict):
        return [(str(key), _text(value)) for key, value in data.items() if key not in ("form", "schema")]
    return [] if data is None else [("request", _text(data))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value, indent=True)
