"""Stops the debugger where a replayed workflow asks for a step, with the values of that day (`polos replay --pdb`)."""

from __future__ import annotations

import asyncio
import pdb
import sys
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any

from polos.calls import AnyCall, RunCall
from polos.core.codec import plain
from polos.core.model import Entry
from polos.worker.frames import is_ours
from polos.worker.loop import CURRENT
from polos.worker.replay import History

_ASYNCIO = str(Path(asyncio.__file__).parent)
_SHOWN = 200


class StepDebugger(pdb.Pdb):
    """Stops in the user's frame that asks for `step`, or for the first one.

    Attributes:
        has_stopped: whether it came there; `keys`: what was asked for before.
        left: set when the person has left it.
    """

    def __init__(self, history: History, step: str | None) -> None:
        super().__init__(skip=["polos", "polos.*", "asyncio.*", "concurrent.*", "contextlib"], nosigint=True)
        self._recorded = {entry.key: entry for entry in history.entries}
        self._step = step
        self.has_stopped = False
        self.keys: list[str] = []
        self.left = asyncio.Event()

    def asked(self, call: AnyCall) -> None:
        """Hears of each request, on its way back to the user's code."""
        self.keys.append(call.key)
        if self.has_stopped or (self._step is not None and call.key != self._step):
            return
        self.has_stopped = True
        frame = _users_frame()
        if frame is None:
            return
        self.message(f"stopped where {call.key!r} is asked for, {call.site}")
        if isinstance(call, RunCall):
            given = [*map(repr, call.args), *(f"{name}={value!r}" for name, value in call.kwargs.items())]
            self.message(f"its arguments: {', '.join(given)[:_SHOWN] or 'none'}")
        self.message(f"recorded: {_told(self._recorded.get(call.key))}")
        self._stop_in(frame)

    def _stop_in(self, frame: FrameType) -> None:
        self.reset()
        at: FrameType | None = frame
        while at is not None:  # as `bdb.set_trace` does, but here and now
            at.f_trace = self.trace_dispatch
            self.botframe = at
            at = at.f_back
        self.interaction(frame, None)
        if not self.left.is_set() and self._goes_by_steps:
            sys.settrace(self.trace_dispatch)

    @property
    def _goes_by_steps(self) -> bool:
        """Tells whether it is to stop again: after a step, or at a breakpoint."""
        return self.stoplineno != -1 or bool(self.breaks)

    def set_quit(self) -> None:
        """Leaves: the rest of the replay is passed without stopping, and nobody waits for it."""
        self.left.set()
        self.clear_all_breaks()
        self.set_continue()


def _told(entry: Entry | None) -> str:
    if entry is None:
        return "nothing yet; a replay goes no further than what is recorded"
    if entry.failure is not None:
        return f"{entry.outcome}, {entry.failure.type_name}: {entry.failure.message}"
    value = "" if entry.value is None else f", {plain(entry.value)!r}"[:_SHOWN]
    return f"{entry.outcome}{value}"


def _users_frame() -> FrameType | None:
    """Returns the frame of the user's code that asks; where a step is a task of its own, the workflow's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_ours(frame.f_code.co_filename):
        if frame.f_code.co_filename.startswith(_ASYNCIO):
            return _suspended_frame()
        frame = frame.f_back
    return frame


def _suspended_frame() -> FrameType | None:
    """Returns the innermost frame of the user's in which the workflow itself is suspended."""
    run = CURRENT.get()
    waiting: Any = run.tasks[0].get_coro() if run is not None and run.tasks else None
    found = None
    while isinstance(waiting, CoroutineType):
        if waiting.cr_frame is not None and not is_ours(waiting.cr_frame.f_code.co_filename):
            found = waiting.cr_frame
        waiting = waiting.cr_await
    return found
