"""Tells the user's source files from ours. Reads no source."""

from __future__ import annotations

import asyncio
from pathlib import Path

_OURS = (
    str(Path(__file__).resolve().parent.parent) + "/",
    str(Path(asyncio.__file__).resolve().parent) + "/",
)


def is_ours(filename: str) -> bool:
    """Tells whether a frame's file belongs to polos or to asyncio, so that a traceback can leave it out."""
    return filename.startswith(_OURS)
