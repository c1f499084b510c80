"""The only writer of stderr: talk for people, and a live region on a terminal. Never writes data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TextIO

from polos_cli.output import style
from polos_cli.output.sanitize import Clean, join, sanitize
from polos_cli.output.style import Style


def say(text: str = "", look: Style = "plain") -> None:
    """Says something in a line, or several if the text has line ends."""
    _write(_painted(text, look))


def warn(text: str, hint: str = "") -> None:
    """Warns; `hint` is what to do about it."""
    _write(_headed("warning", "yellow", text, (), (hint,) if hint else ()))


def error(code: str, message: str, why: Sequence[str] = (), fix: Sequence[str] = ()) -> None:
    """Says what went wrong, why, and what to type next; `code` may be empty."""
    _write(_headed(f"error[{code}]" if code else "error", "red", message, why, fix))


def plain_json(value: object) -> None:
    """Writes a value as one line of JSON: the errors of `--json`."""
    from polos_cli.output.stdout import to_json

    _write(to_json(value))


def is_terminal() -> bool:
    """Tells whether a person reads what is said."""
    return style.is_terminal(sys.stderr)


def paint(text: str, look: Style) -> Clean:
    """Returns the text sanitized, in colour where stderr has any."""
    return style.paint(text, look, sys.stderr)


class Live:
    """Lines rewritten in place on a terminal; elsewhere `update` shows nothing and `close` the last ones.

    Not for use from two threads. `say` while it is open goes through `above`.
    """

    def __init__(self) -> None:
        self._moves = style.can_move(sys.stderr)
        self._shown = 0
        self._lines: tuple[Clean, ...] = ()

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def update(self, lines: Sequence[str]) -> None:
        """Shows these lines instead of the last ones; what does not fit the height is cut at the top.

        A line must fit the width: `clip` it before it is painted.
        """
        self._lines = tuple(sanitize(line) for line in lines)
        if self._moves:
            fitting = self._lines[-max(1, style.rows() - 1) :]
            self._draw(fitting)

    def above(self, text: str) -> None:
        """Says something above the live lines, to stay."""
        if not self._moves:
            say(text)
            return
        lines, self._lines = self._lines, ()
        self._draw((_painted(text, "plain"),))
        self._shown = 0
        self.update(lines)

    def close(self) -> None:
        """Leaves the last lines where they are; a second call does nothing."""
        if self._lines:
            if self._moves:
                self._draw(self._lines)
            else:
                _write(Clean("\n".join(self._lines)))
        self._lines, self._shown = (), 0

    def _draw(self, lines: Sequence[Clean]) -> None:
        start = f"\x1b[{self._shown}F\x1b[0J" if self._shown else ""
        _put(sys.stderr, start + "".join(f"{line}\n" for line in lines))
        self._shown = len(lines)


def _painted(text: str, look: Style) -> Clean:
    if isinstance(text, Clean):
        return text
    lines = sanitize(text, multiline=True).split("\n")
    return Clean("\n".join(paint(line, look) for line in lines))


def _headed(head: str, look: Style, message: str, why: Sequence[str], fix: Sequence[str]) -> Clean:
    first, _, rest = message.partition("\n")
    lines = [join((paint(f"{head}:", look), " ", first))]
    reasons = [*(line.strip() for line in rest.split("\n") if line.strip()), *why]
    for label, texts in (("why:", reasons), ("fix:", list(fix))):
        for at, text in enumerate(texts):
            mark = paint(label, "dim") if at == 0 else Clean(" " * len(label))
            lines.append(join(("  ", mark, "  ", text)))
    return Clean("\n".join(lines))


def _write(text: Clean) -> None:
    _put(sys.stderr, f"{text}\n")


def _put(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (BrokenPipeError, ValueError):
        pass  # nobody listens any more; what is said is not worth failing for
