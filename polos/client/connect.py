"""How a client reaches its database: through an engine in this process, else as its owner for one call. Opens no engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

from polos.clock import SystemClock
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

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if asyncio.get_running_loop() is self._loop:
            return await coroutine
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    async def write(self, call: Callable[[ClientStore], Coroutine[Any, Any, T]]) -> T:
        return await self._there(call(self._store))

    async def read(self, call: Callable[[ReadStore], Coroutine[Any, Any, T]]) -> T:
        return await self._there(call(self._store))

    def changed(self, execution_id: str, timeout: float) -> asyncio.Future[None]:
        if asyncio.get_running_loop() is self._loop:
            return asyncio.ensure_future(_bounded(self._store.changed(execution_id), timeout))

        async def wait() -> None:
            await _bounded(self._store.changed(execution_id), timeout)

        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(wait(), self._loop))

    async def close(self) -> None:
        """Leaves the store to its engine."""


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
            del self._readers[gone]
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


def access_to(url: str) -> Access:
    """Returns the way to a database, through this process's engine when it has one."""
    from polos.settings import database_path

    return _local.get(database_path(url).resolve()) or FileAccess(url)
