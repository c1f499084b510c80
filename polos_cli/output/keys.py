"""Single keys from a terminal, read as they are typed. Does nothing where stdin is no terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any


class Keys:
    """While entered, on a running loop, calls what a key stands for; the terminal is as it was afterwards."""

    def __init__(self, actions: Mapping[str, Callable[[], object]]) -> None:
        self.actions = dict(actions)
        self._before: list[Any] | None = None
        self._descriptor = -1

    def rest(self) -> None:
        """Lets the terminal to somebody else, until `go_on`."""
        self.__exit__(None, None, None)

    def go_on(self) -> None:
        """Reads keys again."""
        self.__enter__()

    def __enter__(self) -> Keys:
        try:
            is_there = sys.stdin is not None and sys.stdin.isatty() and os.getpgrp() == os.tcgetpgrp(sys.stdin.fileno())
        except (OSError, ValueError):
            return self
        if not is_there:
            return self  # not ours to read: piped, or in the background
        import termios

        self._descriptor = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._descriptor)
        self._one_by_one()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, self._typed)
        loop.add_signal_handler(signal.SIGCONT, self._one_by_one)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is None:
            return
        import termios

        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.remove_signal_handler(signal.SIGCONT)
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
        self._before = None

    def _one_by_one(self) -> None:
        import tty

        tty.setcbreak(self._descriptor)

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
