"""Examines an installation and a project: what could go wrong, and what to do about it. Changes nothing."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import sqlite3
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from polos import __version__
from polos.clock import Clock
from polos.dev import serverfile
from polos.errors import PolosError
from polos.settings import Settings, database_path
from polos.store import examine_file, owner_of
from polos.store.examined import Examined
from polos.wire.address import socket_path
from polos.wire.calls import Role
from polos.wire.remote import Remote

Level: TypeAlias = Literal["ok", "warning", "error"]
SQLITE_FIXED = (3, 51, 3)
"""The first version without the fault by which two connections, of which one checkpoints, can damage a file."""
OLDEST_SQLITE = (3, 35, 0)
_MB = 1 << 20
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"})
_WATCHES = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `fix`: what to do about it; empty where it is well."""

    level: Level
    about: str
    text: str
    fix: str = ""


def examine(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Yields what is found, the machine first, then the project. Blocking."""
    yield from _versions()
    yield from _machine()
    if settings.project_root is None and not settings.database:
        yield Finding(level="warning", about="project", text="there is no polos project here or in a folder above",
                      fix="start one: polos init")  # fmt: skip
        return
    yield from _project(settings)
    try:
        path = database_path(settings.database)
    except PolosError as error:
        yield Finding(level="error", about="database", text=error.message, fix=error.hint)
        return
    for look in (_folder, _owner, _leftovers, _database):
        yield from look(path, clock)


# ── the machine ──────────────────────────────────────────────────────────────────────────────────────────


def _versions() -> Iterator[Finding]:
    python = platform.python_version()
    yield Finding(level="ok", about="python", text=f"{python}, polos {__version__} ({sys.executable})")
    yield of_sqlite(sqlite3.sqlite_version_info)


def of_sqlite(version: tuple[int, ...]) -> Finding:
    """Returns the finding about a version of SQLite."""
    shown = ".".join(str(part) for part in version[:3])
    if version < OLDEST_SQLITE:
        return Finding(
            level="error", about="sqlite", text=f"{shown} is too old", fix="use a Python with SQLite 3.35 or newer"
        )
    if version < SQLITE_FIXED:
        return Finding(
            level="warning", about="sqlite",
            text=f"{shown}: before 3.51.3 a file can be damaged, rarely, when several processes write to it. polos lets one write",
            fix="let no other program write to the database file; or use a Python with SQLite 3.51.3 or newer",
        )  # fmt: skip
    return Finding(level="ok", about="sqlite", text=shown)


def _machine() -> Iterator[Finding]:
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        yield Finding(level="warning", about="time zones", text="there is no time zone database: schedules know UTC alone",
                      fix="pip install tzdata")  # fmt: skip
    watches = _read_number(Path("/proc/sys/fs/inotify/max_user_watches"))
    if watches is not None and watches < _WATCHES:
        yield Finding(level="warning", about="file watches", text=f"this user may watch {watches:,} folders only",
                      fix="sysctl fs.inotify.max_user_watches=65536, or polos dev may miss saves")  # fmt: skip


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


# ── the project ──────────────────────────────────────────────────────────────────────────────────────────


def _project(settings: Settings) -> Iterator[Finding]:
    root = settings.project_root
    if root is None:
        return
    yield Finding(level="ok", about="project", text=f"{settings.name} in {root}")
    missing = [module for module in settings.modules if not (root / module).exists() and "/" in module]
    for module in missing:
        yield Finding(level="error", about="modules", text=f"there is no {module} in {root}",
                      fix="make it, or name your modules in [tool.polos] modules = [...]")  # fmt: skip
    env = settings.env_file
    if env is not None and env.is_file() and stat.S_IMODE(env.stat().st_mode) & 0o044:
        yield Finding(level="warning", about="env file", text=f"{env} can be read by other users of this machine",
                      fix=f"chmod 600 {env}")  # fmt: skip


def _folder(path: Path, clock: Clock) -> Iterator[Finding]:
    folder = path.parent
    if not folder.is_dir():
        yield Finding(level="ok", about="folder", text=f"{folder} is made at the first start")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(level="error", about="folder", text=f"{folder} cannot be written", fix=f"chmod u+rwx {folder}")
    open_to_others = [
        one for one in (folder, path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", ".lock")))
        if one.exists() and (one != folder or folder.name == ".polos") and stat.S_IMODE(one.stat().st_mode) & 0o077
    ]  # fmt: skip
    for one in open_to_others:
        yield Finding(level="warning", about="permissions", text=f"{one} is open to other users of this machine",
                      fix=f"chmod {'700' if one.is_dir() else '600'} {one}")  # fmt: skip
    free = shutil.disk_usage(folder).free
    if free < 1024 * _MB:
        level: Level = "error" if free < 100 * _MB else "warning"
        yield Finding(level=level, about="disk", text=f"{free // _MB:,} MB are free on the disk of {folder}",
                      fix="free some space; a full disk stops every execution until there is some")  # fmt: skip
    else:
        yield Finding(level="ok", about="disk", text=f"{free // _MB // 1024:,} GB free, permissions are tight")
    kind = filesystem_of(folder, _mounts())
    if kind in _NETWORK:
        yield Finding(level="error", about="file system", text=f"{folder} is on {kind}, where locks and shared memory do not hold",
                      fix="put the database on a local disk: database in [tool.polos], or POLOS_URL")  # fmt: skip


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text()
    except OSError:
        return ""


def filesystem_of(folder: Path, mounts: str) -> str:
    """Returns the kind of file system that a folder is on, of the text of ``/proc/self/mounts``; empty: not known."""
    found, kind = "", ""
    for line in mounts.splitlines():
        parts = line.split()
        if len(parts) < 3:
            continue
        place = parts[1].replace("\\040", " ")
        if len(place) >= len(found) and folder.resolve().is_relative_to(place):
            found, kind = place, parts[2]
    return kind


# ── who has it ───────────────────────────────────────────────────────────────────────────────────────────


def _owner(path: Path, clock: Clock) -> Iterator[Finding]:
    holder = owner_of(path)
    if holder is None or not listens(holder.get("socket")):
        yield Finding(level="ok", about="engine", text="nothing is up: polos dev, polos worker or polos run starts it")
        return
    who = f"process {holder.get('pid')} ({holder.get('command')})"
    wrong = asyncio.run(_greeted(Path(str(holder.get("socket")))))
    if wrong is None:
        yield Finding(level="ok", about="engine", text=f"{who} owns the database and answers")
        return
    pid = holder.get("pid")
    yield Finding(
        level="error", about="engine", text=f"{who} owns the database and does not answer: {wrong}",
        fix=f"go on with it (fg, kill -CONT {pid}), or end it, by which nothing is lost: kill -9 {pid}",
    )  # fmt: skip


async def _greeted(path: Path) -> str | None:
    """Asks the owner as a program would; returns why it cannot be asked."""
    try:
        (await Remote.connect(path, Role.CLIENT)).close()
    except PolosError as error:
        return error.message
    return None


def listens(path: object) -> bool:
    """Tells whether somebody has a socket open for others, whether they answer or not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(2.0)
        try:
            asking.connect(str(path))
        except OSError:
            return False
    return True


def _leftovers(path: Path, clock: Clock) -> Iterator[Finding]:
    folder = path.parent
    there = serverfile.read(folder)
    if there is not None and not Path(f"/proc/{there.pid}").exists() and Path("/proc/self").exists():
        yield Finding(level="warning", about="leftovers", text=f"{folder / serverfile.NAME} names process {there.pid}: gone",
                      fix=f"rm {folder / serverfile.NAME} (the next start replaces it)")  # fmt: skip
    place = socket_path(path)
    if place.exists() and not listens(place):
        yield Finding(level="warning", about="leftovers", text=f"nobody listens at {place}: its owner died",
                      fix="nothing to do: the next start takes over what it ran")  # fmt: skip


# ── the database ─────────────────────────────────────────────────────────────────────────────────────────


def _database(path: Path, clock: Clock) -> Iterator[Finding]:
    if not path.exists():
        yield Finding(level="ok", about="database", text=f"{path} is made at the first start")
        return
    try:
        found = examine_file(path)
    except PolosError as error:
        yield Finding(
            level="error", about="database", text=error.message, fix=error.hint or "polos db backup, then restore one"
        )
        return
    size = f"{path.stat().st_size // _MB:,} MB, {found.executions:,} executions"
    for problem in found.problems:
        yield Finding(level="error", about="database", text=problem,
                      fix="stop everything, keep a copy of the file, and restore a backup")  # fmt: skip
    if not found.problems:
        yield Finding(level="ok", about="database", text=f"{path}: {size}; its check found nothing wrong")
    yield from _wal(found, path)
    if found.newest_at is not None and found.newest_at > clock.now() + 5_000_000:
        ahead = (found.newest_at - clock.now()) // 1_000_000
        yield Finding(level="warning", about="clock", text=f"the newest event is {ahead:,} s ahead: the clock went back",
                      fix="set the clock; timers fire by it")  # fmt: skip


def _wal(found: Examined, path: Path) -> Iterator[Finding]:
    if found.wal_bytes > 256 * _MB:
        yield Finding(level="warning", about="log", text=f"the write-ahead log has {found.wal_bytes // _MB:,} MB",
                      fix=f"does a program read {path.name} in one long transaction? End it")  # fmt: skip
