"""What is left when an engine stops: clients that wait, threads, forked children."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from polos import NoEngine, Polos, PolosClient, StoreUnavailable, UsageError, Worker, WorkflowContext, workflow
from polos.clock import SystemClock
from polos.errors import DatabaseInUse
from polos.store.sqlite.ownership import Ownership
from polos.store.sqlite.store import SqliteStore
from tests.engine.conftest import Engine
from tests.engine.looks import is_set, waits

GONE = (NoEngine, StoreUnavailable)


@workflow(id="stopping-tests.waits")
async def waiting(ctx: WorkflowContext) -> Any:
    return (await ctx.step.wait_for_event("e", "go")).data


@workflow(id="stopping-tests.works")
async def works(ctx: WorkflowContext) -> int:
    return await ctx.step.run("a", lambda: 1)


async def watched(polos: Polos, execution_id: str, count: int) -> None:
    """Returns when so many callers wait for a change of the execution."""
    store: Any = polos.host.store.owner.store
    async with asyncio.timeout(15):
        while len(store._watchers._waiting.get(execution_id, ())) < count:
            await asyncio.sleep(0.002)


async def test_a_client_goes_on_when_the_engine_of_its_process_restarts(engine: Engine, url: str) -> None:
    client = PolosClient(url)
    for number in (1, 2):
        async with engine(works):
            handle = await works.invoke(client)
            assert (handle.number, await handle.result(10)) == (number, 1)
        assert len(await client.list()) == number
    await client.close()


@pytest.mark.parametrize("run_on", ["thread", "caller"])
async def test_a_result_that_is_waited_for_says_that_the_engine_stopped(engine: Engine, run_on: str) -> None:
    found: list[BaseException] = []

    async with engine(waiting, run_on=run_on) as polos:
        handle = await waiting.invoke(polos)
        await waits(polos, handle, "e")

        def elsewhere() -> None:
            try:
                asyncio.run(handle.result(30))
            except BaseException as error:
                found.append(error)

        here = asyncio.create_task(handle.result(30))
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await watched(polos, handle.id, 2)
    with pytest.raises(GONE) as raised:
        await here
    await asyncio.to_thread(thread.join, 15)
    found.append(raised.value)
    assert len(found) == 2
    for error in found:
        assert isinstance(error, GONE) and "the execution goes on" in error.hint


async def test_a_handle_of_an_engine_that_has_stopped_says_so(engine: Engine) -> None:
    async with engine(waiting) as polos:
        handle = await waiting.invoke(polos)
        access = polos.access()
    with pytest.raises(GONE):
        await handle.result(30)
    with pytest.raises(GONE):
        await access.read(lambda store: store.get(handle.id))
    with pytest.raises(GONE):
        await access.changed(handle.id, 30)


async def test_a_stopped_engine_leaves_no_thread(engine: Engine) -> None:
    before = set(threading.enumerate())
    threads: set[threading.Thread] = set()
    for _ in range(3):
        async with engine(works) as polos:
            await works.run(polos, timeout=10)
            threads |= set(threading.enumerate()) - before
    assert any(thread.name == "polos-body" for thread in threads)
    for thread in threads:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


async def test_a_body_that_outlives_its_engine_lets_its_thread_go_when_it_returns(engine: Engine) -> None:
    started, go, held = threading.Event(), threading.Event(), []

    def body() -> None:
        held.append(threading.current_thread())
        started.set()
        go.wait(20)

    @workflow
    async def hangs(ctx: WorkflowContext) -> None:
        await ctx.step.run("a", body)

    async with engine(hangs) as polos:
        await hangs.invoke(polos)
        await is_set(started)
        await polos._there(polos.host.stop(grace=0))
        assert held[0].is_alive()
        go.set()
        await asyncio.to_thread(held[0].join, 10)
        assert not held[0].is_alive()
        polos._host = None  # it is stopped


def test_a_client_used_on_many_loops_keeps_one_reader_at_most(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/polos.db"

    async def starts() -> None:
        async with Polos(url, workflows=[works], durability="relaxed", echo=False) as polos:
            await works.run(polos, timeout=10)

    asyncio.run(starts())
    before = set(threading.enumerate())
    client = PolosClient(url)
    threads: list[threading.Thread] = []
    for _ in range(5):
        assert len(asyncio.run(client.list())) == 1
        threads += set(threading.enumerate()) - before - set(threads)
    assert len(threads) == 5
    for thread in threads[:-1]:
        thread.join(10)
        assert not thread.is_alive()
    del client
    threads[-1].join(10)
    assert not threads[-1].is_alive()


def forked(check: Any) -> tuple[int, int]:
    """Forks a child that checks something, and then lives until its pipe is closed; returns (pid, pipe)."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pytest has threads
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(writing)
            code = 0 if check() else 1
            os.read(reading, 1)
        finally:
            os._exit(code)
    os.close(reading)
    return pid, writing


def is_free(path: Path) -> bool:
    ownership = Ownership(path, SystemClock())
    try:
        ownership.acquire()
    except DatabaseInUse:
        return False
    ownership.release()
    return True


async def test_a_forked_child_keeps_neither_the_lock_nor_the_helper(tmp_path: Path) -> None:
    path = tmp_path / "polos.db"
    store = SqliteStore(path, SystemClock(), "full")
    await store.open()
    sync: Any = store.committer._sync
    pid, pipe = forked(lambda: store._ownership._file is None and sync._ours.fileno() < 0)
    try:
        with pytest.raises(DatabaseInUse):
            Ownership(path, SystemClock()).acquire()
        assert await store.take_over() == 0  # the helper still answers the parent
        await store.close()
        async with asyncio.timeout(10):  # though the child lives; it may need a moment to begin
            while not is_free(path):
                await asyncio.sleep(0.002)
    finally:
        os.close(pipe)
        assert os.waitpid(pid, 0)[1] == 0


async def test_a_worker_runs_the_database_of_the_polos_it_is_given(url: str, engine: Engine) -> None:
    polos = engine(works)
    worker = Worker(polos)
    working = asyncio.create_task(worker.run())
    client = PolosClient(url)
    try:
        async with asyncio.timeout(15):
            while worker._polos._host is None:
                await asyncio.sleep(0.002)
        assert await works.run(client, timeout=10) == 1
    finally:
        working.cancel()
        await asyncio.wait({working})
        await client.close()
    async with polos:
        with pytest.raises(UsageError, match="works already"):
            Worker(polos)
    with pytest.raises(UsageError, match="takes a PolosClient or a Polos"):
        Worker(object())  # type: ignore[arg-type]
