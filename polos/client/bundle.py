"""A client of a bundle: all that looks, and nothing that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from polos.client.client import Client
from polos.client.connect import once_ended
from polos.core.model import Execution
from polos.errors import UsageError
from polos.ports import ClientStore, ReadStore
from polos.store import open_bundle

T = TypeVar("T")
SUFFIX = ".polos"


class BundleAccess:
    """The way to a bundle."""

    checks_starts = True

    def __init__(self, reader: ReadStore, path: Path) -> None:
        self._reader, self._path = reader, path

    async def write(self, call: Callable[[ClientStore], Coroutine[Any, Any, T]]) -> T:
        """Refuses."""
        raise UsageError(
            f"{self._path} is a bundle, which is only read",
            hint="polos show, replay, diff, events, logs, why look at it",
        )

    async def read(self, call: Callable[[ReadStore], Coroutine[Any, Any, T]]) -> T:
        """See `Access`."""
        return await call(self._reader)

    def changed(self, execution_id: str, timeout: float) -> asyncio.Future[None]:
        """Never, in fact."""
        return asyncio.ensure_future(asyncio.sleep(timeout))

    async def once_ended(self, execution_id: str, seconds: float) -> Execution | None:
        """See `Access`."""
        return await once_ended(self, execution_id, seconds)

    async def is_owned(self) -> bool:
        """Nobody runs a bundle."""
        return False

    async def close(self) -> None:
        """Lets the file go."""
        await self._reader.close()


class BundleClient(Client):
    """A client of the file that `polos export` has written. Close it, or use it as a context manager.

    Attributes:
        manifest: what the bundle says of itself: the execution's `number` and id, what was `masked`.

    Raises:
        BadBundle: it is none, was damaged or changed, or is too large.
    """

    def __init__(self, path: Path) -> None:
        reader, self.manifest = open_bundle(path)
        self._bundle = BundleAccess(reader, path)

    def _access(self) -> BundleAccess:
        return self._bundle

    async def close(self) -> None:
        """Lets the file go."""
        await self._bundle.close()

    async def __aenter__(self) -> BundleClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
