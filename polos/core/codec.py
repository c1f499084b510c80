"""Values to strict JSON text plus a shape, and back (S3.1). Knows no annotations (authoring.typed does).

The shape maps JSON pointers to type names where JSON alone would lose the type; ``*`` stands for every
element of a list. ``null`` (None) for plain JSON, so that events, HTTP and ``show`` stay plain.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

import orjson

from polos.core.model import Stored
from polos.core.shapes import Known, Shape, class_name, difference, escape, is_findable, restore
from polos.errors import PayloadTooLarge, StoredValueMismatch, UnserializableValue

VALUE_LIMIT = 1 << 20
WARN_ABOVE = 1 << 18
DEPTH_LIMIT = 200
_BIG = 1 << 63
_UNSET: Any = object()


class _Inside:
    """Where a walk is: the containers around it, and the classes that it met, by name."""

    __slots__ = ("around", "classes")

    def __init__(self) -> None:
        self.around: list[int] = []
        self.classes: dict[str, tuple[type, str]] = {}

    def name_of(self, kind: type, path: str) -> str:
        """Returns the name of a class that the walk met at `path`."""
        name = class_name(kind)
        self.classes.setdefault(name, (kind, path))
        return name


def encode(value: Any, *, limit: int = VALUE_LIMIT, known: Known | None = None) -> Stored:
    """Returns `value` as it is stored.

    Args:
        known: classes that the reader has at hand, by name; all others must be found again by name.

    Raises:
        UnserializableValue: it holds something that cannot be stored, or would come back as something else; with
            the path to it.
        PayloadTooLarge: its text is over `limit` bytes, with the largest paths.
    """
    if _is_plain(value, 0):
        try:
            data = orjson.dumps(value)
        except TypeError:  # lone surrogates: the slow path finds where
            data = None
        if data is not None:
            if b"\\u0000" not in data:
                _check_size(data, value, limit)
                return Stored(data.decode())
            _walk(value, "", {}, _Inside())
            _check_size(data, value, limit)
            return Stored(data.decode())
    shape: Shape = {}
    inside = _Inside()
    tree = _walk(value, "", shape, inside)
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    _check_size(text.encode(), tree, limit)
    if inside.classes:
        _check_return(value, tree, shape, inside, known or {})
    return Stored(text, json.dumps(shape, separators=(",", ":")) if shape else None)


def _check_return(value: Any, tree: Any, shape: Shape, inside: _Inside, known: Known) -> None:
    """Refuses what could not be read back, or would come back as another value: while nothing depends on it yet."""
    for name, (kind, path) in inside.classes.items():
        if known.get(name) is not kind and not is_findable(kind):
            raise UnserializableValue(
                f"{path or 'the value'} is a {kind.__qualname__}, a class that cannot be found again when the value is "
                f"read: there is no {kind.__qualname__} at the top of module {name.partition(':')[0]}",
                hint="define the class at the top of a module, under its own name, or annotate what the function returns",
                path=path,
                type_name=kind.__qualname__,
            )
    try:
        back = restore(tree, shape, {name: kind for name, (kind, _) in inside.classes.items()})
    except StoredValueMismatch as error:
        raise _refuse(
            value, "", f"a {type(value).__qualname__} that could not be read back ({error.message})"
        ) from error
    differs = difference(value, back)
    if differs is not None:
        raise UnserializableValue(
            f"{differs or 'the value'} would come back as another value from the store",
            hint="what a class leaves out of its dump, hides or changes when it is made cannot be stored: "
            "return plain fields",
            path=differs,
            type_name=type(value).__qualname__,
        )


def decode(stored: Stored, known: Known | None = None) -> Any:
    """Returns the value by its text and shape alone; `known` has classes that need not be found by name.

    Raises:
        StoredValueMismatch: a class that the shape names is gone, or no longer takes the value.
    """
    if stored.shape is None:
        return orjson.loads(stored.text)
    return restore(json.loads(stored.text), json.loads(stored.shape), known)


def plain(stored: Stored) -> Any:
    """Returns the value as plain JSON, whatever its types were."""
    return json.loads(stored.text) if stored.shape else orjson.loads(stored.text)


def _is_plain(value: Any, depth: int) -> bool:
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return bool(-_BIG <= value < _BIG)
    if kind is float:
        return math.isfinite(value)
    if depth > DEPTH_LIMIT:
        return False
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not _is_plain(item, depth + 1):
                return False
        return True
    if kind is list:
        return all(_is_plain(item, depth + 1) for item in value)
    return False


def _check_size(data: bytes, tree: Any, limit: int) -> None:
    if len(data) <= limit:
        return
    parts: list[tuple[int, str]] = []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, item in items:
        parts.append((len(json.dumps(item, default=str)), f"/{key}"))
    parts.sort(reverse=True)
    largest = ", ".join(f"{path} ({size:,} bytes)" for size, path in parts[:3])
    raise PayloadTooLarge(
        f"the value takes {len(data):,} bytes, the limit is {limit:,}" + (f"; largest: {largest}" if largest else ""),
        hint="store the data elsewhere (a file, a bucket, a table) and pass its name",
    )


def _refuse(value: Any, path: str, why: str = "") -> UnserializableValue:
    name = type(value).__qualname__
    where = path or "the value itself"
    return UnserializableValue(
        f"{where} is {why or 'of type ' + name}, which cannot be stored",
        hint="return JSON types, pydantic models, dataclasses, enums, dates, Decimal, UUID, bytes, Path, "
        "tuples, sets, and lists and dicts of these",
        path=path,
        type_name=name,
    )


def _text(value: str, path: str) -> str:
    if "\0" in value:
        raise _refuse(value, path, "text with a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refuse(value, path, "text with a lone surrogate") from None
    return value


def _walk(value: Any, path: str, shape: Shape, inside: _Inside) -> Any:
    """Returns the JSON tree of `value` and notes in `shape` what JSON would lose."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return _text(value, path)
    if kind is int:
        if not -_BIG <= value < _BIG:
            shape[path] = "int"
        return value
    if kind is float:
        if not math.isfinite(value):
            raise _refuse(value, path, str(value))
        return value
    scalar = _SCALARS.get(kind)
    if kind is Decimal and not value.is_finite():
        raise _refuse(value, path, f"Decimal('{value}')")
    if scalar is not None:
        shape[path] = scalar[0]
        return scalar[1](value)
    if isinstance(value, enum.Enum):
        return _walk_enum(value, kind, path, shape, inside)
    if isinstance(value, PurePath):
        shape[path] = "path"
        return _text(str(value), path)
    if id(value) in inside.around:
        raise _refuse(value, path, "a cycle")
    if len(inside.around) > DEPTH_LIMIT:
        raise _refuse(value, path, f"nested more than {DEPTH_LIMIT} deep")
    inside.around.append(id(value))
    try:
        return _walk_container(value, kind, path, shape, inside)
    finally:
        inside.around.pop()


