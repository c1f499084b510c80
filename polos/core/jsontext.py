"""JSON text of users' values, integers of any size (S3.1): orjson alone refuses those over 64 bits, or reads them as floats."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import orjson

_LONG = re.compile(r"\d{19}")
"""Digits that 64 bits may not hold."""


def dumps(value: Any, *, default: Callable[[Any], Any] | None = None, indent: bool = False) -> str:
    """Returns a value as JSON text, in one line unless it is indented.

    Args:
        default: makes JSON of what is none.

    Raises:
        TypeError, ValueError: something in it is no JSON.
    """
    try:
        return orjson.dumps(value, default=default, option=orjson.OPT_INDENT_2 if indent else None).decode()
    except TypeError:
        separators = None if indent else (",", ":")
        return json.dumps(
            value,
            default=default,
            ensure_ascii=False,
            allow_nan=False,
            indent=2 if indent else None,
            separators=separators,
        )


def loads(text: str) -> Any:
    """Returns the value of JSON text.

    Raises:
        ValueError: it is no JSON, in the words of a parser; or a number in it is too long to be read.
    """
    found = orjson.loads(text)  # says best what is wrong
    return json.loads(text) if _LONG.search(text) else found
