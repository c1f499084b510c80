"""Captures `print`, `logging` and warnings of workflows and steps (S10). Stores nothing: hands lines to the scope's owner."""

from __future__ import annotations

import contextlib
import contextvars
import io
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TextIO

LINES_PER_ATTEMPT = 1_000
_LINE_LIMIT = 8_192
_LEVEL = {"stdout": "INFO", "stderr": "WARNING"}


class Scope:
    """Where lines of one attempt (or of the workflow's own code) go. Not thread-safe; lines may come from threads.

    `who`: whose they are, for those who are shown the lines of many.
    """

    def __init__(
        self, take: Callable[[Scope, str, str, str], bool], step_key: str | None, attempt: int, stored: int = 0,
        who: str = "",
    ) -> None:  # fmt: skip
        self._take = take
        self._who = who
        self._unsaid: dict[str, str] = {}
        self.step_key = step_key
        self.attempt = attempt
        self.count = 0
        self._stored = stored
        self._partial: dict[str, list[str]] = {}
        self._size: dict[str, int] = {}
        self._dropped = 0

    def write(self, text: str, stream: str) -> bool:
        """Takes printed text and passes its whole lines on; returns False where they should not be shown again."""
        shown = self.count >= self._stored  # a line's first part is decided on before its end has come
        parts = self._partial.setdefault(stream, [])
        size = self._size.get(stream, 0) + len(text)
        if size <= _LINE_LIMIT and "\n" not in text:
            parts.append(text)
            self._size[stream] = size
            return shown
        *lines, rest = ("".join(parts) + text).split("\n")
        for line in lines:
            for start in range(0, max(1, len(line)), _LINE_LIMIT):
                shown = self.line(line[start : start + _LINE_LIMIT], _LEVEL[stream], stream)
        while len(rest) > _LINE_LIMIT:  # one without an end is passed on in pieces
            shown = self.line(rest[:_LINE_LIMIT], _LEVEL[stream], stream)
            rest = rest[_LINE_LIMIT:]
        self._partial[stream], self._size[stream] = [rest], len(rest)
        return shown

    def line(self, text: str, level: str, stream: str) -> bool:
        """Passes one line on; returns False when it repeats one that was stored before."""
        if self.count >= LINES_PER_ATTEMPT:
            self._dropped += 1
            return True
        self.count += 1
        if self.count <= self._stored:
            return False  # a replay repeats it
        text = text[:_LINE_LIMIT].encode("utf-8", "backslashreplace").decode()  # lone surrogates cannot be stored
        return self._take(self, text, level, stream)

    def labelled(self, text: str, stream: str) -> str:
        """Returns the whole lines of what is to be shown, each with whose it is before it; the rest waits for its end."""
        text = self._unsaid.pop(stream, "") + text
        *lines, rest = text.split("\n")
        if len(rest) > _LINE_LIMIT:
            lines, rest = [*lines, rest], ""
        if rest:
            self._unsaid[stream] = rest
        label = f"         │ {self._who}{f' {self.step_key}' if self.step_key is not None else ''}: "
        return "".join(f"{label}{line}\n" for line in lines)

    def flush(self) -> None:
        """Passes on what was printed without a newline at the end, and says how many lines were dropped."""
        for stream in list(self._unsaid):
            _capturing.show(stream, self.labelled("\n", stream))
        for stream, parts in self._partial.items():
            if text := "".join(parts):
                self.line(text, _LEVEL[stream], stream)
        self._partial.clear()
        self._size.clear()
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self.count += 1
            self._take(self, f"{dropped} more lines were not stored (at most {LINES_PER_ATTEMPT})", "WARNING", "log")


SCOPE: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("polos_scope", default=None)


@contextlib.contextmanager
def _outside() -> Iterator[None]:
    """Shows something inside a scope without its being taken once more on its way to the terminal."""
    token = SCOPE.set(None)
    try:
        yield
    finally:
        SCOPE.reset(token)


class _Tee(io.TextIOBase):
    """A standard stream that also gives scopes their lines."""

    def __init__(self, own: TextIO, stream: str) -> None:
        self.own = own
        self._stream = stream

    def write(self, text: str) -> int:
        scope = SCOPE.get()
        if scope is None or not isinstance(text, str):
            return self.own.write(text)
        if scope.write(text, self._stream) and _capturing.echoes:
            shown = scope.labelled(text, self._stream) if _capturing.labels else text
            if shown:  # whole lines in one piece: other threads and processes write there, too
                with _outside():
                    self.own.write(shown)
        return len(text)

    def flush(self) -> None:
        self.own.flush()

    def close(self) -> None:
        """Leaves the own stream open: also called when this one is forgotten."""

    def isatty(self) -> bool:
        return self.own.isatty()

    def fileno(self) -> int:
        return self.own.fileno()

    def writable(self) -> bool:
        return True

    # What `io.TextIOBase` has itself never comes to `__getattr__`.
    encoding = property(lambda self: self.own.encoding)
    errors = property(lambda self: self.own.errors)
    newlines = property(lambda self: self.own.newlines)
    closed = property(lambda self: self.own.closed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)


