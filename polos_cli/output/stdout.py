"""The only writer of stdout: data, for programs and people. Talks to nobody: that is stderr's."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath

from polos_cli.output.sanitize import Clean, json_safe, sanitize
from polos_cli.output.style import is_terminal


def data(text: str) -> None:
    """Writes the text and a line end. It is sanitized, line ends kept, unless it is `Clean` already."""
    _write(sanitize(text, multiline=True))


def document(value: object) -> None:
    """Writes a value as one JSON document; indented on a terminal, in one line elsewhere."""
    _write(to_json(value, indent=is_terminal(sys.stdout)))


def line(value: object) -> None:
    """Writes a value as one line of JSON Lines, and flushes it."""
    _write(to_json(value))


def to_json(value: object, indent: bool = False) -> Clean:
    """Returns a value as JSON text without a sign that could steer a terminal; it decodes to the same value.

    Raises:
        TypeError: something in it is not JSON, a dataclass, an enum, an aware datetime or a path.
    """
    from polos.core import jsontext

    return json_safe(jsontext.dumps(value, default=_plain, indent=indent))


def _plain(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _write(text: Clean) -> None:
    stream = sys.stdout
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except BrokenPipeError:
        # The reader has what it wanted (`| head`). The descriptor must not fail again at exit.
        _point_at_nothing(stream.fileno())
        raise SystemExit(0) from None


def _point_at_nothing(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
