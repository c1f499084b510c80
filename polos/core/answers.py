"""Whether what was typed or given fits the fields of a form, and how an answer to it is written. Shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polos.core import jsontext
from polos.core.forms import RULES, Fields, FormField, fits, typed

_WANTED = {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false"}
_SAMPLES: dict[str, Any] = {"integer": 1, "number": 1.5, "string": "...", "boolean": True, "json": {}, "any": "..."}
_WORDS = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}


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
    if text == "null" and field.is_nullable and field.kind != "string":
        return None
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
    is_open = isinstance(fields, Fields) and fields.is_open
    mistakes = [f"the form has no {name!r}" for name in answer if name not in known and not is_open]
    for name, field in known.items():
        value = answer.get(name)
        if value is None:
            if field.is_required and not (name in answer and (field.is_nullable or field.kind in ("json", "any"))):
                mistakes.append(f"{name!r} is needed")
        elif not fits(field.kind, value):
            mistakes.append(f"{name!r}: {_WANTED[field.kind]}")
        elif field.options and typed(value) not in field.options:
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
        of, words = RULES[key]
        if not isinstance(value, of) or isinstance(value, bool):
            continue
        size = len(value) if isinstance(value, str | list) else value
        is_right = {
            "min": size >= limit, "max": size <= limit, "exclusiveMin": size > limit, "exclusiveMax": size < limit
        }[key.removesuffix("imum").removesuffix("Length").removesuffix("Items")]  # fmt: skip
        if not is_right:
            return words.format(limit)
    return ""


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