def _told_by(record: logging.LogRecord, scope: Scope) -> bool:
    """Gives a scope the lines of a log record; returns False when they repeat stored ones."""
    try:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
    except Exception as broken:  # a bad format string must not end the user's code
        text = f"{record.msg!r} (could not be formatted: {broken})"
    shown = True
    for line in text.split("\n"):
        shown = scope.line(line, record.levelname, "log")
    return shown


def _stored_by_default(logger: logging.Logger, level: int) -> bool:
    """Tells whether a record is taken though the program's logging leaves it out: `ctx.logger` from INFO on (S10.1)."""
    if level < logging.INFO or not logger.name.startswith("workflow.") or logger.disabled:
        return False
    if logger.manager.disable >= level:
        return False
    at: logging.Logger | None = logger
    while at is not None and at is not logger.root:
        if at.level:
            return False  # its level was chosen
        at = at.parent
    return True


class _Capturing:
    """The one capture of this process, in place while any engine runs. Has no handler: logging goes on as it was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: list[Capture] = []
        self._streams: list[tuple[str, TextIO, _Tee]] = []
        self._own_call: Any = None
        self._own_enabled: Any = None
        self._own_show: Any = None
        self.echoes = self.labels = False

    def add(self, user: Capture) -> None:
        with self._lock:
            self._users.append(user)
            self._count()
            self._wrap_streams()  # for each: the program may have put others in their place meanwhile
            if len(self._users) == 1:
                self._hook()

    def remove(self, user: Capture) -> None:
        with self._lock:
            if user not in self._users:
                return
            self._users.remove(user)
            self._count()
            if not self._users:
                self._unhook()

    def _count(self) -> None:
        self.echoes = any(user.echo for user in self._users)
        self.labels = any(user.is_labelled for user in self._users)

    def show(self, name: str, text: str) -> None:
        """Shows what was held back of a stream's line."""
        for stream, own, _ in self._streams:
            if stream == name:
                own.write(text)
                return

    def wrap_again(self) -> None:
        """Wraps streams that were put in place since: a test runner does that before each of its phases."""
        with self._lock:
            if self._users:
                self._wrap_streams()

    def _wrap_streams(self) -> None:
        for name in ("stdout", "stderr"):
            own = getattr(sys, name)
            if own is not None and not isinstance(own, _Tee):
                tee = _Tee(own, name)
                setattr(sys, name, tee)
                self._streams.append((name, own, tee))

    def _hook(self) -> None:
        own_call, own_enabled = logging.Logger.callHandlers, logging.Logger.isEnabledFor

        def is_enabled(logger: logging.Logger, level: int) -> bool:
            return own_enabled(logger, level) or (SCOPE.get() is not None and _stored_by_default(logger, level))

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            scope = SCOPE.get()
            if scope is None:
                own_call(logger, record)
                return
            shown = True
            if not record.name.startswith("polos.") and record.name != "asyncio":
                shown = _told_by(record, scope)
                if not own_enabled(logger, record.levelno):
                    return  # the program's own logging does not ask for it
                if not logger.hasHandlers():
                    shown = shown and _capturing.echoes  # logging's last resort prints it, as `print` would
            if shown or logger.hasHandlers():
                with _outside():
                    own_call(logger, record)

        self._own_call, self._call = own_call, call_handlers
        self._own_enabled, self._enabled = own_enabled, is_enabled
        logger_class: Any = logging.Logger
        logger_class.callHandlers = call_handlers
        logger_class.isEnabledFor = is_enabled
        self._own_show = warnings.showwarning
        self._show = self._warn
        warnings.showwarning = self._show

    def _unhook(self) -> None:
        """Restores what was there, where nobody has replaced it meanwhile."""
        for name, own, tee in reversed(self._streams):
            if getattr(sys, name) is tee:
                setattr(sys, name, own)
        self._streams.clear()
        if logging.Logger.callHandlers is self._call:
            logging.Logger.callHandlers = self._own_call  # type: ignore[method-assign]  # as it was
        if logging.Logger.isEnabledFor is self._enabled:
            logging.Logger.isEnabledFor = self._own_enabled  # type: ignore[method-assign]  # as it was
        if warnings.showwarning is self._show:
            warnings.showwarning = self._own_show

    def _warn(
        self, message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        scope = SCOPE.get()
        shown = True
        if scope is not None:
            shown = scope.line(f"{category.__name__}: {message} ({filename}:{lineno})", "WARNING", "warnings")
            shown = shown and self.echoes
        if shown:
            with _outside():
                self._own_show(message, category, filename, lineno, file, line)


_capturing = _Capturing()


class Capture:
    """One engine's share in the capture.

    Args:
        echo: what is captured is also printed, if any engine here wants it.
        is_labelled: each printed line says whose it is.
    """

    def __init__(self, echo: bool = True, is_labelled: bool = False) -> None:
        self.echo, self.is_labelled = echo, is_labelled

    def install(self) -> None:
        """Puts the capture in place: the standard streams, logging and the display of warnings."""
        _capturing.add(self)

    def renew(self) -> None:
        """Puts it in place again where the standard streams were replaced meanwhile."""
        _capturing.wrap_again()

    def remove(self) -> None:
        """Takes it away with the last engine of the process."""
        _capturing.remove(self)
