"""Loads the named statements of `queries/*.sql` (R7), and orders their parameters. Runs none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from operator import itemgetter
from typing import Any

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def statements() -> Mapping[str, str]:
    """Returns every statement by its name."""
    found: dict[str, str] = {}
    for file in sorted(files("polos.store.sql").joinpath("queries").iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".sql"):
            continue
        parts = _NAME.split(file.read_text(encoding="utf-8"))
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise ValueError(f"the statement {name} is defined twice (again in {file.name})")
            found[name] = text.strip()
    return found


@cache
def positional(text: str) -> tuple[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
    """Returns a statement with ``?`` for its named parameters, and what puts their values in that order.

    Drivers bind a tuple in a fraction of the time that they look names up in.
    """
    names = _PARAMETER.findall(text)
    if len(names) > 1:
        return _PARAMETER.sub("?", text), itemgetter(*names)
    return _PARAMETER.sub("?", text), lambda params: tuple(params[name] for name in names)
