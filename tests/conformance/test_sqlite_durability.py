"""What an acknowledged write survives, and what happens when the disk will not take it (S9.5, R5)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from polos.errors import StoreUnavailable
from polos.ports import EventFilter, ExecutionFilter
from polos.store.sqlite.store import SqliteStore
from tests.conformance.acts import SetClock, begun, claim, event, record, request, start
from tests.conformance.processes import run


@asynccontextmanager
async def durable(path: Path) -> AsyncIterator[SqliteStore]:
    """A store whose sync helper is at work."""
    store = SqliteStore(path, SetClock(), "full")
    await store.open()
    sync = store.committer._sync
    assert sync is not None
    async with asyncio.timeout(20):
        while not sync.is_ready:
            await start(store, "warm-up")
    try:
        yield store
    finally:
        await store.close()


async def test_nothing_is_answered_before_the_sync_that_covers_it(tmp_path: Path) -> None:
    async with durable(tmp_path / "polos.db") as store:
        hand = await begun(store)
        sync = store.committer._sync
        assert sync is not None
        os.kill(sync.process.pid, signal.SIGSTOP)
        hints: list[int] = []
        store.on_due(hints.append)
        starting = asyncio.create_task(start(store, delay=5))
        committing = store.commit(hand.lease, 1, [record("a")], 0)
        claiming = asyncio.create_task(claim(store))
        for _ in range(50):
            await asyncio.sleep(0)
        done, _ = await asyncio.wait({starting, claiming, committing}, timeout=0.1)
        assert not done and not hints
        os.kill(sync.process.pid, signal.SIGCONT)
        async with asyncio.timeout(20):
            await asyncio.gather(starting, claiming, committing)
        assert len(hints) == 1


async def test_a_dead_sync_helper_ends_the_store_and_acknowledges_nothing(tmp_path: Path) -> None:
    path = tmp_path / "polos.db"
    async with durable(path) as store:
        hand = await begun(store)
        sync = store.committer._sync
        assert sync is not None
        os.kill(sync.process.pid, signal.SIGSTOP)
        committing = store.commit(hand.lease, 1, [record("a")], 0)
        queued = asyncio.create_task(start(store))
        await asyncio.sleep(0)
        os.kill(sync.process.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            for waiting in (committing, queued):
                with pytest.raises(StoreUnavailable, match="sync helper"):
                    await waiting
            with pytest.raises(StoreUnavailable):
                await start(store)
            with pytest.raises(StoreUnavailable):
                await store.claim(request(), 0)
        assert await store.search(ExecutionFilter(limit=1))  # reading goes on
    again = SqliteStore(path, SetClock(), "full")
    await again.open()
    await again.take_over()
    await again.close()


async def test_a_helper_that_dies_while_idle_is_noticed_before_the_next_answer(tmp_path: Path) -> None:
    async with durable(tmp_path / "polos.db") as store:
        sync = store.committer._sync
        assert sync is not None
        os.kill(sync.process.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            with pytest.raises(StoreUnavailable):
                while True:
                    await start(store)


async def test_closing_waits_for_what_was_submitted(tmp_path: Path) -> None:
    path = tmp_path / "polos.db"
    async with durable(path) as store:
        left = [asyncio.create_task(store.publish([event("t", n)])) for n in range(5)]
        await asyncio.sleep(0)
    assert [(await task)[0].sequence for task in left] == [1, 2, 3, 4, 5]


async def test_after_closing_everything_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "polos.db", SetClock(), "relaxed")
    await store.open()
    await store.close()
    with pytest.raises(StoreUnavailable, match="stopped"):
        await start(store)


async def test_a_full_database_refuses_writes_keeps_what_it_has_and_recovers(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "polos.db", SetClock(), "relaxed")
    await store.open()
    assert store._writer is not None
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    await store.publish([event("t", "before")])
    store._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    big = asyncio.create_task(store.publish([event("t", "x" * 200_000)]))
    with pytest.raises(StoreUnavailable, match="full"):
        await big
    store._writer.execute("PRAGMA max_page_count = 1000000")
    assert (await store.publish([event("t", "after")]))[0].sequence == 2
    assert len(await store.events(EventFilter(topic="t"))) == 2
    await store.close()


DISK_LIMIT = """
import asyncio, resource, sys
from pathlib import Path
from polos.errors import StoreUnavailable
from polos.ports import EventFilter
from polos.store.sqlite.store import SqliteStore
from tests.conformance.acts import SetClock, event

async def main():
    path = Path(sys.argv[1])
    store = SqliteStore(path, SetClock(), "relaxed")
    await store.open()
    await store.publish([event("t", "before")])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name(path.name + "-wal").stat().st_size + 8192, hard))
    try:
        await store.publish([event("t", "x" * 500_000)])
        print("written")
    except StoreUnavailable as error:
        print("refused", "hint" in str(error))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.publish([event("t", "after")])
    print([e.sequence for e in await store.events(EventFilter(topic="t"))])
    await store.close()

asyncio.run(main())
"""


def test_a_disk_that_takes_no_more_is_told_and_work_goes_on_when_it_does_again(tmp_path: Path) -> None:
    done = run(DISK_LIMIT, tmp_path / "polos.db", cwd=tmp_path)
    assert done.stdout == "refused True\n[1, 2]\n", done.stderr


async def test_a_transaction_that_the_database_refuses_for_a_while_is_run_again_once(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "polos.db"
    store = SqliteStore(path, SetClock(), "relaxed")
    await store.open()
    assert store._writer is not None
    store._writer.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    publishing = asyncio.create_task(store.publish([event("t", 1)]))
    while store.committer._failures == 0:
        await asyncio.sleep(0)
    other.execute("ROLLBACK")
    other.close()
    assert (await publishing)[0].sequence == 1
    assert len(await store.events(EventFilter(topic="t"))) == 1
    await store.close()
