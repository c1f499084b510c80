"""Who owns the database file: a lock on a file beside it, which names its holder. Never opens the database."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import weakref
from pathlib import Path
from typing import Any

from polos.clock import Clock
from polos.errors import DatabaseInUse, StoreUnavailable


class Ownership:
    """The lock of one database. The operating system frees it when the process dies, however it dies."""

    def __init__(self, database: Path, clock: Clock, brief: bool = False, socket: Path | None = None) -> None:
        database = database.resolve()  # one lock, by whatever name the file is reached
        self._path = database.with_name(database.name + ".lock")
        self._database = database
        self._clock = clock
        self._brief = brief
        self._socket = socket
        self._file: Any = None

    def acquire(self) -> None:
        """Takes the lock.

        Raises:
            DatabaseInUse: another process has it; the error names it.
            StoreUnavailable: the lock file cannot be made.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"{self._path} cannot be opened: {error.strerror}", hint="check the folder's permissions"
            ) from error
        file = os.fdopen(descriptor, "r+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(file)
            file.close()
            raise in_use(self._database, holder) from None
        file.seek(0)
        file.truncate()
        holder = {**process_facts(), "since": self._clock.now(), "brief": self._brief}
        if self._socket is not None:
            holder["socket"] = str(self._socket)
        json.dump(holder, file)
        file.flush()
        self._file = file
        _held.add(self)

    def release(self) -> None:
        """Gives the lock back; the file stays, since removing it would race with the next holder."""
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            self._file.close()
            self._file = None

    def check(self) -> None:
        """Raises `StoreUnavailable` when the lock's file was removed: another process may own the database by now."""
        if self._file is None:
            return
        try:
            there, held = self._path.stat(), os.fstat(self._file.fileno())
        except FileNotFoundError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino):
            raise StoreUnavailable(
                f"{self._path} was removed or replaced while this process worked under it; it stops, since another may "
                f"own the database by now",
                hint="leave the .lock file alone while something runs; start this again",
            )

    def leave_to_parent(self) -> None:
        """Closes a forked child's copy, which would keep the lock when the parent dies; the parent's stays locked."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()


_held: weakref.WeakSet[Ownership] = weakref.WeakSet()


def _in_child() -> None:
    for ownership in list(_held):
        ownership.leave_to_parent()


os.register_at_fork(after_in_child=_in_child)


def process_facts() -> dict[str, Any]:
    """Returns what this process says of itself: ``pid`` and ``command``."""
    return {"pid": os.getpid(), "command": _command()}


def owner_of(database: Path) -> dict[str, Any] | None:
    """Returns what the holder of the lock wrote: ``socket``, where it listens, and `process_facts`; None: nobody has it.

    A holder that died without a word is told apart by its socket, which answers nobody.
    """
    database = database.resolve()
    try:
        with database.with_name(database.name + ".lock").open(encoding="utf-8") as file:
            return _read(file) or None
    except OSError:
        return None


def _command() -> str:
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return " ".join([name, *sys.argv[1:3]])[:80]


def _read(file: Any) -> dict[str, Any]:
    try:
        found = json.loads(file.read() or "{}")
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def in_use(database: Path, holder: dict[str, Any]) -> DatabaseInUse:
    """Returns the error that names who has the database."""
    pid, command = holder.get("pid"), holder.get("command")
    if pid == os.getpid():
        return DatabaseInUse(
            f"{database} is in use by this process: another Polos or client has it open",
            hint="use one Polos for a database, and pass it to whatever starts workflows",
            pid=pid,
            process=command,
            brief=holder.get("brief", True),
        )
    who = f"process {pid} ({command})" if pid else "another process"
    return DatabaseInUse(
        f"{database} is in use by {who}",
        hint="wait until it ends, or stop it"
        + (f": kill {pid}" if pid else "")
        + "; reading works all the same: polos ps, show, events, logs",
        pid=pid,
        process=command,
        brief=holder.get("brief", True),  # a lock that is just being taken or let go names nobody yet
    )
