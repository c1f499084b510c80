"""Spans of time as people write and read them. Knows no clock."""

from __future__ import annotations

import re

SECOND = 1_000_000
_UNITS = {
    "ms": 1_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86400 * SECOND,
    "w": 604800 * SECOND,
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def parse_duration(text: str) -> int:
    """Returns the microseconds of ``"5m"``, ``"1h30m"``, ``"250ms"`` or a bare number of seconds.

    Raises:
        ValueError: it is none of these.
    """
    stripped = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        return round(float(stripped) * SECOND)
    total, at = 0.0, 0
    while at < len(stripped):
        part = _PART.match(stripped, at)
        if part is None:
            raise ValueError(f"{text!r} is not a span of time: write 30s, 5m, 2h, 1h30m or 3d")
        total += float(part.group(1)) * _UNITS[part.group(2)]
        at = part.end()
    if not stripped:
        raise ValueError("a span of time is missing: write 30s, 5m, 2h, 1h30m or 3d")
    return round(total)


def show_duration(microseconds: int) -> str:
    """Returns a span in at most two units: ``3 ms``, ``1.4 s``, ``2m 05s``, ``3h 10m``, ``2d 4h``."""
    if microseconds < SECOND:
        return f"{max(0, microseconds) // 1000} ms"
    seconds = microseconds / SECOND
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = max(60, int(seconds))
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def to_microseconds(seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0, weeks: float = 0) -> int:
    """Returns the span in microseconds.

    Raises:
        ValueError: the span is zero, negative or not finite (S4.1).
    """
    total = seconds + 60 * minutes + 3600 * hours + 86400 * days + 604800 * weeks
    if not 0 < total < 1e11:
        raise ValueError(f"a wait must be longer than zero and finite, not {total} seconds")
    return max(1, round(total * SECOND))
