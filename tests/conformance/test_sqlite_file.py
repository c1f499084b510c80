"""The SQLite file: its owner, its permissions, its schema's history (R5, issue 2)."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

from polos.errors import DatabaseInUse, StoreUnavailable
from polos.store.sql import migrate
from polos.store.sqlite.store import SqliteStore
from tests.conformance.acts import SetClock, event, start
from tests.conformance.processes import owner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "polos.db"


async def opened(path: Path, durability: str = "relaxed") -> SqliteStore:
    store = SqliteStore(path, SetClock(), durability)  # type: ignore[arg-type]
    await store.open()
    return store


async def made(path: Path) -> None:
    """Makes a database with one execution in it, and lets it go."""
    store = await opened(path)
    await start(store)
    await store.close()


def edit(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


# ── ownership ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_owner_in_another_process_is_named_by_its_pid(path: Path) -> None:
    path.parent.mkdir()
    with owner(path) as other:
        with pytest.raises(DatabaseInUse, match=rf"process {other.pid}\b") as refused:
            await opened(path)
        assert refused.value.pid == other.pid  # type: ignore[attr-defined]
        assert str(other.pid) in refused.value.hint


async def test_a_second_owner_in_this_process_is_refused_too(path: Path) -> None:
    store = await opened(path)
    with pytest.raises(DatabaseInUse):
        await opened(path)
    await start(store)
    await store.close()


async def test_the_file_is_free_again_when_its_owner_lets_go_or_dies(path: Path) -> None:
    await made(path)
    with owner(path) as other:
        other.kill()
        other.wait()
        store = await opened(path)
        await store.close()
    store = await opened(path)
    await store.close()


async def test_a_store_that_failed_to_open_owns_nothing(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        await opened(path)
    path.unlink()
    store = await opened(path)
    await store.close()


# ── permissions ──────────────────────────────────────────────────────────────────────────────────────────


async def test_only_its_user_may_read_the_database_and_its_folder(path: Path) -> None:
    import os

    mask = os.umask(0)
    try:
        store = await opened(path, "full")
        await store.publish([event("t", "secret")])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        folder = stat.S_IMODE(path.parent.stat().st_mode)
        await store.close()
    finally:
        os.umask(mask)
    assert folder == 0o700
    assert {"polos.db", "polos.db-wal", "polos.db.lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}, modes


async def test_a_folder_that_was_there_keeps_its_mode(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    await made(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


async def test_a_path_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        await opened(tmp_path / "file" / "polos.db")
    (tmp_path / "polos.db").mkdir()
    with pytest.raises(StoreUnavailable):
        await opened(tmp_path / "polos.db")


# ── migrations ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def next_migration(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], migrate.Migration]:
    def add(text: str) -> migrate.Migration:
        known = migrate.migrations("sqlite")
        more = migrate.Migration(known[-1].number + 1, "more", text)
        monkeypatch.setattr(migrate, "migrations", lambda dialect: (*known, more))
        return more

    return add


async def test_a_new_database_knows_every_migration_by_its_checksum(path: Path) -> None:
    await made(path)
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT number, name, checksum FROM migration ORDER BY number").fetchall()
    connection.close()
    assert rows == [(m.number, m.name, crc32(m.text.encode())) for m in migrate.migrations("sqlite")]
    assert [m.number for m in migrate.migrations("sqlite")] == list(range(1, len(rows) + 1))


async def test_a_database_with_another_history_is_refused_and_left_alone(path: Path) -> None:
    await made(path)
    edit(path, "UPDATE migration SET checksum = checksum + 1 WHERE number = 1")
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="another history"):
        await opened(path)
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused_and_says_what_to_do(path: Path) -> None:
    await made(path)
    edit(path, "INSERT INTO migration VALUES (9999, 'future', 1, 1)")
    with pytest.raises(StoreUnavailable, match="newer polos") as refused:
        await opened(path)
    assert "upgrade" in refused.value.hint


async def test_before_a_migration_the_old_database_is_backed_up(
    path: Path, next_migration: Callable[[str], migrate.Migration]
) -> None:
    await made(path)
    more = next_migration("CREATE TABLE more (x)")
    store = await opened(path)
    assert (await start(store)).number == 2
    await store.close()
    backup = path.with_name(f"polos.db.before-{more.number:04d}")
    connection = sqlite3.connect(backup)
    assert connection.execute("SELECT COUNT(*) FROM execution").fetchone() == (1,)
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall() == []
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600


async def test_a_failing_migration_changes_nothing_and_can_be_tried_again(
    path: Path, next_migration: Callable[[str], migrate.Migration]
) -> None:
    await made(path)
    next_migration("CREATE TABLE more (x); INSERT INTO nowhere VALUES (1)")
    with pytest.raises(StoreUnavailable):
        await opened(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall() == []
    assert connection.execute("SELECT COUNT(*) FROM migration").fetchone() == (1,)
    connection.close()


async def test_a_repeated_open_migrates_and_backs_up_nothing(path: Path) -> None:
    await made(path)
    await made(path)
    assert [file.name for file in path.parent.iterdir() if "before" in file.name] == []


async def test_a_log_that_has_grown_is_copied_back_while_idle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polos.store.sqlite import store as module

    monkeypatch.setattr(module, "CHECKPOINT_ABOVE", 0)
    store = await opened(path)
    await store.publish([event("t", "x" * 50_000)])
    size = path.stat().st_size
    await store.care()
    assert path.stat().st_size > size
    many = asyncio.gather(*(store.publish([event("t", n)]) for n in range(20)))
    await asyncio.gather(store.care(), many)
    await store.close()
