"""Where stores are opened by their url. The only place that names a concrete one (R4)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from polos.errors import DatabaseInUse
from polos.settings import database_path
from polos.store.examined import Examined

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from polos.clock import Clock
    from polos.core.masking import Masker
    from polos.ports import ReadStore, Store

BRIEF = 3.0
"""Seconds that an owner-to-be waits for one that owns the file for one call only."""


async def open_store(
    url: str,
    clock: Clock,
    durability: Literal["full", "relaxed"] = "full",
    for_one_call: bool = False,
    socket: Path | None = None,
) -> Store:
    """Returns the open store of a database url; its file is owned until `close`.

    Args:
        for_one_call: the owner does one thing and goes: no helper process is started, and others wait for it.
        socket: where the owner will listen; written into the lock, so that others find it.

    Raises:
        DatabaseInUse: another process owns the file.
        StoreUnavailable: it cannot be used.
        UsageError: no store is known for the url.
    """
    from polos.store.sqlite.store import SqliteStore

    deadline = clock.monotonic() + BRIEF
    while True:
        store = SqliteStore(database_path(url), clock, durability, for_one_call, socket)
        try:
            await store.open()
            return store
        except DatabaseInUse as error:
            if not error.brief or clock.monotonic() > deadline:
                raise
        await asyncio.sleep(0.02)


def open_reader(url: str) -> ReadStore:
    """Returns what only reads, without owning anything; it connects on first use."""
    from polos.store.sqlite.reader import SqliteReader

    return SqliteReader(database_path(url))


def write_bundle(
    database: Path, out: Path, execution_id: str, masker: Masker, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes an execution's whole tree to a file, secrets masked, and returns its manifest. Blocking.

    Raises:
        StoreUnavailable: the database cannot be read, or the file cannot be written.
    """
    from polos.store.sqlite import bundling

    return bundling.write_bundle(database, out, execution_id, masker, facts)


def open_bundle(path: Path) -> tuple[ReadStore, dict[str, Any]]:
    """Returns what reads a bundle, checked, and its manifest. Blocking. Raises `BadBundle`."""
    from polos.store.sqlite import bundle

    return bundle.open_bundle(path)


def examine_file(database: Path) -> Examined:
    """Returns what a read-only look at a database finds. Blocking. Raises `StoreUnavailable`."""
    from polos.store.sqlite import examining

    return examining.examine_file(database)


def owner_of(database: Path) -> dict[str, Any] | None:
    """Returns what the process that owns a file says of itself, ``socket`` included if it listens; None without one."""
    from polos.store.sqlite import ownership

    return ownership.owner_of(database)


def process_facts() -> dict[str, Any]:
    """Returns what this process says of itself: ``pid`` and ``command``."""
    from polos.store.sqlite import ownership

    return ownership.process_facts()
