"""`.env` files: a simple reader. Changes no environment and expands nothing."""

from __future__ import annotations

from pathlib import Path

from polos.errors import UsageError
from polos.settings.files import read_text


def load_env_file(path: Path) -> dict[str, str]:
    """Returns the variables of a `.env` file: ``NAME=value`` lines, `export`, quotes and comments.

    Double quotes know ``\\n``, ``\\t``, ``\\"`` and ``\\\\``; nothing is expanded. A later line wins.

    Raises:
        UsageError: the file cannot be read, or a line is none of these.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        stripped = line.strip().removeprefix("export ").strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = stripped.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise UsageError(f"{path}, line {number}: not a NAME=value line")
        variables[name] = _env_value(value.strip(), f"{path}, line {number}")
    return variables


def _env_value(raw: str, where: str) -> str:
    if raw[:1] not in ("'", '"'):
        return raw if not raw.startswith("#") and " #" not in raw else raw.partition("#")[0].rstrip()
    quote, value, at = raw[0], "", 1
    while at < len(raw):
        if raw[at] == quote:
            return value
        if raw[at] == "\\" and quote == '"' and raw[at + 1 : at + 2]:
            value += {"n": "\n", "t": "\t", "r": "\r"}.get(raw[at + 1], raw[at + 1])
            at += 2
        else:
            value += raw[at]
            at += 1
    raise UsageError(f"{where}: the quote {quote} is not closed")
