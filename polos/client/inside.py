"""The way to a database through an engine of this process, from any of its loops. Opens no engine."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from polos.client.connect import Access, once_ended
from polos.core.model import Execution
from polos.errors import NoEngine
from polos.ports import ClientStore, ReadStore

T = TypeVar("T")


class LoopAccess:
    """A store that lives on a loop of this process, used from any other."""

    checks_starts = False

    def __init__(self, store: ClientStore, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop
        self._lock = threading.Lock()
        self._ended = False

    def end(self) -> None:
        """Takes no more calls: the engine stops. Those under way end, or raise `NoEngine`."""
        with self._lock:
            self._ended = True

    def _send(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Starts a coroutine on the store's loop, from another one."""
        with self._lock:  # what is sent before the end has begun when the store is closed, and is answered
            if not self._ended:
                try:
                    return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))
                except RuntimeError:  # its loop was closed under it
                    self._ended = True
        coroutine.close()
        raise _stopped()

    async def _answer(self, sent: asyncio.Future[T]) -> T:
        try:
            return await sent
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._ended and not (task and task.cancelling()):
                raise _stopped() from None  # it was the engine's loop that ended, not the caller
            raise

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if asyncio.get_running_loop() is self._loop:
            return await coroutine
        return await self._answer(self._send(coroutine))

    async def write(self, call: Callable[[ClientStore], Coroutine[Any, Any, T]]) -> T:
        return await self._there(call(self._store))

    async def read(self, call: Callable[[ReadStore], Coroutine[Any, Any, T]]) -> T:
        return await self._there(call(self._store))

    def changed(self, execution_id: str, timeout: float) -> asyncio.Future[None]:
        if asyncio.get_running_loop() is self._loop:
            watching = asyncio.ensure_future(_bounded(self._store.changed(execution_id), timeout))
        else:

            async def wait() -> None:
                await _bounded(self._store.changed(execution_id), timeout)

            sent = self._send(wait())
            watching = asyncio.ensure_future(self._answer(sent))
            watching.add_done_callback(lambda _: sent.cancel())
        watching.add_done_callback(_retrieved)
        return watching

    async def once_ended(self, execution_id: str, seconds: float) -> Execution | None:
        return await once_ended(self, execution_id, seconds)

    async def is_owned(self) -> bool:
        return not self._ended

    async def close(self) -> None:
        """Leaves the store to its engine."""


def _stopped() -> NoEngine:
    return NoEngine("the engine was stopped", hint="the execution goes on when an engine runs again")


def _retrieved(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()  # whoever watched may look no more


async def _bounded(changed: Awaitable[None], timeout: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await changed


_local: dict[Path, LoopAccess] = {}


def publish_local(path: Path, access: LoopAccess) -> None:
    """Lets every client of this process reach the engine that runs here."""
    _local[path.resolve()] = access


def forget_local(path: Path, access: LoopAccess) -> None:
    """Takes it back, unless another one has come in its place."""
    if _local.get(path.resolve()) is access:
        del _local[path.resolve()]


def local_access(url: str) -> Access | None:
    """Returns the way through this process's engine, when it has one for that database."""
    from polos.settings import database_path

    return _local.get(database_path(url).resolve())
