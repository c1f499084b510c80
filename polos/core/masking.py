"""Takes secrets out of values that leave the machine (quality.md). Knows no store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

MASK = "***"
SHORTEST = 6
"""Characters from which on the value of a variable is looked for in other texts."""
_WORDS = frozenset({"password", "passwd", "passphrase", "secret", "token", "apikey", "authorization", "cookie", "credential",
                    "credentials", "pin", "cvv", "cvc"})  # fmt: skip
_PAIRS = frozenset({("api", "key"), ("private", "key"), ("access", "key"), ("secret", "key"), ("session", "key"),
                    ("signing", "key"), ("card", "number")})  # fmt: skip
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def looks_secret(key: str) -> bool:
    """Tells whether a field of that name looks like one that holds a secret: ``api_key``, ``accessToken``, ``X-Token``."""
    parts = [part.lower() for part in _PARTS.findall(key)]
    return any(part in _WORDS for part in parts) or any(pair in _PAIRS for pair in pairwise(parts))


class Masker:
    """Masks texts and JSON.

    Args:
        values: what is secret wherever it stands: the values of `.env`. Short ones would hide too much, and are not looked for.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        whole = list(values)
        lines = [line.strip() for value in whole if "\n" in value for line in value.split("\n")]  # as they are printed
        found = sorted({value for value in (*whole, *lines) if len(value) >= SHORTEST}, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, found))) if found else None

    def text(self, text: str) -> str:
        """Returns a text with every secret value masked."""
        return text if self._values is None else self._values.sub(MASK, text)

    def json(self, text: str) -> tuple[str, list[str]]:
        """Returns JSON text with its secrets masked, and where they were, as JSON pointers; all else to the letter as it was."""
        try:
            tree = json.loads(text)
        except ValueError:
            masked = self.text(text)
            return masked, [""] if masked != text else []
        found: list[str] = []
        masked_tree = self._tree(tree, "", found)
        if not found:
            return text, []
        return json.dumps(masked_tree, ensure_ascii=False, separators=(",", ":")), found

    def _tree(self, tree: Any, path: str, found: list[str], above: str = "") -> Any:
        if isinstance(tree, dict):
            return {key: self._field(key, item, f"{path}/{_escaped(key)}", found, above) for key, item in tree.items()}
        if isinstance(tree, list):
            return [self._tree(item, f"{path}/{index}", found, above) for index, item in enumerate(tree)]
        if isinstance(tree, str) and (masked := self.text(tree)) != tree:
            found.append(path)
            return masked
        return tree

    def _field(self, key: str, item: Any, path: str, found: list[str], above: str) -> Any:
        if isinstance(item, str) and item and (looks_secret(key) or _is_pair(above, key)):
            found.append(path)
            return MASK
        return self._tree(item, path, found, key)


def _is_pair(above: str, key: str) -> bool:
    """Tells whether two names below each other make one of a secret: ``{"card": {"number": ...}}``."""
    upper, lower = _PARTS.findall(above), _PARTS.findall(key)
    return bool(upper and lower) and (upper[-1].lower(), lower[0].lower()) in _PAIRS


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
