"""Captures `print`, `logging` and warnings of workflows and steps (S10). Stores nothing: hands lines to the scope's owner."""

from __future__ import annotations

import contextvars
import io
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any, TextIO

LINES_PER_ATTEMPT = 1_000
_LINE_LIMIT = 8_192


class Scope:
    """Where lines of one attempt (or of the workflow's own code) go. Not thread-safe; lines may come from threads."""

    def __init__(
        self, take: Callable[[Scope, str, str, str], bool], step_key: str | None, attempt: int, stored: int = 0
    ) -> None:
        self._take = take
        self.step_key = step_key
        self.attempt = attempt
        self.count = 0
        self._stored = stored
        self._partial: dict[str, str] = {}
        self._dropped = 0

    def write(self, text: str, stream: str) -> bool:
        """Takes printed text and passes its whole lines on; returns False where they should not be shown again."""
        shown = self.count >= self._stored  # a line's first part is decided on before its end has come
        *lines, self._partial[stream] = (self._partial.get(stream, "") + text).split("\n")
        for line in lines:
            shown = self.line(line, "INFO" if stream == "stdout" else "WARNING", stream)
        return shown

    def line(self, text: str, level: str, stream: str) -> bool:
        """Passes one line on; returns False when it repeats one that was stored before."""
        if self.count >= LINES_PER_ATTEMPT:
            self._dropped += 1
            return True
        self.count += 1
        if self.count <= self._stored:
            return False  # a replay repeats it
        return self._take(self, text[:_LINE_LIMIT], level, stream)

    def flush(self) -> None:
        """Passes on what was printed without a newline at the end, and says how many lines were dropped."""
        for stream, text in self._partial.items():
            if text:
                self.line(text, "INFO" if stream == "stdout" else "WARNING", stream)
        self._partial.clear()
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self.count += 1
            self._take(self, f"{dropped} more lines were not stored (at most {LINES_PER_ATTEMPT})", "WARNING", "log")


SCOPE: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("polos_scope", default=None)


class _Tee(io.TextIOBase):
    """A standard stream that also gives scopes their lines."""

    def __init__(self, own: TextIO, stream: str, echo: bool) -> None:
        self.own = own
        self._stream = stream
        self._echo = echo

    def write(self, text: str) -> int:
        scope = SCOPE.get()
        if scope is None:
            return self.own.write(text)
        if scope.write(text, self._stream) and self._echo:
            self.own.write(text)
        return len(text)

    def flush(self) -> None:
        self.own.flush()

    def isatty(self) -> bool:
        return self.own.isatty()

    def fileno(self) -> int:
        return self.own.fileno()

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)


class ScopeHandler(logging.Handler):
    """Gives scopes the log records made inside them."""

    def emit(self, record: logging.LogRecord) -> None:
        scope = SCOPE.get()
        if scope is None or record.name.startswith("polos.") or record.name == "asyncio":
            return
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        except Exception as broken:  # a bad format string must not end the user's code
            text = f"{record.msg!r} (could not be formatted: {broken})"
        for line in text.split("\n"):
            scope.line(line, record.levelname, "log")


class Capture:
    """Puts the capture in place, and takes it away again. `echo`: what is captured is also printed."""

    def __init__(self, echo: bool = True) -> None:
        self._echo = echo
        self._handler = ScopeHandler()
        self._installed: list[tuple[str, TextIO, _Tee]] = []
        self._show_warning: Any = None

    def install(self) -> None:
        """Wraps the standard streams, the root logger and the display of warnings."""
        for name in ("stdout", "stderr"):
            own = getattr(sys, name)
            if own is None:
                continue
            tee = _Tee(own, name, self._echo)
            setattr(sys, name, tee)
            self._installed.append((name, own, tee))
        logging.getLogger().addHandler(self._handler)
        self._show_warning = warnings.showwarning
        warnings.showwarning = self._warn

    def remove(self) -> None:
        """Restores what was there, where nobody has replaced it meanwhile."""
        for name, own, tee in self._installed:
            if getattr(sys, name) is tee:
                setattr(sys, name, own)
        self._installed.clear()
        logging.getLogger().removeHandler(self._handler)
        if self._show_warning is not None and warnings.showwarning == self._warn:
            warnings.showwarning = self._show_warning

    def _warn(
        self, message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        scope = SCOPE.get()
        if scope is None:
            self._show_warning(message, category, filename, lineno, file, line)
        else:
            scope.line(f"{category.__name__}: {message} ({filename}:{lineno})", "WARNING", "warnings")
