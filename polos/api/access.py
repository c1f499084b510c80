"""The way to a database through its server: a store over HTTP for each loop. Speaks no HTTP itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar, cast

from polos.api.remote import HttpStore
from polos.core.model import Execution
from polos.errors import PolosError
from polos.ports import ClientStore, ReadStore

T = TypeVar("T")
Token: TypeAlias = str | Callable[[], str | None] | None


class HttpAccess:
    """Implements `Access`: the way to a database through its server, from any loop."""

    checks_starts = True

    def __init__(self, url: str, token: Token) -> None:
        self._url, self._token = url, token
        self._stores: dict[asyncio.AbstractEventLoop, HttpStore] = {}

    def _store(self) -> HttpStore:
        loop = asyncio.get_running_loop()
        for gone in [other for other in self._stores if other.is_closed()]:
            del self._stores[gone]
        if loop not in self._stores:
            self._stores[loop] = HttpStore(self._url, self._token)
        return self._stores[loop]

    async def write(self, call: Callable[[ClientStore], Coroutine[Any, Any, T]]) -> T:
        """Calls with a store that may change the database."""
        return await call(cast(ClientStore, self._store()))

    async def read(self, call: Callable[[ReadStore], Coroutine[Any, Any, T]]) -> T:
        """Calls with a store that reads it."""
        return await call(cast(ReadStore, self._store()))

    def changed(self, execution_id: str, timeout: float) -> asyncio.Future[None]:
        """Done when the execution has ended, or after `timeout` seconds."""

        async def watch() -> None:
            try:
                await self._store().once_ended(execution_id, timeout)
            except PolosError:
                await asyncio.sleep(min(timeout, 0.1))  # whoever watches looks, and hears of it

        return asyncio.ensure_future(watch())

    async def once_ended(self, execution_id: str, seconds: float) -> Execution | None:
        """Returns an execution once it has ended or is blocked, or as it is after so many seconds."""
        return await self._store().once_ended(execution_id, seconds)

    async def is_owned(self) -> bool:
        """True: the server owns it."""
        return True

    async def close(self) -> None:
        """Ends this loop's connections."""
        store = self._stores.pop(asyncio.get_running_loop(), None)
        if store is not None:
            await store.close()
