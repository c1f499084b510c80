"""Recorded values as people edit them in a fork. Edits none."""

from __future__ import annotations

from typing import Any

from polos.core.codec import plain
from polos.core.model import Kind, Stored


def edited_part(kind: Kind, value: Stored) -> Any:
    """Returns what is edited of a recorded value: of an event or an answer its data."""
    found = plain(value)
    return found.get("data") if kind in (Kind.EVENT, Kind.SUSPEND) and isinstance(found, dict) else found
