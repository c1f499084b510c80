"""How a client reaches its database: through an engine in this process, else as its owner for one call. Opens no engine."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

from polos.clock import SystemClock
from polos.errors import NoEngine
from polos.ports import ClientStore, ReadStore

T = TypeVar("T")


class Access(Protocol):
    """A way to a database."""

    async def write(self, call: Callable[[ClientStore], Coroutine[Any, Any, T]]) -> T:
        """Calls with a store that may change it."""
        ...

    async def read(self, call: Callable[[ReadStore], Coroutine[Any, Any, T]]) -> T:
        """Calls with a store that only reads."""
        ...

    def changed(self, execution_id: str, timeout: float) -> asyncio.Future[None]:
        """Watches from now on: done when the execution may have changed, or after `timeout` seconds. Cancel it when unused."""
        ...

    async def close(self) -> None: ...


class LoopAccess:
    """A store that lives on a loop of this process, used from any other."""

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


class FileAccess:
    """The database file with no engine in this process: reads beside whoever owns it, owns it for one call to write."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._readers: dict[asyncio.AbstractEventLoop, ReadStore] = {}

    async def write(self, call: Callable[[ClientStore], Coroutine[Any, Any, T]]) -> T:
        async with _owned(self._url) as store:
            return await call(store)

    async def read(self, call: Callable[[ReadStore], Coroutine[Any, Any, T]]) -> T:
        from polos.store import open_reader

        loop = asyncio.get_running_loop()
        for gone in [other for other in self._readers if other.is_closed()]:
            del self._readers[gone]  # which closes it
        if loop not in self._readers:
            self._readers[loop] = open_reader(self._url)
        return await call(self._readers[loop])

    def changed(self, execution_id: str, timeout: float) -> asyncio.Future[None]:
        return asyncio.ensure_future(asyncio.sleep(min(timeout, 0.05)))

    async def close(self) -> None:
        reader = self._readers.pop(asyncio.get_running_loop(), None)
        if reader is not None:
            await reader.close()


@contextlib.asynccontextmanager
async def _owned(url: str) -> AsyncIterator[ClientStore]:
    from polos.store import open_store

    store = await open_store(url, SystemClock(), for_one_call=True)
    try:
        yield store
    finally:
        await store.close()


_local: dict[Path, LoopAccess] = {}


def publish_local(path: Path, access: LoopAccess) -> None:
    """Lets every client of this process reach the engine that runs here."""
    _local[path.resolve()] = access


def forget_local(path: Path) -> None:
    """Takes it back."""
    _local.pop(path.resolve(), None)


def local_access(url: str) -> Access | None:
    """Returns the way through this process's engine, when it has one for that database."""
    from polos.settings import database_path

    return _local.get(database_path(url).resolve())
