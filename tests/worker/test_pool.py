"""Threads for sync bodies: bounded, daemons, and honest about those that cannot be stopped (S2.7)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from polos.worker.pool import BodyPool


def on_loop(main: Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, None]]) -> None:
    async def outer() -> None:
        async with asyncio.timeout(20):
            await main(asyncio.get_running_loop())

    asyncio.run(outer())


def test_results_and_errors_come_back() -> None:
    async def main(loop: asyncio.AbstractEventLoop) -> None:
        pool = BodyPool(2)
        assert await asyncio.gather(*(pool.submit(loop, lambda n=n: n * n) for n in range(50))) == [
            n * n for n in range(50)
        ]
        with pytest.raises(ZeroDivisionError):
            await pool.submit(loop, lambda: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await pool.submit(loop, lambda: next(iter([])))

    on_loop(main)


def test_no_more_run_at_once_than_the_size() -> None:
    async def main(loop: asyncio.AbstractEventLoop) -> None:
        pool, lock, now, most = BodyPool(3), threading.Lock(), 0, 0
        meet = threading.Barrier(3)

        def body() -> None:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            meet.wait(10)
            with lock:
                now -= 1

        await asyncio.gather(*(pool.submit(loop, body) for _ in range(9)))
        assert most == 3

    on_loop(main)


def test_threads_are_daemons() -> None:
    async def main(loop: asyncio.AbstractEventLoop) -> None:
        assert await BodyPool().submit(loop, lambda: threading.current_thread().daemon)

    on_loop(main)


def test_a_thread_whose_attempt_is_over_counts_until_it_returns() -> None:
    async def main(loop: asyncio.AbstractEventLoop) -> None:
        pool, go, started = BodyPool(1), threading.Event(), asyncio.Event()

        def body() -> None:
            loop.call_soon_threadsafe(started.set)
            go.wait(10)
            raise ValueError("nobody hears it")

        future = pool.submit(loop, body)
        await started.wait()
        pool.attempt_over(future)
        assert pool.is_full_of_stuck
        go.set()
        await asyncio.wait({future})
        await asyncio.sleep(0)
        assert not pool.is_full_of_stuck

    on_loop(main)


def test_a_body_that_waits_for_a_thread_is_not_run_once_its_attempt_is_over() -> None:
    async def main(loop: asyncio.AbstractEventLoop) -> None:
        pool, go, started, ran = BodyPool(1), threading.Event(), asyncio.Event(), []

        def holds() -> None:
            loop.call_soon_threadsafe(started.set)
            go.wait(10)

        first = pool.submit(loop, holds)
        await started.wait()
        second = pool.submit(loop, lambda: ran.append("second"))
        pool.attempt_over(second)
        assert not pool.is_full_of_stuck
        go.set()
        await first
        await pool.submit(loop, lambda: ran.append("third"))
        assert ran == ["third"]

    on_loop(main)
