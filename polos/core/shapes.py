"""From JSON and its shape back to values, and the names of the classes in shapes (S3.1, S3.2)."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import json
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from importlib import import_module
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any
from uuid import UUID

from polos.errors import StoredValueMismatch

Shape = dict[str, str]
Known = Mapping[str, type]
"""Classes by the name that shapes have for them: those that annotations name need not be found again."""
UNTYPED = "untyped"
"""Marks a value that its annotation does not fit; stands at ``$``, which is the path of nothing."""


def escape(name: str) -> str:
    """Returns a dict's key as it stands in paths."""
    return name.replace("~", "~0").replace("/", "~1").replace("*", "~2")


def class_name(kind: type) -> str:
    """Returns the name that shapes have for a class."""
    module = kind.__module__
    return f"{(_main_name() or module) if module == '__main__' else module}:{kind.__qualname__}"


def _main_name() -> str | None:
    """Returns the name under which other processes import what is `__main__` here."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.module
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else None


def _find_module(name: str) -> ModuleType | None:
    found = sys.modules.get(name)
    if found is not None:
        return found
    if name == _main_name():
        return sys.modules.get("__main__")
    if name.partition(".")[0] not in sys.modules or name.endswith(".__main__"):
        return None
    try:
        return import_module(name)
    except ImportError:
        return None


def find_class(name: str, known: Known | None = None) -> type:
    """Returns the class that a shape names.

    Raises:
        StoredValueMismatch: there is no such class, or it is none that values are made of.
    """
    if known and name in known:
        return known[name]
    module_name, _, qualname = name.partition(":")
    found: Any = _find_module(module_name)
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


def is_findable(kind: type) -> bool:
    """Tells whether the class is found again by its name, here and in other processes."""
    name = class_name(kind)
    if "[" in name:  # a generic model's variant: pydantic puts some into their module, as they are first used
        return False
    try:
        found = find_class(name)
    except Exception:  # also what importing its module raises
        return False
    # A module run as `__main__` may be loaded a second time under its own name: twins, and either does.
    return found is kind or ("__main__" in (found.__module__, kind.__module__) and class_name(found) == name)


# ── restoring ────────────────────────────────────────────────────────────────────────────────────────────


class _Node:
    """What a shape says of one place, and of the places in it."""

    __slots__ = ("inner", "name")

    def __init__(self) -> None:
        self.name: str | None = None
        self.inner: dict[str, _Node] = {}


def _nested(shape: Shape) -> _Node:
    root = _Node()
    for path, name in shape.items():
        if name == UNTYPED:
            continue
        node = root
        if path:
            for part in path[1:].split("/"):
                inner = node.inner.get(part)
                if inner is None:
                    inner = node.inner[part] = _Node()
                node = inner
        node.name = name
    return root


def restore(tree: Any, shape: Shape, known: Known | None = None) -> Any:
    """Returns the value of a JSON tree.

    Raises:
        StoredValueMismatch: a class that the shape names is gone, or no longer takes the value.
    """
    return _restore(tree, _nested(shape), "", known)


def _restore(tree: Any, node: _Node, path: str, known: Known | None) -> Any:
    name, inner = node.name, node.inner
    if name is not None and name.startswith("model "):
        return _restore_model(tree, name[6:], known)
    if inner and isinstance(tree, list):
        star = inner.get("*")
        if star is not None:
            tree = [_restore(item, star, f"{path}/*", known) for item in tree]
        else:
            tree = [
                _restore(item, inner[str(i)], f"{path}/{i}", known) if str(i) in inner else item
                for i, item in enumerate(tree)
            ]
    elif inner and isinstance(tree, dict):
        places = {key: escape(key) for key in tree}
        tree = {
            key: _restore(item, inner[places[key]], f"{path}/{places[key]}", known) if places[key] in inner else item
            for key, item in tree.items()
        }
    if name is None or name == "int":
        return tree
    head, _, rest = name.partition(" ")
    try:
        if head == "enum":
            return find_class(rest, known)(tree)
        if head == "member":
            return find_class(rest, known)[tree]  # type: ignore[index]  # an enum's members by name
        if head == "dataclass":
            return _restore_dataclass(tree, find_class(rest, known))
        return _RESTORE[head](tree)
    except StoredValueMismatch:
        raise
    except Exception as error:  # what a class's own code raises, too
        raise StoredValueMismatch(f"{path or 'the value'} no longer fits {rest or head}: {error}") from error


def _restore_model(tree: Any, name: str, known: Known | None) -> Any:
    validator: Any = find_class(name, known).__pydantic_validator__  # type: ignore[attr-defined]  # by its shape
    try:
        return validator.validate_json(json.dumps(tree), by_alias=False, by_name=True)
    except Exception as error:  # what its validators raise, too
        raise StoredValueMismatch(f"the stored {name.partition(':')[2]} no longer fits its class: {error}") from error


def _restore_dataclass(tree: dict[str, Any], kind: Any) -> Any:
    later = {f.name for f in dataclasses.fields(kind) if not f.init}
    value = kind(**{key: item for key, item in tree.items() if key not in later})
    for key in later & tree.keys():
        object.__setattr__(value, key, tree[key])
    return value


_RESTORE: dict[str, Callable[[Any], Any]] = {
    "bytes": base64.b64decode,
    "decimal": Decimal,
    "uuid": UUID,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda v: dt.timedelta(microseconds=v),
    "path": Path,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "intkeys": lambda v: {int(key): item for key, item in v.items()},
}


# ── comparing ────────────────────────────────────────────────────────────────────────────────────────────


def difference(before: Any, after: Any, path: str = "") -> str | None:
    """Returns where two values differ, or None where they are the same."""
    try:
        if bool(before == after):
            return None
    except Exception:  # arrays and the like, which have no one answer: looked at part by part
        pass
    kind = type(before)
    if kind is not type(after):
        return path
    if isinstance(before, (list, tuple)) and len(before) == len(after):
        return _first(path, ((str(i), b, a) for i, (b, a) in enumerate(zip(before, after, strict=True))))
    if isinstance(before, dict) and before.keys() == after.keys():
        return _first(path, ((str(key), item, after[key]) for key, item in before.items()))
    if isinstance(before, (dt.datetime, dt.time)):  # a folded hour is equal to nothing in another zone
        return None if before.isoformat() == after.isoformat() else path
    if isinstance(before, PurePath):
        return path
    fields = _parts_of(before)
    if fields:
        other = _parts_of(after)
        found = _first(path, ((name, item, other.get(name)) for name, item in fields.items()))
        if found is not None:
            return found
        return path if fields.keys() != other.keys() else None
    by_identity = getattr(kind, "__eq__", None) is object.__eq__  # then no two are equal, and no more can be said
    return None if by_identity and not isinstance(before, enum.Enum) else path


def _parts_of(value: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
    if hasattr(type(value), "__pydantic_validator__"):
        private = getattr(value, "__pydantic_private__", None) or {}
        extra = getattr(value, "__pydantic_extra__", None) or {}
        own = {name: getattr(value, name, None) for name in type(value).__pydantic_fields__}
        return {**own, **extra, **private}
    return {}


def _first(path: str, pairs: Any) -> str | None:
    for name, before, after in pairs:
        found = difference(before, after, f"{path}/{escape(name)}")
        if found is not None:
            return found
    return None
