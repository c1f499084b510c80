"""A digest of a step's arguments, by which `polos replay` sees that they changed (S1.8). Never decoded."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import orjson


def arguments_digest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Returns a digest of a step's arguments, to be compared, never decoded (S1.8)."""
    try:
        data = orjson.dumps([args, kwargs] if kwargs else args, default=_named, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return ""
    return f"{crc32(data):08x}"


def _named(value: Any) -> Any:
    dump = getattr(value, "__pydantic_serializer__", None)
    if dump is not None and not isinstance(value, type):
        try:
            return dump.to_python(value, mode="json")
        except Exception:  # a model that cannot be dumped is told by its type alone
            return type(value).__qualname__
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return getattr(value, "__qualname__", None) or type(value).__qualname__
