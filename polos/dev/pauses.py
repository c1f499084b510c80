"""How long to pause before a worker that died is started again. Starts nothing."""

from __future__ import annotations

FIRST, LONGEST = 0.5, 10.0
"""Seconds: doubled each time, from the first on again after `SETTLED`."""
SETTLED = 15.0


class Pauses:
    """The pauses between the starts of one server's workers."""

    def __init__(self) -> None:
        self._next = FIRST

    def after(self, lived: float) -> float:
        """Returns the seconds to pause for, of a worker that lived so many."""
        if lived > SETTLED:
            self._next = FIRST
        pause, self._next = self._next, min(LONGEST, self._next * 2)
        return pause

    def begin_anew(self) -> None:
        """Other code may live longer."""
        self._next = FIRST
