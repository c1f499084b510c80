"""Who waits for the file, and who is told at once that it is taken (architecture.md, Ownership)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from polos.clock import SystemClock
from polos.errors import DatabaseInUse
from polos.store import open_store
from polos.store.sqlite.store import SqliteStore
from tests.conformance.acts import SetClock, start
from tests.conformance.processes import owner


async def test_an_owner_for_one_call_is_waited_for(tmp_path: Path) -> None:
    brief = SqliteStore(tmp_path / "polos.db", SetClock(), "relaxed", for_one_call=True)
    await brief.open()
    opening = asyncio.create_task(open_store(f"sqlite:///{tmp_path}/polos.db", SystemClock(), "relaxed"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not opening.done()
    await start(brief)
    await brief.close()
    store = await opening
    assert (await start(store)).number == 2
    await store.close()


async def test_many_callers_for_one_call_take_turns(tmp_path: Path) -> None:
    async def one() -> int:
        store = await open_store(f"sqlite:///{tmp_path}/polos.db", SystemClock(), for_one_call=True)
        try:
            return (await start(store)).number
        finally:
            await store.close()

    assert sorted(await asyncio.gather(*(one() for _ in range(5)))) == [1, 2, 3, 4, 5]


async def test_a_long_lived_owner_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "polos.db"
    with owner(path) as other:
        clock = SystemClock()
        began = clock.monotonic()
        with pytest.raises(DatabaseInUse) as refused:
            await open_store(f"sqlite:///{path}", clock, for_one_call=True)
        assert clock.monotonic() - began < 1
    assert (refused.value.pid, refused.value.brief) == (other.pid, False)
    assert other.pid != os.getpid()
