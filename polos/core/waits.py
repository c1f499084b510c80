"""What completes a wait: channels and the match of events. Touches no store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from polos.core.model import Stored


def topic_channel(topic: str) -> str:
    """Returns the channel of waits for events on `topic`."""
    return f"topic:{topic}"


def execution_channel(execution_id: str) -> str:
    """Returns the channel of waits for the end of an execution."""
    return f"execution:{execution_id}"


def resume_channel(execution_id: str, key: str) -> str:
    """Returns the channel of the wait for the answer to a suspend."""
    return f"resume:{execution_id}/{key}"


def children_channel(parent: int, key: str) -> str:
    """Returns the channel of the wait for all children of a batch, by the parent's number."""
    return f"children:{parent}/{key}"


def json_equal(left: Any, right: Any) -> bool:
    """Tells whether two decoded JSON values are equal by JSON's rules: true is not 1, but 1 is 1.0."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(json_equal(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(json_equal, left, right))
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return left == right
    return type(left) is type(right) and bool(left == right)


def same_value(new: Stored, text: str, shape: str | None) -> bool:
    """Tells whether a value is the stored one: equal as JSON, whatever the order of its keys (S9.1)."""
    if (text, shape) == (new.text, new.shape):
        return True
    shapes = [None if one is None else json.loads(one) for one in (shape, new.shape)]
    return bool(shapes[0] == shapes[1]) and json_equal(json.loads(text), json.loads(new.text))


def matches(match: str | None, data: str) -> bool:
    """Tells whether an event's data has every top-level key of `match` with an equal value (S4.2). Both are JSON text."""
    if match is None:
        return True
    wanted: Mapping[str, Any] = json.loads(match)
    found = json.loads(data)
    return isinstance(found, dict) and all(k in found and json_equal(found[k], v) for k, v in wanted.items())
