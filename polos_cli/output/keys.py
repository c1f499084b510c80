"""Single keys from a terminal, read as they are typed. Does nothing where stdin is no terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

LOOK_EVERY = 0.5
"""Seconds after which a process in the background looks whether it was brought to the foreground."""


class Keys:
    """While entered, on a running loop, calls what a key stands for; the terminal is as it was afterwards."""

    def __init__(self, actions: Mapping[str, Callable[[], object]]) -> None:
        self.actions = dict(actions)
        self._before: list[Any] | None = None
        self._descriptor = -1
        self._again: asyncio.TimerHandle | None = None

    def rest(self) -> None:
        """Lets the terminal to somebody else, until `go_on`."""
        self.__exit__(None, None, None)

    def go_on(self) -> None:
        """Reads keys again."""
        self.__enter__()

    def __enter__(self) -> Keys:
        try:
            if sys.stdin is None or not sys.stdin.isatty():
                return self
            self._descriptor = sys.stdin.fileno()
        except ValueError:
            return self  # it is closed
        asyncio.get_running_loop().add_signal_handler(signal.SIGCONT, self._look)
        self._look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor < 0:
            return
        if self._again is not None:
            self._again.cancel()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.remove_signal_handler(signal.SIGCONT)
        if self._before is not None and self._is_in_front():
            import termios

            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
        self._before, self._descriptor, self._again = None, -1, None

    def _look(self) -> None:
        """Reads key by key while this is in the foreground: in the background (``&``, ``bg``) whatever touches the terminal
        is stopped. Looks again and again: of ``fg`` not every shell sends a signal, and some set the terminal after it."""
        import termios
        import tty

        loop = asyncio.get_running_loop()
        if self._again is not None:
            self._again.cancel()
        self._again = loop.call_later(LOOK_EVERY, self._look)
        if not self._is_in_front():
            loop.remove_reader(self._descriptor)
            return
        loop.add_reader(self._descriptor, self._typed)
        now = termios.tcgetattr(self._descriptor)
        if now[3] & termios.ICANON:
            self._before = self._before or now
            tty.setcbreak(self._descriptor, termios.TCSANOW)  # what was typed already is not thrown away

    def _is_in_front(self) -> bool:
        try:
            return os.getpgrp() == os.tcgetpgrp(self._descriptor)
        except OSError:
            return False  # it is no terminal of this session

    def _typed(self) -> None:
        try:
            typed = os.read(self._descriptor, 64).decode(errors="ignore")
        except OSError:
            typed = ""
        if not typed:
            asyncio.get_running_loop().remove_reader(self._descriptor)  # the terminal has gone
        for key in typed:
            action = self.actions.get(key)
            if action is not None:
                action()