def _walk_enum(value: enum.Enum, kind: Any, path: str, shape: Shape, inside: _Inside) -> Any:
    """Notes a member by its value where JSON has it and it finds the member again, else by its name."""
    name = inside.name_of(kind, path)
    if type(value.value) in (str, int):
        try:
            by_value = kind(value.value) is value
        except Exception:  # what its `_missing_` raises
            by_value = False
        if by_value:
            tree = _walk(value.value, path, shape, inside)
            shape[path] = "enum " + name
            return tree
    if value.name is None or kind.__members__.get(value.name) is not value:
        raise _refuse(value, path, f"{value!r}, no member of its class")
    shape[path] = "member " + name
    return _text(value.name, path)


def _walk_container(value: Any, kind: type, path: str, shape: Shape, inside: _Inside) -> Any:
    if kind is list:
        return _walk_items(value, path, shape, inside)
    if kind is tuple:
        items = _walk_items(value, path, shape, inside)
        shape[path] = "tuple"
        return items
    if kind is set or kind is frozenset:
        pairs = []
        for item in value:
            part: Shape = {}
            pairs.append((json.dumps(_walk(item, path + "/*", part, inside), sort_keys=True), item))
        pairs.sort(key=lambda pair: pair[0])
        items = _walk_items([item for _, item in pairs], path, shape, inside)
        shape[path] = kind.__name__
        return items
    if kind is dict:
        return _walk_dict(value, path, shape, inside)
    if hasattr(kind, "__pydantic_serializer__") and not dataclasses.is_dataclass(kind):
        name = inside.name_of(kind, path)
        serializer: Any = kind.__pydantic_serializer__
        try:
            tree = serializer.to_python(value, mode="json", by_alias=False, round_trip=True)
        except Exception as error:  # pydantic_core's own error type; the core does not import it
            raise _refuse(value, path, f"a {kind.__qualname__} that cannot be dumped ({error})") from error
        tree = _walk(tree, path, {}, inside)
        shape[path] = "model " + name
        return tree
    if dataclasses.is_dataclass(kind):
        fields = {f.name: getattr(value, f.name, _UNSET) for f in dataclasses.fields(value)}
        unset = next((name for name, item in fields.items() if item is _UNSET), None)
        if unset is not None:
            raise _refuse(value, path, f"a {kind.__qualname__} whose field {unset!r} was never set")
        tree = _walk_dict(fields, path, shape, inside)
        shape[path] = "dataclass " + inside.name_of(kind, path)
        return tree
    raise _refuse(value, path)


def _walk_items(items: Any, path: str, shape: Shape, inside: _Inside) -> list[Any]:
    tree, parts = [], []
    for index, item in enumerate(items):
        part: Shape = {}
        tree.append(_walk(item, f"{path}/{index}", part, inside))
        start = len(f"{path}/{index}")
        parts.append({at[start:]: name for at, name in part.items()})
    if parts and parts[0] and all(part == parts[0] for part in parts):
        shape.update({f"{path}/*{at}": name for at, name in parts[0].items()})
    else:
        for index, part in enumerate(parts):
            shape.update({f"{path}/{index}{at}": name for at, name in part.items()})
    return tree


def _walk_dict(value: dict[Any, Any], path: str, shape: Shape, inside: _Inside) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    ints = bool(value) and all(type(key) is int for key in value)
    for key, item in value.items():
        if not ints and type(key) is not str:
            raise _refuse(key, path, f"a dict whose keys are not all text or all int (found {key!r})")
        name = str(key) if ints else _text(key, path)
        tree[name] = _walk(item, f"{path}/{escape(name)}", shape, inside)
    if ints:
        shape[path] = "intkeys"
    return tree


def _to_microseconds(value: dt.timedelta) -> int:
    return value // dt.timedelta(microseconds=1)


_SCALARS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    bytes: ("bytes", lambda v: base64.b64encode(v).decode()),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
    dt.datetime: ("datetime", lambda v: v.isoformat()),
    dt.date: ("date", lambda v: v.isoformat()),
    dt.time: ("time", lambda v: v.isoformat()),
    dt.timedelta: ("timedelta", _to_microseconds),
}
