"""Asks a person at the terminal, without blocking the loop. Decides nothing about the answer's meaning."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

from polos.core import jsontext
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


_asked: list[asyncio.Future[str | None]] = []
"""The question that waits for a line; the reading thread goes on when a question is given up, and serves the next."""
_reading = threading.Lock()


async def ask(question: str) -> str | None:
    """Asks on a daemon thread; None at the end of input. A question may be given up by a cancel."""
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
        text: str | None = sys.stdin.readline().rstrip("\n") or None
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
    form = data.get("form") or data.get("schema") if isinstance(data, dict) else None
    fields = form.get("properties", form) if isinstance(form, dict) else None
    if isinstance(fields, dict) and fields:
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


async def _form(fields: dict[str, Any]) -> tuple[bool, Any]:
    from polos_cli.options import read_value

    answer: dict[str, Any] = {}
    for name, field in fields.items():
        schema = field if isinstance(field, dict) else {"type": str(field)}
        about = schema.get("description") or schema.get("type") or ""
        text = await ask(f"  {name}{f' ({about})' if about else ''}: ")
        if text is None:
            return False, None
        answer[name] = read_value(text, schema)
    return True, answer
