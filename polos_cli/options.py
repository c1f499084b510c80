"""INPUT as people type it: JSON, ``@file``, ``-``, or ``name=value`` pairs. Validates nothing against a workflow."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from polos.core import jsontext
from polos.core.answers import mistakes_in, value_of
from polos.core.forms import Fields, FormField, fields_in
from polos.errors import UsageError
from polos_cli.view.prompt import described, typed

_PAIR = re.compile(r"([A-Za-z_][\w.-]*)(:?=)(.*)", re.DOTALL)
FORMS = "INPUT is JSON ('{\"id\": 1}'), @file.json, - for stdin, or name=value pairs (name:=json for raw JSON)"


def read_input(
    words: Sequence[str], schema: Mapping[str, Any] | None = None, ask: Callable[[str], str] | None = None
) -> Any:
    """Returns the payload of a command line.

    Args:
        words: the INPUT arguments.
        schema: the workflow's input schema; says how values of pairs are read and what is missing.
        ask: asks a person for a missing field; None: nobody is there.

    Raises:
        UsageError: it cannot be read.
    """
    plain = schema or {}
    is_plain = plain.get("type") in ("string", "integer", "number", "boolean")
    properties, required = _fields(plain)
    if not words:
        if required and ask:
            return _ask_missing({}, properties, required, ask)
        needs_one = is_plain and "default" not in plain
        return _asked(str(plain.get("title") or "INPUT"), plain, ask) if needs_one and ask else None
    if len(words) == 1 and not _PAIR.fullmatch(words[0]):
        return _whole(words[0])
    if is_plain and len(words) == 1 and (words[0].partition("=")[0]).rstrip(":") == str(plain.get("title")):
        return next(iter(_pairs(words, lambda _, text: read_value(text, plain)).values()))  # the parameter by its name
    payload = _pairs(words, lambda name, text: read_value(text, properties.get(name, {})))
    return _ask_missing(payload, properties, required, ask) if ask else payload


def read_answer(words: Sequence[str], fields: Sequence[FormField]) -> tuple[Any, list[str]]:
    """Returns the answer to a form as it was typed, and what is wrong with it. Raises `UsageError`: it cannot be read."""
    if len(words) == 1 and not _PAIR.fullmatch(words[0]):
        answer = _whole(words[0])
        return answer, mistakes_in(fields, answer)
    known = {field.name: field for field in fields}
    wrong: dict[str, str] = {}

    def read(name: str, text: str) -> Any:
        if name not in known:
            return text
        try:
            return value_of(known[name], text)
        except ValueError as error:
            wrong[name] = f"{name!r}: {error}"
            return text

    answer = _pairs(words, read)
    left = {name: value for name, value in answer.items() if name not in wrong}
    rest = Fields(field for field in fields if field.name not in wrong)
    rest.is_open = isinstance(fields, Fields) and fields.is_open
    others = mistakes_in(rest, left)
    return answer, [*wrong.values(), *others]


def _pairs(words: Sequence[str], read: Callable[[str, str], Any]) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for word in words:
        pair = _PAIR.fullmatch(word)
        if pair is None:
            raise UsageError(f"{word!r} is not a name=value pair", hint=FORMS)
        name, sign, text = pair.groups()
        if name in payload:
            raise UsageError(f"{name!r} is given twice", hint=FORMS)
        payload[name] = _json(text, f"{name}:=") if sign == ":=" else read(name, text)
    return payload


def _fields(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], Sequence[str]]:
    reference = schema.get("$ref")
    definitions = schema.get("$defs", {})
    if isinstance(reference, str):
        schema = definitions.get(reference.rpartition("/")[2], {})
    properties = {}
    for name, field in schema.get("properties", {}).items():
        target = field.get("$ref")
        properties[name] = definitions.get(target.rpartition("/")[2], {}) if isinstance(target, str) else field
    return properties, schema.get("required", [])


def _whole(word: str) -> Any:
    if word == "-":
        return _json(sys.stdin.read(), "stdin")
    if word.startswith("@"):
        try:
            return _json(Path(word[1:]).read_text(encoding="utf-8"), word)
        except OSError as error:
            raise UsageError(f"{word[1:]} cannot be read: {error.strerror}", hint=FORMS) from None
    return _json(word, "INPUT")


def _json(text: str, what: str) -> Any:
    try:
        return jsontext.loads(text)
    except ValueError as error:
        raise UsageError(f"{what} is not JSON: {error}", hint=FORMS) from None


def read_value(text: str, field: Mapping[str, Any]) -> Any:
    """Returns a pair's value by its field's schema: text stays text where text is wanted, else JSON if it is."""
    kind = field.get("type")
    kinds = {option.get("type") for option in field.get("anyOf", [])} or set(kind if isinstance(kind, list) else [kind])
    if "string" in kinds and not (text == "null" and "null" in kinds):
        return text
    if "boolean" in kinds and text.lower() in ("yes", "no", "y", "n"):
        return text.lower().startswith("y")
    try:
        return jsontext.loads(text)
    except ValueError:
        return text


def _ask_missing(
    payload: dict[str, Any],
    properties: Mapping[str, Any],
    required: Sequence[str],
    ask: Callable[[str], str] | None,
) -> dict[str, Any]:
    for name in required:
        if name not in payload and ask is not None:
            payload[name] = _asked(name, properties.get(name, {}), ask)
    return payload


def _asked(name: str, schema: Mapping[str, Any], ask: Callable[[str], str]) -> Any:
    """Asks until the answer is one of the field's."""
    (field,) = fields_in({"form": {"properties": {name: schema}, "required": [name]}})
    wrong = ""
    while True:
        text = ask(f"{wrong}{described(field)}: ").strip()
        try:
            return read_value(text, schema) if field.kind == "json" and text else typed(field, text)
        except ValueError as error:
            wrong = f"not so: {error}. "
