"""How a client reaches its database: through an engine in this process, else as its owner for one call. Opens no engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from polos.clock import SystemClock
from polos.core.model import Execution
from polos.core.status import TERMINAL, Status
from polos.errors import DatabaseInUse, NobodyListens, OwnerLost, WireVersionMismatch
from polos.ports import ClientStore, ReadStore

if TYPE_CHECKING:
    from polos.wire.remote import Remote

T = TypeVar("T")
PATIENCE = 10.0
"""Seconds for which a call is made again where the owner of the database changes, or does not answer."""
SILENT_FOR = 5.0
"""Seconds for which an owner that did not answer is not asked again."""
_clock = SystemClock()


class Access(Protocol):
    """A way to a database.

    Attributes:
        checks_starts: whoever is asked checks workflow ids and payloads by itself.
    """

    @property
    def checks_starts(self) -> bool: ...

    async def write(self, call: Callable[[ClientStore], Coroutine[Any, Any, T]]) -> T:
        """Calls with a store that may change it."""
        ...

    async def read(self, call: Callable[[ReadStore], Coroutine[Any, Any, T]]) -> T:
        """Calls with a store that only reads."""
        ...

    def changed(self, execution_id: str, timeout: float) -> asyncio.Future[None]:
        """Watches from now on: done when the execution may have changed, or after `timeout` seconds. Cancel it when unused."""
        ...

    async def once_ended(self, execution_id: str, seconds: float) -> Execution | None:
        """Returns an execution once it has ended or is blocked, or as it was a moment ago after so many seconds."""
        ...

    async def is_owned(self) -> bool:
        """Tells whether an engine is up for the database."""
        ...

    async def close(self) -> None: ...


async def once_ended(access: Access, execution_id: str, seconds: float) -> Execution | None:
    waiting = access.changed(execution_id, seconds)
    try:
        found = await access.read(lambda store: store.get(execution_id))
        if found is None or found.status in TERMINAL or found.status is Status.BLOCKED:
            return found
        await waiting
    finally:
        waiting.cancel()
    return found


class FileAccess:
    """The database file with no engine in this process: through the process that owns it, else as its owner for one call.

    Reads beside whoever owns it; only what must be durable is asked of the owner.
    """

    checks_starts = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._readers: dict[asyncio.AbstractEventLoop, ReadStore] = {}
        self._remotes: dict[asyncio.AbstractEventLoop, tuple[Remote, AsyncIterator[None]]] = {}
        self._connecting: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}
        self._silent_until = 0.0

    async def write(self, call: Callable[[ClientStore], Coroutine[Any, Any, T]]) -> T:
        """Calls, and again where the owner went away under the call: every call may be repeated."""
        deadline = _clock.monotonic() + PATIENCE
        while True:
            try:
                remote = await self.owner()
                if remote is not None:
                    return await call(cast(ClientStore, remote))
                async with _owned(self._url) as store:
                    return await call(store)
            except (OwnerLost, DatabaseInUse):
                now = _clock.monotonic()
                if now > deadline or now < self._silent_until:  # a silent owner has been waited for already
                    raise
            await asyncio.sleep(0.02)

    async def read(self, call: Callable[[ReadStore], Coroutine[Any, Any, T]]) -> T:
        return await call(cast(ReadStore, _Beside(self, self._reader())))

    def changed(self, execution_id: str, timeout: float) -> asyncio.Future[None]:
        found = self._remotes.get(asyncio.get_running_loop())
        if found is not None and not found[0].is_lost:
            watching = found[0].changed(execution_id, timeout)
            looked: asyncio.Future[None] = asyncio.ensure_future(_until_done(watching))
            return looked
        return asyncio.ensure_future(asyncio.sleep(min(timeout, 0.05)))

    async def once_ended(self, execution_id: str, seconds: float) -> Execution | None:
        return await once_ended(self, execution_id, seconds)

    async def is_owned(self) -> bool:
        try:
            return await self.owner() is not None
        except (OwnerLost, WireVersionMismatch):
            return True  # it is there, whatever it says

    def _reader(self) -> ReadStore:
        from polos.store import open_reader

        loop = asyncio.get_running_loop()
        for gone in [other for other in self._readers if other.is_closed()]:
            del self._readers[gone]  # which closes it
        if loop not in self._readers:
            self._readers[loop] = open_reader(self._url)
        return self._readers[loop]

    async def owner(self) -> Remote | None:
        """Returns this loop's connection to the owner, made when there is one; None: nobody listens.

        Raises:
            OwnerLost: the owner does not answer.
            WireVersionMismatch: it is of another version.
        """
        loop = asyncio.get_running_loop()
        found = self._remotes.get(loop)
        if found is not None and not found[0].is_lost:
            return found[0]
        for gone in [other for other in self._connecting if other.is_closed()]:
            self._remotes.pop(gone, None)
            del self._connecting[gone]
        async with self._connecting.setdefault(loop, asyncio.Lock()):
            return await self._connect(loop)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> Remote | None:
        found = self._remotes.get(loop)
        if found is not None and not found[0].is_lost:
            return found[0]  # made while this call waited its turn
        from polos.settings import database_path
        from polos.store import owner_of

        holder = owner_of(database_path(self._url))
        if holder is None or "socket" not in holder:
            return None
        if _clock.monotonic() < self._silent_until:
            raise _silent(holder)
        from polos.wire.calls import Role
        from polos.wire.remote import Remote

        try:
            remote = await Remote.connect(Path(holder["socket"]), Role.CLIENT)
        except NobodyListens:
            return None  # a dead owner's socket
        except OwnerLost as error:
            if not error.is_silent:
                raise  # it died as we came: the next look finds another owner, or none
            self._silent_until = _clock.monotonic() + SILENT_FOR
            raise _silent(holder) from error
        keeping = _while_loop_lives(remote)
        await anext(keeping)
        self._remotes[loop] = (remote, keeping)
        return remote

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        reader, found = self._readers.pop(loop, None), self._remotes.pop(loop, None)
        if reader is not None:
            await reader.close()
        if found is not None:
            found[0].close()
            await asyncio.sleep(0)


class _Beside:
    """Reads the file, but asks its owner where an answer must be durable: an execution's state."""

    def __init__(self, access: FileAccess, reader: ReadStore) -> None:
        self._access = access
        self._reader = reader

    async def get(self, execution_id: str) -> Execution | None:
        owner = await self._owner()
        try:
            return await owner.get(execution_id)
        except OwnerLost:
            return await self._reader.get(execution_id)

    async def find(self, reference: str) -> list[Execution]:
        owner = await self._owner()
        try:
            return await owner.find(reference)
        except OwnerLost:
            return await self._reader.find(reference)

    async def _owner(self) -> Remote | ReadStore:
        try:
            return await self._access.owner() or self._reader
        except (OwnerLost, WireVersionMismatch):
            return self._reader  # the file can be read all the same

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def _silent(holder: dict[str, Any]) -> OwnerLost:
    """Returns the error for an owner that holds the file and does not answer."""
    pid, command = holder.get("pid"), holder.get("command")
    return OwnerLost(
        f"process {pid} ({command}) owns the database and does not answer",
        hint=f"is it stopped (kill -CONT {pid}), or stuck? Nothing is lost if it is ended: kill -9 {pid}; "
        "polos ps, show, events and logs work all the same",
    )


async def _while_loop_lives(remote: Remote) -> AsyncIterator[None]:
    """Closes a connection when its loop ends (which closes its generators first): clients need no closing."""
    try:
        yield
    finally:
        remote.close()


async def _until_done(watching: asyncio.Future[None]) -> None:
    with contextlib.suppress(OwnerLost):  # which is a reason to look, too
        await watching


@contextlib.asynccontextmanager
async def _owned(url: str) -> AsyncIterator[ClientStore]:
    from polos.store import open_store

    store = await open_store(url, SystemClock(), for_one_call=True)
    try:
        yield store
    finally:
        await store.close()
