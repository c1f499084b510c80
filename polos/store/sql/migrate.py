"""Brings a database to this version's schema: numbered, checksummed, forward only (a backup goes before)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from zlib import crc32

from polos.errors import StoreUnavailable

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema's history."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> int:
        """CRC-32 of the text."""
        return crc32(self.text.encode())


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """Returns the dialect's migrations in order."""
    found = []
    for file in files("polos.store.sql").joinpath("migrations", dialect).iterdir():
        match = _FILE.fullmatch(file.name)
        if match:
            found.append(Migration(int(match.group(1)), match.group(2), file.read_text(encoding="utf-8")))
    found.sort(key=lambda m: m.number)
    return tuple(found)


def missing(dialect: str, applied: dict[int, int], database: str) -> tuple[Migration, ...]:
    """Returns what is to be applied to a database that has `applied` (number → checksum).

    Raises:
        StoreUnavailable: the database is newer than this polos, or its history is another one.
    """
    known = {m.number: m for m in migrations(dialect)}
    newer = sorted(applied.keys() - known.keys())
    if newer:
        raise StoreUnavailable(
            f"{database} was written by a newer polos (schema {newer[-1]}, this one knows {max(known)})",
            hint="upgrade polos here: pip install -U polos-engine",
        )
    for number, checksum in applied.items():
        if known[number].checksum != checksum:
            raise StoreUnavailable(
                f"{database} has another history: its migration {number} differs from this polos's",
                hint="open it with the polos that made it, or start with a new database",
            )
    return tuple(m for m in known.values() if m.number not in applied)
