"""Readers of the SQLite file: beside any owner and with none, never writing (R5, "Readers")."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from polos.errors import StoreUnavailable
from polos.ports import EventFilter, ExecutionFilter
from polos.store.sqlite.reader import SqliteReader
from polos.store.sqlite.store import SqliteStore
from tests.conformance.acts import SetClock, event, start
from tests.conformance.processes import owner, run

WRITER = """
import asyncio, sys
from pathlib import Path
from polos.clock import SystemClock
from polos.store.sqlite.store import SqliteStore
from tests.conformance.acts import event, start

async def main():
    store = SqliteStore(Path(sys.argv[1]), SystemClock(), "relaxed")
    await store.open()
    for n in range(300):
        await asyncio.gather(store.publish([event("t", n)]), start(store))
        if n == 0:
            print("writes", flush=True)
        if n % 100 == 99:
            await store.committer.checkpoint()
    await store.close()

asyncio.run(main())
"""

READER = """
import aiosqlite, asyncio, os, sys
from pathlib import Path
from polos.ports import ExecutionFilter
from polos.store.sqlite.reader import SqliteReader
from polos.store.sql.statements import statements

statements()
if os.geteuid() == 0:  # root may write anywhere: read as somebody else
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)

async def main():
    reader = SqliteReader(Path(sys.argv[1]))
    print(len(await reader.search(ExecutionFilter())))
    await reader.close()

asyncio.run(main())
"""


async def made(path: Path) -> None:
    store = SqliteStore(path, SetClock(), "relaxed")
    await store.open()
    await start(store)
    await store.publish([event("t", 1)])
    await store.close()


async def test_readers_see_gapless_history_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "polos.db"
    writer = await asyncio.create_subprocess_exec(
        __import__("sys").executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"writes\n"

    async def follow() -> tuple[int, int]:
        reader, looks, seen = SqliteReader(path), 0, 0
        while seen < 300:
            events = await reader.events(EventFilter(topic="t", after_sequence=seen))
            assert [e.sequence for e in events] == list(range(seen + 1, seen + 1 + len(events)))
            seen += len(events)
            looks += 1
            await reader.search(ExecutionFilter(limit=10))
        await reader.close()
        return seen, looks

    followed = await asyncio.wait_for(asyncio.gather(follow(), follow(), follow()), 60)
    assert [seen for seen, _ in followed] == [300, 300, 300]
    assert max(looks for _, looks in followed) > 1
    assert await writer.wait() == 0


async def test_a_reader_works_with_no_owner_and_beside_one(tmp_path: Path) -> None:
    path = tmp_path / "polos.db"
    await made(path)
    reader = SqliteReader(path)
    assert len(await reader.search(ExecutionFilter())) == 1
    with owner(path):
        assert len(await reader.search(ExecutionFilter())) == 1
    await reader.close()


async def test_a_reader_changes_nothing_and_makes_no_database(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    assert await SqliteReader(path).search(ExecutionFilter()) == []
    assert list(tmp_path.iterdir()) == []
    await made(path)
    before = path.read_bytes()
    reader = SqliteReader(path)
    await reader.events(EventFilter())
    await reader.close()
    assert path.read_bytes() == before


async def test_what_is_no_database_of_ours_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_bytes(b"just text " * 400)
    (tmp_path / "empty.db").write_bytes(b"")
    for name in ("text.db",):
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            await SqliteReader(tmp_path / name).search(ExecutionFilter())


async def test_a_path_with_signs_of_a_url_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a b?mode=rwc#x%20.db"
    await made(path)
    reader = SqliteReader(path)
    assert len(await reader.search(ExecutionFilter())) == 1
    await reader.close()


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can reach."""
    folder = Path(tempfile.mkdtemp(prefix="polos-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


async def test_a_database_in_a_read_only_folder_is_read_without_a_trace(shared: Path) -> None:
    path = shared / "polos.db"
    await made(path)
    path.chmod(0o444)
    shared.chmod(0o555)
    done = run(READER, path, cwd="/")
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
    assert sorted(file.name for file in shared.iterdir()) == ["polos.db", "polos.db.lock"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


async def test_a_first_read_that_is_given_up_at_any_moment_leaves_no_connection_open(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "polos.db", SetClock(), "relaxed")
    await store.open()
    turns = 0
    while store._connection is None:
        turns += 1
        reading = asyncio.create_task(store.get("absent"))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    await store.close()
    gc.collect()  # a connection left open warns, which is an error


async def test_a_database_that_is_just_being_made_reads_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    path.touch()
    reader = SqliteReader(path)
    assert await reader.search(ExecutionFilter()) == []
    await made(path)
    assert len(await reader.search(ExecutionFilter())) == 1  # though it has looked before
    await reader.close()
