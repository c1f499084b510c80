"""Opens a bundle, which may come from anybody: read-only, checked from its size to its last row before it is used."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from polos.core import failure as failures
from polos.core.model import Ending, Kind, Outcome
from polos.core.status import Status
from polos.errors import BadBundle
from polos.store.sqlite.bundling import FORMAT, _quoted, content_checksum, prepare
from polos.store.sqlite.reader import SqliteReader

MOST_BYTES = 512 << 20
MOST_ROWS = 2_000_000
LONGEST_VALUE = 64 << 20
_LARGE = ("execution", "journal", "event", "log")
_MAGIC = b"SQLite format 3\0"
_MANIFEST: dict[str, type] = {
    "executions": int, "codes": list, "masked": list, "masked_count": int, "workflow": str, "status": str, "exported_at": str,
    "project": str, "polos": str, "python": str,
}  # fmt: skip
_JSON = {
    "input": {"value", "shape", "state", "state_shape"}, "result": {"value", "shape", "failure", "reason"},
    "state": {"value", "shape"}, "journal": {"value", "shape", "failure", "request"}, "answer": {"value", "shape"},
    "event": {"data", "shape"}, "life": {"failure"}, "attempt": {"failure"}, "wait": {"match", "request"}, "fork": {"edits"},
}  # fmt: skip
_WORDS: dict[tuple[str, str], type[StrEnum]] = {
    ("execution", "status"): Status, ("execution", "ending"): Ending, ("journal", "kind"): Kind,
    ("journal", "outcome"): Outcome, ("wait", "kind"): Kind, ("life", "outcome"): Outcome,
}  # fmt: skip


class BundleReader(SqliteReader):
    """Reads a bundle that was checked."""

    def _mode(self) -> str:
        return "mode=ro&immutable=1"


def open_bundle(path: Path) -> tuple[BundleReader, dict[str, Any]]:
    """Returns what reads a bundle, and its manifest. Blocking.

    Raises:
        BadBundle: it is none, was damaged or changed, or is too large.
    """
    manifest = check(path)
    return BundleReader(path), manifest


def check(path: Path) -> dict[str, Any]:
    """Returns the manifest of a bundle that is as `write_bundle` makes them. Runs nothing that is in it. Raises `BadBundle`."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise BadBundle(f"{path} cannot be read: {error.strerror}") from error
    if magic != _MAGIC:
        raise BadBundle(f"{path} is no bundle", hint="polos export writes them")
    if size > MOST_BYTES:
        raise BadBundle(f"{path} has {size:,} bytes; a bundle has at most {MOST_BYTES:,}")
    connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro&immutable=1", uri=True, isolation_level=None)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
            connection.execute(f"PRAGMA {pragma}")
        _check_schema(connection, path)
        return _check_content(connection, path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise BadBundle(f"{path} is damaged: {error}") from error
    finally:
        connection.close()


def _schema(connection: sqlite3.Connection) -> list[Any]:
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Refuses any schema but ours, to the letter: no trigger, no view, no column of somebody else's making."""
    with sqlite3.connect(":memory:", isolation_level=None) as ours:
        prepare(ours)
        wanted, known = _schema(ours), ours.execute("SELECT number, checksum FROM migration").fetchall()
    ours.close()
    if (
        _schema(connection) != wanted
        or connection.execute("SELECT number, checksum FROM migration").fetchall() != known
    ):
        raise BadBundle(
            f"{path} is no bundle of this polos: its tables are others",
            hint="open it with the version that wrote it, or have it exported again with this one",
        )


def _check_content(connection: sqlite3.Connection, path: Path) -> dict[str, Any]:
    (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise BadBundle(f"{path} is damaged: {state}")
    rows = sum(
        connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
        for table in ("execution", "journal", "event", "log")
    )
    if rows > MOST_ROWS:
        raise BadBundle(f"{path} has {rows:,} rows; a bundle has at most {MOST_ROWS:,}")
    held = dict(connection.execute("SELECT name, value FROM bundle").fetchall())
    try:
        manifest, checksum = orjson.loads(held["manifest"]), held["checksum"]
        execution, number, form = manifest["execution"], manifest["number"], manifest["format"]
        for name, kind in _MANIFEST.items():
            if not isinstance(manifest[name], kind) or isinstance(manifest[name], bool):
                raise TypeError(name)
        datetime.fromisoformat(manifest["exported_at"])
    except (TypeError, ValueError, KeyError) as error:
        raise BadBundle(f"{path} has no manifest that can be read") from error
    if form != FORMAT:
        raise BadBundle(f"{path} has the format {form!r}; this polos reads {FORMAT}")
    if content_checksum(connection) != checksum:
        raise BadBundle(f"{path} was damaged or changed after it was exported: its checksum is another")
    if connection.execute("SELECT number FROM execution WHERE id = ?", (execution,)).fetchone() != (number,):
        raise BadBundle(f"{path} does not hold the execution that it is to hold")
    _check_rows(connection, path)
    return {**manifest, "checksum": checksum}


def _check_rows(connection: sqlite3.Connection, path: Path) -> None:
    """Refuses what no store of ours writes: a checksum is made anew by whoever changes a row."""
    for (table,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall():
        wrong = []
        for _, name, declared, not_null, _, _ in connection.execute(f"PRAGMA table_info({table})").fetchall():
            kinds = "('integer')" if declared == "INTEGER" else "('text')"
            wrong.append(f"(typeof({name}) NOT IN {kinds} AND ({int(not_null)} OR {name} IS NOT NULL))")
            if name in _JSON.get(table, ()):
                wrong.append(f"({name} IS NOT NULL AND NOT json_valid({name}))")
            if (allowed := _WORDS.get((table, name))) is not None:
                words = ", ".join(f"'{word}'" for word in sorted(allowed))
                wrong.append(f"({name} IS NOT NULL AND {name} NOT IN ({words}))")
        if connection.execute(f"SELECT 1 FROM {table} WHERE {' OR '.join(wrong)} LIMIT 1").fetchone():
            raise BadBundle(f"{path} holds a row of {table} as polos writes none")
    for table in ("result", "journal", "attempt", "life"):
        for (text,) in connection.execute(f"SELECT failure FROM {table} WHERE failure IS NOT NULL"):
            try:
                found = failures.from_json(text)
                if not all(isinstance(one, str) for one in (found.type_name, found.message, found.traceback_text)):
                    raise TypeError
            except (KeyError, TypeError, ValueError):
                raise BadBundle(f"{path} holds a failure in {table} as polos writes none") from None
