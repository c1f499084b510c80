"""Asks a person at the terminal, without blocking the loop. Decides nothing about the answer's meaning."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import Any

from polos.core import jsontext
from polos.core.answers import value_of
from polos.core.forms import FormField, fields_in
from polos_cli.output import stderr
from polos_cli.output.sanitize import sanitize


def ask_line(question: str) -> str:
    """Asks for one line on stderr and reads it from stdin. Raises `KeyboardInterrupt` at the end of input."""
    sys.stderr.write(sanitize(question))
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise KeyboardInterrupt
    return line.rstrip("\n")


def is_there() -> bool:
    """Tells whether a person can be asked: on a terminal, and not from a background job (``polos run ... &``).

    A background job that reads is stopped by the terminal, and with it whatever the process owns; so from now on it is
    told of an error instead.
    """
    if not (sys.stdin.isatty() and stderr.is_terminal()):
        return False
    if not hasattr(signal, "SIGTTIN"):
        return True
    if signal.getsignal(signal.SIGTTIN) == signal.SIG_DFL:
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return True  # another one than that which controls this session: it stops nobody


_asked: list[asyncio.Future[str | None]] = []
"""The question that waits for a line; the reading thread goes on when a question is given up, and serves the next."""
_reading = threading.Lock()


async def ask(question: str) -> str | None:
    """Asks on a daemon thread; None at the end of input, and in the background, where no terminal can be read.

    A question may be given up by a cancel.
    """
    if not is_there():
        return None
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str | None] = loop.create_future()
    sys.stderr.write(sanitize(question))
    sys.stderr.flush()
    _asked[:] = [answer]
    if _reading.acquire(blocking=False):
        threading.Thread(target=_read_line, args=(loop,), name="polos-prompt", daemon=True).start()
    return await answer


def _read_line(loop: asyncio.AbstractEventLoop) -> None:
    try:
        line = sys.stdin.readline()
        text = line.rstrip("\n") if line else None
    except (KeyboardInterrupt, ValueError, OSError):
        text = None
    _reading.release()
    try:
        loop.call_soon_threadsafe(_settle, text)
    except RuntimeError:
        pass  # the loop has ended meanwhile


def _settle(text: str | None) -> None:
    for answer in _asked:
        if not answer.done():
            answer.set_result(text)
    _asked.clear()


def question_of(data: Any, step_key: str) -> list[str]:
    """Returns the lines that put a suspend's request before a person."""
    lines = [f"{step_key} asks:"]
    if isinstance(data, dict):
        shown = {key: value for key, value in data.items() if key not in ("form", "schema")}
        lines += [f"  {key}: {_text(value)}" for key, value in shown.items()]
    elif data is not None:
        lines.append(f"  {_text(data)}")
    return lines


def _text(value: Any) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value)


async def answer_for(data: Any) -> tuple[bool, Any]:
    """Asks for the answer to a suspend: the fields of its form if it has one, else yes or no.

    Returns:
        (True, the answer), or (False, None) when the person leaves it open.
    """
    fields = fields_in(data)
    if fields:
        return await _form(fields)
    while True:
        text = await ask("  approve? [y]es, [n]o, JSON, or [s]kip: ")
        if text is None or text.strip().lower() in ("s", "skip"):
            return False, None
        word = text.strip()
        if word.lower() in ("y", "yes", "n", "no"):
            return True, {"approved": word.lower().startswith("y")}
        try:
            return True, jsontext.loads(word)
        except ValueError:
            stderr.say('  write y, n, s, or JSON such as {"approved": true}', "yellow")


async def _form(fields: list[FormField]) -> tuple[bool, Any]:
    answer: dict[str, Any] = {}
    for field in fields:
        while True:
            text = await ask(f"  {described(field)}: ")
            if text is None:
                return False, None
            text = text.strip() or field.default
            if not text and not field.is_required:
                break
            try:
                answer[field.name] = typed(field, text)
                break
            except ValueError as error:
                stderr.say(f"  {field.name}: {error}; Ctrl-D leaves the question open", "yellow")
    return True, answer


def described(field: FormField) -> str:
    """Returns a field's name as it is asked for, with what it takes."""
    kind = {"boolean": "yes or no", "json": "JSON", "any": ""}.get(field.kind, field.kind)
    takes = ", ".join(field.options) or kind
    about = [] if field.label.lower().replace(" ", "_") == field.name.lower() else [field.label]
    about += [takes] if takes else []
    if not field.is_required:
        about.append("optional")
    named = f"{field.name} ({', '.join(about)})" if about else field.name
    return named + (f" [{field.default}]" if field.default else "")


def typed(field: FormField, text: str) -> Any:
    """Returns what was typed into a field. Raises `ValueError`, which says what is wanted."""
    if not text and field.is_nullable:
        return None
    if not text:
        raise ValueError("is needed")
    return value_of(field, text)
