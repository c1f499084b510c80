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
import sys
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

import orjson

from polos.core.model import Stored
from polos.errors import PayloadTooLarge, StoredValueMismatch, UnserializableValue

VALUE_LIMIT = 1 << 20
WARN_ABOVE = 1 << 18
DEPTH_LIMIT = 200
_BIG = 1 << 63
Shape = dict[str, str]


def encode(value: Any, *, limit: int = VALUE_LIMIT) -> Stored:
    """Returns `value` as it is stored.

    Raises:
        UnserializableValue: it holds something that cannot be stored, with the path to it.
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
            _walk(value, "", {}, [])
            _check_size(data, value, limit)
            return Stored(data.decode())
    shape: Shape = {}
    tree = _walk(value, "", shape, [])
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    _check_size(text.encode(), tree, limit)
    return Stored(text, json.dumps(shape, separators=(",", ":")) if shape else None)


def decode(stored: Stored) -> Any:
    """Returns the value by its text and shape alone.

    Raises:
        StoredValueMismatch: a class that the shape names is gone, or no longer takes the value.
    """
    if stored.shape is None:
        return orjson.loads(stored.text)
    shape: Shape = json.loads(stored.shape)
    tree = json.loads(stored.text)
    return _restore(tree, "", shape)


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


def _walk(value: Any, path: str, shape: Shape, inside: list[int]) -> Any:
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
        tree = _walk(value.value, path, shape, inside)
        shape[path] = "enum " + _class_name(kind, path, value)
        return tree
    if isinstance(value, PurePath):
        shape[path] = "path"
        return _text(str(value), path)
    if id(value) in inside:
        raise _refuse(value, path, "a cycle")
    if len(inside) > DEPTH_LIMIT:
        raise _refuse(value, path, f"nested more than {DEPTH_LIMIT} deep")
    inside.append(id(value))
    try:
        return _walk_container(value, kind, path, shape, inside)
    finally:
        inside.pop()


def _walk_container(value: Any, kind: type, path: str, shape: Shape, inside: list[int]) -> Any:
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
        name = _class_name(kind, path, value)
        serializer: Any = kind.__pydantic_serializer__
        try:
            tree = serializer.to_python(value, mode="json", by_alias=False, round_trip=True)
        except Exception as error:  # pydantic_core's own error type; the core does not import it
            raise _refuse(value, path, f"a {kind.__qualname__} that cannot be dumped ({error})") from error
        tree = _walk(tree, path, {}, inside)
        shape[path] = "model " + name
        return tree
    if dataclasses.is_dataclass(kind):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        tree = _walk_dict(fields, path, shape, inside)
        shape[path] = "dataclass " + _class_name(kind, path, value)
        return tree
    raise _refuse(value, path)


def _walk_items(items: Any, path: str, shape: Shape, inside: list[int]) -> list[Any]:
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


def _walk_dict(value: dict[Any, Any], path: str, shape: Shape, inside: list[int]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    ints = bool(value) and all(type(key) is int for key in value)
    for key, item in value.items():
        if not ints and type(key) is not str:
            raise _refuse(key, path, f"a dict whose keys are not all text or all int (found {key!r})")
        name = str(key) if ints else _text(key, path)
        tree[name] = _walk(item, f"{path}/{_escape(name)}", shape, inside)
    if ints:
        shape[path] = "intkeys"
    return tree


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1").replace("*", "~2")


def _class_name(kind: type, path: str, value: Any) -> str:
    module = kind.__module__
    if module == "__main__":
        file = getattr(sys.modules.get("__main__"), "__file__", None)
        module = Path(file).stem if file else module
    return f"{module}:{kind.__qualname__}"


def is_findable(stored: Stored) -> str | None:
    """Returns the name of a class in the shape that could not be found again by name, or None."""
    if stored.shape:
        for name in json.loads(stored.shape).values():
            if "<locals>" in name:
                return str(name.partition(" ")[2].partition(":")[2])
    return None


def _find_class(name: str) -> type:
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None:
        main = sys.modules.get("__main__")
        file = getattr(main, "__file__", None)
        if file and Path(file).stem == module_name:
            module = main
        elif module_name.partition(".")[0] in sys.modules:
            try:
                module = import_module(module_name)
            except ImportError:
                module = None
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and (
        dataclasses.is_dataclass(found) or issubclass(found, enum.Enum) or hasattr(found, "__pydantic_validator__")
    ):
        return found
    raise StoredValueMismatch(
        f"the stored value is a {qualname} of module {module_name}, and no such class is there now",
        hint="bring the class back under that name, or annotate the function's return with its new class",
    )


def _restore(tree: Any, path: str, shape: Shape) -> Any:
    name = shape.get(path)
    if name is not None and name.startswith("model "):
        return _restore_model(tree, name[6:])
    if isinstance(tree, list):
        star = f"{path}/*"
        wild = any(at.startswith(star) for at in shape)
        tree = [_restore(item, star if wild else f"{path}/{i}", shape) for i, item in enumerate(tree)]
    elif isinstance(tree, dict):
        tree = {key: _restore(item, f"{path}/{_escape(key)}", shape) for key, item in tree.items()}
    if name is None or name == "int":
        return tree
    head, _, rest = name.partition(" ")
    try:
        if head == "enum":
            return _find_class(rest)(tree)
        if head == "dataclass":
            return _restore_dataclass(tree, _find_class(rest))
        return _RESTORE[head](tree)
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise StoredValueMismatch(f"{path or 'the value'} no longer fits {rest or head}: {error}") from error


def _restore_model(tree: Any, name: str) -> Any:
    validator: Any = _find_class(name).__pydantic_validator__  # type: ignore[attr-defined]  # checked by _find_class
    try:
        return validator.validate_json(json.dumps(tree), by_alias=False, by_name=True)
    except ValueError as error:
        raise StoredValueMismatch(f"the stored {name.partition(':')[2]} no longer fits its class: {error}") from error


def _restore_dataclass(tree: dict[str, Any], kind: Any) -> Any:
    later = {f.name for f in dataclasses.fields(kind) if not f.init}
    value = kind(**{key: item for key, item in tree.items() if key not in later})
    for key in later & tree.keys():
        object.__setattr__(value, key, tree[key])
    return value


def _from_microseconds(value: int) -> dt.timedelta:
    return dt.timedelta(microseconds=value)


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
_RESTORE: dict[str, Callable[[Any], Any]] = {
    "bytes": base64.b64decode,
    "decimal": Decimal,
    "uuid": UUID,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": _from_microseconds,
    "path": Path,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "intkeys": lambda v: {int(key): item for key, item in v.items()},
}
