"""Keeps a stream of lines readable: beyond so many a second, they are counted instead of shown. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from polos_cli.output.sanitize import Clean

A_SECOND = 100


class Pace:
    """At most `limit` lines a second; what was left out is said with the next line, or at the end."""

    def __init__(self, limit: int = A_SECOND) -> None:
        self._limit = limit
        self._since = float("-inf")
        self._shown = 0
        self._left_out = 0

    def take(self, lines: Sequence[Clean], now: float) -> list[Clean]:
        """Returns what to show of these lines at an instant (seconds, of any steady clock)."""
        shown: list[Clean] = []
        if now - self._since >= 1.0:
            shown += self.rest()
            self._since, self._shown = now, 0
        for line in lines:
            if self._shown < self._limit:
                self._shown += 1
                shown.append(line)
            else:
                self._left_out += 1
        return shown

    def rest(self) -> list[Clean]:
        """Returns the line that says how many were left out, if any were."""
        if not self._left_out:
            return []
        left, self._left_out = self._left_out, 0
        return [Clean(f"         … and {left} more lines (polos ps, polos events)")]
