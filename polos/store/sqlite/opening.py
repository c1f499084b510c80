"""Opens the database file: pragmas, permissions, migrations with a backup before. Runs no transaction of the engine's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from polos.clock import Clock
from polos.errors import StoreUnavailable
from polos.store.sql.migrate import missing

META = """CREATE TABLE IF NOT EXISTS migration (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum INTEGER NOT NULL, applied_at INTEGER NOT NULL)"""


def open_writer(path: Path, clock: Clock) -> sqlite3.Connection:
    """Returns the one writing connection, its schema up to date.

    Raises:
        StoreUnavailable: the file cannot be opened, is no database, or belongs to another version.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(
            f"{path} cannot be opened: {error}", hint="check the path and its permissions"
        ) from error
    try:
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA cache_size = -32000")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA trusted_schema = OFF")
        _migrate(connection, path, clock)
    except (OSError, sqlite3.Error) as error:
        connection.close()
        raise StoreUnavailable(
            f"{path} cannot be used: {error}", hint="is it a polos database, and may this user write it?"
        ) from error
    except StoreUnavailable:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path, clock: Clock) -> None:
    is_new = not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    applied = {} if is_new else dict(connection.execute("SELECT number, checksum FROM migration").fetchall())
    todo = missing("sqlite", applied, str(path))
    if not todo:
        return
    if applied:
        backup = path.with_name(f"{path.name}.before-{todo[0].number:04d}")
        backup.touch(mode=0o600)
        with sqlite3.connect(backup) as copy:
            connection.backup(copy)
        copy.close()
    for migration in todo:
        # With the table of migrations in the first one's transaction: a reader sees all of a database or nothing.
        script = f"BEGIN IMMEDIATE;\n{META if is_new else ''};\n{migration.text}\n;"
        is_new = False
        connection.executescript(script)
        connection.execute(
            "INSERT INTO migration (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
            (migration.number, migration.name, migration.checksum, clock.now()),
        )
        connection.execute("COMMIT")
