"""``.polos/server.json``: where the dev server speaks HTTP, and the token, for programs of the same user. Serves nothing."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

NAME = "server.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFile:
    """What it says; `token` is what HTTP callers show."""

    url: str
    token: str
    pid: int


def write(folder: Path, told: ServerFile) -> None:
    """Writes it, readable by this user alone, whole or not at all."""
    new = folder / f"{NAME}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(asdict(told), option=orjson.OPT_INDENT_2) + b"\n")
    new.replace(folder / NAME)


def read(folder: Path) -> ServerFile | None:
    """Returns what it says, if it is there and whole."""
    try:
        return ServerFile(**orjson.loads((folder / NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def remove(folder: Path, pid: int) -> None:
    """Removes this process's file; another's stays."""
    found = read(folder)
    if found is not None and found.pid == pid:
        (folder / NAME).unlink(missing_ok=True)
