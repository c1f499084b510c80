"""The ports' dataclasses as JSON, by their annotations alone: no model of its own. Does no IO.

orjson writes dataclasses as they are; what JSON cannot tell apart is written so that it can: one of several classes
as ``[name, fields]``, a mapping as pairs. Reading builds one function a class, once.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections import abc
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import orjson

from polos import errors
from polos.errors import EngineError, PolosError

Convert: TypeAlias = Callable[[Any], Any] | None
"""Converts one value; None: it is the same on both sides."""


@cache
def writer(kind: Any) -> Convert:
    """Returns what makes a value of this annotation one that orjson writes and `reader` reads."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        present = [arg for arg in args if arg is not type(None)]
        if len(present) == 1:
            return _if_there(writer(present[0]))
        if not all(dataclasses.is_dataclass(arg) for arg in present):
            return _same_all(kind, present)
        return lambda value: None if value is None else (type(value).__name__, value)
    if origin in (tuple, list, abc.Sequence):
        convert = writer(args[0]) if args else None
        return None if convert is None else lambda values: [convert(value) for value in values]
    if origin in (frozenset, set, abc.Collection):
        return list
    if origin in (dict, abc.Mapping):
        of_values = writer(args[1]) or _same
        return lambda mapping: [(key, of_values(value)) for key, value in mapping.items()]
    if dataclasses.is_dataclass(kind):
        return _fields_writer(kind)
    return None


def _fields_writer(kind: Any) -> Convert:
    changed = {name: convert for name, of in _hints(kind).items() if (convert := writer(of)) is not None}
    if not changed:
        return None  # orjson writes it as it is
    names = [field.name for field in dataclasses.fields(kind)]

    def write(value: Any) -> dict[str, Any]:
        return {
            name: changed[name](getattr(value, name)) if name in changed else getattr(value, name) for name in names
        }

    return write


@cache
def reader(kind: Any) -> Convert:
    """Returns what makes the value of this annotation again, from what was read as JSON."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        present = [arg for arg in args if arg is not type(None)]
        if len(present) == 1:
            return _if_there(reader(present[0]))
        if not all(dataclasses.is_dataclass(arg) for arg in present):
            return _same_all(kind, present)
        known = {arg.__name__: reader(arg) for arg in present}
        return lambda pair: None if pair is None else known[pair[0]](pair[1])  # type: ignore[misc]  # a class has a reader
    if origin in (tuple, abc.Sequence):
        return _tuple_reader(reader(args[0]) if args else None)
    if origin is list:
        convert = reader(args[0])
        return None if convert is None else lambda values: [convert(value) for value in values]
    if origin in (frozenset, set, abc.Collection):
        return frozenset
    if origin in (dict, abc.Mapping):
        of_values = reader(args[1]) or _same
        return lambda pairs: {key: of_values(value) for key, value in pairs}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {member.value: member for member in kind}.__getitem__
    if dataclasses.is_dataclass(kind):
        return _fields_reader(kind)
    return None


def _fields_reader(kind: Any) -> Callable[[Any], Any]:
    changed = [(name, convert) for name, of in _hints(kind).items() if (convert := reader(of)) is not None]

    def read(fields: Any) -> Any:
        for name, convert in changed:
            fields[name] = convert(fields[name])
        return kind(**fields)

    return read


def _tuple_reader(convert: Convert) -> Callable[[Any], Any]:
    if convert is None:
        return tuple
    return lambda values: tuple([convert(value) for value in values])


def _same(value: Any) -> Any:
    return value


def _if_there(convert: Convert) -> Convert:
    return None if convert is None else lambda value: None if value is None else convert(value)


def _same_all(kind: Any, present: list[Any]) -> Convert:
    assert all(reader(arg) is None for arg in present), f"{kind} cannot be told apart on the wire"
    return None


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Returns the annotations of a class's fields, resolved."""
    return typing.get_type_hints(kind)


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────

_ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, PolosError) and kind is not PolosError
}


def write_error(error: BaseException) -> dict[str, Any]:
    """Returns an error as it goes over the wire; one that is not polos's own as a fault of the engine."""
    if not isinstance(error, PolosError):
        return {"type": "EngineError", "message": f"{type(error).__name__}: {error}", "hint": "", "facts": {}}
    facts = {name: value for name, value in vars(error).items() if name not in ("message", "hint") and _plain(value)}
    return {"type": type(error).__name__, "message": error.message, "hint": error.hint, "facts": facts}


def read_error(told: dict[str, Any]) -> PolosError:
    """Returns the error that the other side raised."""
    kind = _ERRORS.get(told["type"], EngineError)
    error = kind.__new__(kind)
    PolosError.__init__(error, told["message"], hint=told["hint"], **told["facts"])  # some have another signature
    return error


def _plain(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True
