"""What is checked and noted of a step call when it is made. Asks nothing of the run."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

from polos.authoring import typed
from polos.core.durations import SECOND
from polos.errors import UsageError

WORKFLOW_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
KEY_LIMIT = 512
_OPTIONS = frozenset({"max_retries", "base_delay", "max_delay", "timeout"})
_sites: dict[str, str] = {}


def checked_aliases(id_: str, aliases: Sequence[str]) -> tuple[str, ...]:
    """Returns the earlier ids of a workflow if they can be that. Raises `UsageError`."""
    if isinstance(aliases, str) or not all(isinstance(one, str) and WORKFLOW_ID.fullmatch(one) for one in aliases):
        raise UsageError(
            f"the aliases of {id_!r} are earlier ids of it, not {aliases!r}", hint='write aliases=["old_id"]'
        )
    return tuple(dict.fromkeys(one for one in aliases if one != id_))


def checked_key(key: str) -> str:
    """Returns a step's key if it can be one (S1.5). Raises `UsageError`."""
    if not isinstance(key, str) or not key:
        raise UsageError(f"a step's key is non-empty text, not {key!r}")
    if len(key) > KEY_LIMIT:
        raise UsageError(f"a step's key has at most {KEY_LIMIT} characters; this one has {len(key)}: {key[:60]!r}…")
    check_text(key, "a step's key")
    if key.startswith("polos:"):
        raise UsageError(f"keys that start with 'polos:' are polos's own ({key!r})")
    return key


def check_text(text: str, what: str) -> None:
    """Refuses what is no text, and text that cannot be stored: NUL, lone surrogates. Raises `UsageError`."""
    if not isinstance(text, str):
        raise UsageError(f"{what} is text, not {text!r}")
    if "\0" in text:
        raise UsageError(f"{what} holds a NUL character, which cannot be stored: {text!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} holds a lone surrogate, which cannot be stored: {text!r}") from None


def check_topic(key: str, topic: str) -> None:
    """Refuses what cannot be a topic. Raises `UsageError`."""
    if not isinstance(topic, str) or not topic or len(topic) > KEY_LIMIT:
        raise UsageError(f"step {key!r}: a topic is text of 1 to {KEY_LIMIT} characters, not {topic!r}")
    check_text(topic, "a topic")


def call_site(depth: int = 2) -> str:
    """Returns ``file:line`` of the caller's caller; files under the working folder by their relative name."""
    frame = sys._getframe(depth)
    return f"{short_file(frame.f_code.co_filename)}:{frame.f_lineno}"


def short_file(name: str) -> str:
    """Returns a file's relative name where it is under the working folder, else its last two parts."""
    short = _sites.get(name)
    if short is None:
        try:
            short = str(Path(name).resolve().relative_to(Path.cwd()))
        except (ValueError, OSError):
            short = "/".join(Path(name).parts[-2:])
        _sites[name] = short
    return short


def check_callable(key: str, fn: object) -> None:
    """Refuses what is no function. Raises `UsageError`."""
    if callable(fn):
        return
    what = "a coroutine" if inspect.iscoroutine(fn) else type(fn).__name__
    if inspect.iscoroutine(fn):
        fn.close()
    raise UsageError(
        f"step {key!r} was given {what}, not a function",
        hint=f"ctx.step.run({key!r}, fn, arg): pass fn without calling it",
    )


def refuse_option_names(fn: Callable[..., Any], key: str) -> None:
    """Refuses a function whose parameter is named like an option of `run` (S2.7). Raises `UsageError`."""
    code = getattr(fn, "__code__", None) or getattr(typed.unwrap(fn), "__code__", None)
    if code is None or hasattr(fn, "func"):
        return
    name = _clash(code)
    if name is not None:
        raise UsageError(
            f"step {key!r}: the function has a parameter {name!r}, which is an option of ctx.step.run",
            hint=f"bind it first: functools.partial({getattr(fn, '__name__', 'fn')}, {name}=...)",
        )


@lru_cache(maxsize=1024)
def _clash(code: CodeType) -> str | None:
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return min(_OPTIONS.intersection(named), default=None)


def timeout_span(key: str, timeout: float | None) -> int | None:
    """Returns a timeout in microseconds. Raises `UsageError` for zero or less."""
    if timeout is None:
        return None
    if not 0 < timeout < 1e9:
        raise UsageError(f"wait {key!r}: a timeout is seconds above 0, and finite, not {timeout!r}")
    return max(1, round(timeout * SECOND))


def uuid_from(*dice: float) -> str:
    """Returns a version 4 UUID made of four dice in [0, 1)."""
    import uuid

    number = 0
    for die in dice:
        number = (number << 32) | int(die * 2**32)
    return str(uuid.UUID(int=number, version=4))
