"""``.polos/server.json``: where the dev server speaks HTTP, and the token, for programs of the same user. Serves nothing."""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from polos.errors import DatabaseInUse
from polos.settings import Settings, database_path
from polos.store import owner_of

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


def refuse_second(settings: Settings) -> None:
    """Raises `DatabaseInUse` where another dev server, or `polos serve`, has the project's database."""
    path = database_path(settings.database)
    found, holder = read(path.parent), owner_of(path)
    if found is None or holder is None or holder.get("pid") != found.pid or not _answers(holder.get("socket")):
        return
    what = str(holder.get("command", "polos dev"))
    raise DatabaseInUse(
        f"{what} is up for this project already, in process {found.pid}: {found.url}",
        hint=f"use that one; or stop it first: kill {found.pid}", pid=found.pid, process=what, brief=False,
    )  # fmt: skip


def _answers(path: object) -> bool:
    """Tells whether somebody listens at a socket: who died without a word left its file, and the lock's text, behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(str(path))
        except OSError:
            return False
    return True


def remove(folder: Path, pid: int) -> None:
    """Removes this process's file; another's stays."""
    found = read(folder)
    if found is not None and found.pid == pid:
        (folder / NAME).unlink(missing_ok=True)
