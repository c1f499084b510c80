"""Writes behind the back of a loop: a reader that takes nothing, or a stopped terminal, holds up no engine."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

WAITING = 10_000
"""What may wait to be written; what comes beyond is dropped, and counted."""
ENDS_WITHIN = 1.0


class Outlet:
    """Does what writes on a thread of its own, in order.

    Args:
        dropped: writes that so many were dropped.
    """

    def __init__(self, dropped: Callable[[int], object], waiting: int = WAITING) -> None:
        self._queue: queue.Queue[Callable[[], object] | None] = queue.Queue(waiting)
        self._say_dropped = dropped
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="polos-outlet", daemon=True)
        self._thread.start()

    def put(self, write: Callable[[], object]) -> None:
        """Lets it be done soon, or drops it where too much waits."""
        try:
            self._queue.put_nowait(write)
        except queue.Full:
            self._dropped += 1

    def end(self) -> None:
        """Lets what waits be written, for a second at most."""
        try:
            self._queue.put(None, timeout=ENDS_WITHIN)
        except queue.Full:
            return
        self._thread.join(ENDS_WITHIN)

    def _write(self) -> None:
        while (write := self._queue.get()) is not None:
            if self._dropped and self._queue.empty():
                dropped, self._dropped = self._dropped, 0
                self._say_dropped(dropped)
            write()
