"""Writes a bundle: one execution's whole tree, with its history, events and logs, as a database file of its own."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from polos.core.masking import Masker
from polos.core.model import Stored
from polos.errors import StoreUnavailable
from polos.store.sql.migrate import migrations
from polos.store.sqlite.opening import META

FORMAT = 1
LISTED = 1_000
"""Masked places that the manifest lists; the rest is counted."""
MANIFEST = "CREATE TABLE bundle (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
# table -> (value, shape, checksum), where a value's checksum covers both
_VALUES = {
    "input": (("value", "shape", "checksum"), ("state", "state_shape", "state_checksum")),
    "result": (("value", "shape", "checksum"),), "state": (("value", "shape", "checksum"),),
    "journal": (("value", "shape", "checksum"),), "answer": (("value", "shape", "checksum"),),
    "event": (("data", "shape", "checksum"),),
}  # fmt: skip
_JSON = {"result": ("failure", "reason"), "journal": ("failure", "request"), "life": ("failure",), "attempt": ("failure",),
         "wait": ("match", "request")}  # fmt: skip
_TEXT = {"log": ("text",), "execution": ("idempotency_key", "session_id", "user_id", "concurrency_key")}
_OF_EXECUTION = ("input", "result", "state", "life", "fork", "journal", "wait", "released", "attempt", "answer", "log")


def write_bundle(
    database: Path, out: Path, execution_id: str, masker: Masker, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes the tree of an execution to a new file, and returns its manifest. Blocking.

    The file is complete or not there: it is written beside and renamed.

    Args:
        facts: what else the manifest says.

    Raises:
        StoreUnavailable: the database cannot be read, or the file cannot be written.
    """
    part = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        source = sqlite3.connect(f"file:{_quoted(database)}?mode=ro", uri=True, isolation_level=None)
        target = sqlite3.connect(part, isolation_level=None)
        try:
            manifest = _Copy(source, target, masker).tree(execution_id, facts)
        finally:
            source.close()
            target.close()
        part.replace(out)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(f"{out} cannot be written from {database}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return manifest


class _Copy:
    def __init__(self, source: sqlite3.Connection, target: sqlite3.Connection, masker: Masker) -> None:
        self._source, self._target, self._masker = source, target, masker
        self._masked: list[dict[str, Any]] = []
        self._count = 0

    def tree(self, execution_id: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        self._target.execute("PRAGMA page_size = 1024")  # most of its tables hold a few rows
        prepare(self._target)
        self._source.execute("BEGIN")  # one state of the database, whatever is written meanwhile
        root, number = self._source.execute(
            "SELECT root, number FROM execution WHERE id = ?", (execution_id,)
        ).fetchone()
        tree = "SELECT number FROM execution WHERE root = :root"
        self._target.execute("BEGIN")
        executions = self._copy("execution", "root = :root", root)
        for table in _OF_EXECUTION:
            self._copy(table, f"execution IN ({tree})", root)
        own = "SELECT topic FROM execution WHERE root = :root"
        seen = f"SELECT event FROM journal WHERE event IS NOT NULL AND execution IN ({tree})"
        told = f"topic IN ({own}) OR position IN ({seen})"
        self._copy("event", told, root)
        self._copy("topic", f"id IN ({own}) OR id IN (SELECT topic FROM event WHERE {told})", root)
        codes = self._target.execute("SELECT DISTINCT code FROM journal WHERE code IS NOT NULL ORDER BY 1").fetchall()
        manifest = {
            "format": FORMAT, "execution": execution_id, "number": number, "executions": executions,
            "codes": [code for (code,) in codes], "masked": self._masked[:LISTED], "masked_count": self._count, **facts,
        }  # fmt: skip
        self._target.execute("INSERT INTO bundle VALUES ('manifest', ?)", (orjson.dumps(manifest).decode(),))
        checksum = content_checksum(self._target)
        self._target.execute("INSERT INTO bundle VALUES ('checksum', ?)", (checksum,))
        self._target.execute("COMMIT")
        return {**manifest, "checksum": checksum}

    def _copy(self, table: str, condition: str, root: int) -> int:
        cursor = self._source.execute(f"SELECT * FROM {table} WHERE {condition}", {"root": root})
        columns = [name for name, *_ in cursor.description]
        marks = ", ".join("?" * len(columns))
        count = 0
        for row in cursor:
            found = dict(zip(columns, row, strict=True))
            self._mask(table, found)
            self._target.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", list(found.values()))
            count += 1
        return count

    def _mask(self, table: str, row: dict[str, Any]) -> None:
        for value, shape, checksum in _VALUES.get(table, ()):
            if row[value] is not None and self._json(table, row, value):
                row[checksum] = Stored(row[value], row[shape]).checksum
        for column in _JSON.get(table, ()):
            if row[column] is not None:
                self._json(table, row, column)
        for column in _TEXT.get(table, ()):
            masked = row[column] and self._masker.text(row[column])
            if masked != row[column]:
                row[column] = masked
                self._note(table, row, ["" if table == "log" else f"/{column}"])
        if table == "fork":
            self._edits(row)

    def _edits(self, row: dict[str, Any]) -> None:
        """Masks what a fork edited: each outcome as it was before is JSON text within JSON."""
        edits = orjson.loads(row["edits"])
        for at, edit in enumerate(edits):
            for name in ("value", "failure"):
                if edit.get(name):
                    edit[name], places = self._masker.json(edit[name])
                    self._note(table="fork", row=row, places=[f"/edits/{at}/{name}{place}" for place in places])
        row["edits"] = orjson.dumps(edits).decode()

    def _json(self, table: str, row: dict[str, Any], column: str) -> bool:
        row[column], places = self._masker.json(row[column])
        self._note(table, row, places)
        return bool(places)

    def _note(self, table: str, row: Mapping[str, Any], places: list[str]) -> None:
        self._count += len(places)
        for place in places if len(self._masked) < LISTED else ():
            self._masked.append(
                {"table": table, "execution": row.get("execution"), "key": row.get("key"), "path": place}
            )


def prepare(connection: sqlite3.Connection) -> None:
    """Makes the schema of a bundle: a database's, and the manifest."""
    connection.execute(META)
    connection.execute(MANIFEST)
    for migration in migrations("sqlite"):
        connection.executescript(migration.text)
        connection.execute(
            "INSERT INTO migration VALUES (?, ?, ?, 0)", (migration.number, migration.name, migration.checksum)
        )


def content_checksum(connection: sqlite3.Connection) -> str:
    """Returns the SHA-256 of all rows but its own, table by table, in hexadecimal."""
    digest = hashlib.sha256()
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    ).fetchall()
    own = "WHERE name <> 'checksum'"
    for (table,) in tables:
        digest.update(f"\n{table}\n".encode())
        for row in connection.execute(f"SELECT * FROM {table} {own if table == 'bundle' else ''} ORDER BY rowid"):
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
