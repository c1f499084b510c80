"""Loads the named statements of `queries/*.sql` (R7). Runs none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

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
