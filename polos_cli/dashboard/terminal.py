"""Whether the terminal is still there. One that has gone without a hangup signal would be read for ever, for nothing."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
from collections.abc import Callable


def is_gone() -> bool:
    """Tells whether the terminal of this process's input was closed at the other side."""
    try:
        asked = select.poll()
        asked.register(sys.__stdin__.fileno() if sys.__stdin__ is not None else 0, 0)
        return any(told & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, told in asked.poll(0))
    except (OSError, ValueError):
        return True


def leave() -> None:
    """Ends this process at once: nothing can be put back on a terminal that is not there."""
    os._exit(129)  # as after SIGHUP


def when_ended(does: Callable[[], object]) -> None:
    """Calls a function when the process is told to end, which then leaves the terminal as it was."""
    if threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, does)
