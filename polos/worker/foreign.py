"""Watches for what moves workflow code and is not in the journal: raw IO, threads (S1.11). Forbids nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from polos.worker.loop import Run, foreign_wait, user_line
from polos.worker.request import RequestFuture


class ForeignWatch:
    """What one execution awaits outside its journal: warned about once a line, and waited for before it counts as diverged."""

    def __init__(self, run: Run, warn: Callable[[str], None], stall: float) -> None:
        self._run = run
        self._warn = warn
        self._stall = stall
        self._warned: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def lines(self) -> list[str]:
        """Returns the user's lines at which tasks wait on something that is not recorded."""
        found = (foreign_wait(task, RequestFuture) for task in self._run.tasks if not task.done())
        return [line for line in found if line]

    def woke(self, handle: asyncio.Handle) -> None:
        """Warns, once a line, that something outside the journal has moved the code."""
        task = getattr(getattr(handle, "_callback", None), "__self__", None)
        line = user_line(task) if isinstance(task, asyncio.Task) and not task.done() else ""
        if line and line not in self._warned:
            self._warned.add(line)
            self._warn(
                f"{line} awaits something that the journal does not record; "
                "its place among the steps is not replayed. Put it into a step: ctx.step.run(...)"
            )

    def stall(self, line: str, block: Callable[[str], None], reason: str) -> None:
        """Waits on for a while, and says so; then it blocks."""
        if self._timer is None:
            self._warn(f"the replay waits at {line} on something that was not recorded")
            self._timer = self._run.loop.call_later(self._stall, block, reason)

    def moved(self) -> None:
        """A new request has come: the code is not stuck."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
