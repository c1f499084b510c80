"""Looks at a database file beside its owner: is it whole, is it ours, how much is in it. Changes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from polos.errors import StoreUnavailable
from polos.store.examined import Examined
from polos.store.sql.migrate import missing

_PROBLEMS = 5


def examine_file(path: Path) -> Examined:
    """Returns what a read-only look finds. Raises `StoreUnavailable`: it is no database of ours, or of another version."""
    quoted = str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    wal = path.with_name(path.name + "-wal")
    try:
        connection = sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=5.0)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path} cannot be opened: {error}", hint="check its permissions") from error
    try:
        connection.execute("PRAGMA query_only = ON")
        applied = dict(connection.execute("SELECT number, checksum FROM migration").fetchall())
        missing("sqlite", applied, str(path))
        problems = [row[0] for row in connection.execute(f"PRAGMA quick_check({_PROBLEMS})") if row[0] != "ok"]
        (executions,) = connection.execute("SELECT COALESCE(MAX(number), 0) FROM execution").fetchone()
        (newest,) = connection.execute(
            "SELECT MAX(created_at) FROM (SELECT created_at FROM event ORDER BY position DESC LIMIT 50)"
        ).fetchone()
    except sqlite3.Error as error:
        raise StoreUnavailable(
            f"{path} cannot be read: {error}", hint="is it a polos database? If so it is damaged: restore a backup"
        ) from error
    finally:
        connection.close()
    return Examined(
        executions=executions,
        newest_at=newest,
        problems=tuple(problems),
        wal_bytes=wal.stat().st_size if wal.exists() else 0,
    )
