"""The tie of one process to a database: its owner, or the guest of another process that owns it. Carries no calls itself."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from polos.clock import Clock
from polos.core.manifest import WorkerInfo
from polos.errors import DatabaseInUse, OwnerLost, PolosError, StoreUnavailable
from polos.local.owner import Owner
from polos.ports import Store
from polos.settings import database_path
from polos.store import owner_of
from polos.wire.calls import Role
from polos.wire.remote import Remote
from polos.wire.renewal import Renewal

PATIENCE = 10.0
"""Seconds that a process which starts waits for an owner that holds the lock and does not answer."""
_AGAIN = 0.02
_LONGEST_PAUSE = 0.5
Backend: TypeAlias = "Store | Remote"


class AttachedWorker(Protocol):
    """The worker that goes on through a change of owner."""

    id: str

    def introduction(self) -> tuple[WorkerInfo, Mapping[int, int]]:
        """Returns who it is, and the epoch of each execution that it holds."""
        ...

    def attached(self, holding: Mapping[int, int], asked_at: float) -> None:
        """It said hello to another owner at that instant (monotonic); of these executions it may have missed news."""
        ...


class Attachment:
    """Lives on one loop, from `open` to `close`.

    When the owner goes away, every process that was attached tries for the lock; one gets it, the others are its
    guests. Each shows what its worker holds before anybody takes that over (S8.2).

    Args:
        is_heir: another owner is asked to let the database go.
        may_own: False: a guest only, which waits for an owner where there is none.
        on_settled: called whenever there is a backend, after the worker's hello and before `there` returns it.
        on_left: called whenever there is none any more.
        on_fault: called with what makes it impossible to go on.

    Attributes:
        lease_seconds: how long the worker's lease goes on in silence; None while this process is the owner.
    """

    def __init__(
        self, url: str, clock: Clock, *, durability: Literal["full", "relaxed"], lease_seconds: float, is_heir: bool,
        on_settled: Callable[[Backend], None], on_left: Callable[[], None], on_fault: Callable[[BaseException], None],
        may_own: bool = True,
    ) -> None:  # fmt: skip
        self._url, self._clock, self._durability = url, clock, durability
        self.path = database_path(url).resolve()
        self._own_lease_seconds = lease_seconds
        self._is_heir = is_heir
        self._may_own = may_own
        self._on_settled, self._on_left, self._on_fault = on_settled, on_left, on_fault
        self._is_attached = asyncio.Event()
        self._attaching: asyncio.Task[None] | None = None
        self._socket: Path | None = None
        self._renewal: Renewal | None = None
        self._loop = asyncio.get_running_loop()
        self.backend: Backend | None = None
        self.owner: Owner | None = None
        self.worker: AttachedWorker | None = None
        self.lease_seconds: float | None = None
        self.is_closed = False
        _here.add(self)

    @property
    def remote(self) -> Remote | None:
        """The connection to another owner, while there is one."""
        return self.backend if isinstance(self.backend, Remote) else None

    async def there(self) -> Backend:
        """Returns the backend, once there is one. Raises `StoreUnavailable` after `close`."""
        while self.backend is None:
            if self.is_closed:
                raise stopped()
            await self._is_attached.wait()
        return self.backend

    async def open(self) -> None:
        """Becomes the owner, or attaches to the one that is there.

        Raises:
            DatabaseInUse: a process holds the file and does not answer.
            StoreUnavailable, WireVersionMismatch: the database cannot be had.
        """
        await self._attach(self._clock.monotonic() + PATIENCE)

    async def close(self) -> None:
        """Leaves the owner, or lets the file go."""
        _here.discard(self)
        if self._attaching is not None:
            if not self.is_closed:
                self._attaching.cancel()
            await asyncio.gather(self._attaching, return_exceptions=True)
        self.is_closed = True
        self._is_attached.set()
        remote, owner = self.remote, self.owner
        self._leave()
        self._is_attached.set()
        if remote is not None:
            remote.close()
        if owner is not None:
            await owner.close()

    # ── attaching ────────────────────────────────────────────────────────────────────────────────────

    async def _attach(self, deadline: float | None) -> None:
        pause = _AGAIN
        while self.backend is None:
            try:
                if self._may_own:
                    await self._become_owner()
                    return
                in_use = DatabaseInUse("no process owns the database", pid=0, process="", brief=False)
            except DatabaseInUse as error:
                in_use = error
            try:
                await self._become_guest()
                return
            except OwnerLost as error:
                if deadline is not None and self._clock.monotonic() > deadline:
                    raise _silent(in_use, error) from error
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)

    async def _become_owner(self) -> None:
        owner = Owner(
            self._url, self._clock, durability=self._durability, lease_seconds=self._own_lease_seconds,
            on_yield=self._yield_soon, on_fault=self._owner_failed,
        )  # fmt: skip
        await owner.open(frozenset(a.worker.id for a in _here if a.worker is not None))
        self._socket = self.lease_seconds = None
        self.owner = owner
        await self._settle(owner.store)

    async def _become_guest(self) -> None:
        holder = owner_of(self.path)
        if holder is None or "socket" not in holder:
            raise OwnerLost("the owner of the database has no socket yet")
        self._socket = Path(holder["socket"])
        if self._is_heir:
            await ask_to_yield(self._socket)
            raise OwnerLost("the owner was asked to let the database go")
        remote = await Remote.connect(self._socket, Role.WORKER)
        self.lease_seconds = float(remote.facts["lease_seconds"])
        try:
            await self._settle(remote)
        except BaseException:  # a cancel, too: nothing stays half open
            remote.close()
            raise
        remote.lost.add_done_callback(self._owner_gone)

    async def _settle(self, backend: Backend) -> None:
        """Shows what the worker holds, and lets everybody go on."""
        self._is_heir = False  # once: two who want it would take it from each other for ever
        holding: Mapping[int, int] = {}
        asked_at = self._clock.monotonic()
        if self.worker is not None:
            info, holding = self.worker.introduction()
            await backend.hello(info, holding)
        self.backend = backend
        self._on_settled(backend)
        self._is_attached.set()
        if self.worker is not None:
            self.worker.attached(holding, asked_at)

    def _owner_gone(self, _: object) -> None:
        if not self.is_closed and self.remote is not None:
            self._leave()
            self._attaching = self._loop.create_task(self._attach_again())

    def _leave(self) -> None:
        self.backend = self.owner = None
        self._is_attached.clear()
        self._on_left()

    async def _attach_again(self) -> None:
        try:
            await self._attach(None)
        except PolosError as error:
            self._on_fault(error)

    def _owner_failed(self, error: BaseException) -> None:
        """This process cannot own the database any more: others may be able to, so it lets the file go (S9.5)."""
        self._on_fault(error)
        owner = self.owner
        if owner is not None and not self.is_closed:
            self.is_closed = True
            self._leave()
            self._is_attached.set()
            self._attaching = self._loop.create_task(owner.close())

    # ── yielding ─────────────────────────────────────────────────────────────────────────────────────

    def _yield_soon(self) -> None:
        if self._attaching is None or self._attaching.done():
            self._attaching = self._loop.create_task(self._yield())

    async def _yield(self) -> None:
        """Lets another process have the file, and goes on as its guest."""
        owner = self.owner
        if owner is None:
            return
        self._is_heir = False
        self._leave()
        await asyncio.sleep(0)  # what was under way hears of it
        await owner.close(moves_on=True)
        await asyncio.sleep(5 * _AGAIN)  # whoever asked comes first
        await self._attach_again()

    # ── the lease (S8.2) ─────────────────────────────────────────────────────────────────────────────

    def renew(self) -> bool | None:
        """Renews the worker's lease, blocking, from its own thread; see `WorkerStore.renew`."""
        socket, worker = self._socket, self.worker
        if self.backend is None:
            raise OwnerLost("there is no owner now")
        if socket is None or worker is None:
            return None
        if self._renewal is None or self._renewal.path != socket:
            self.end_renewals()
            self._renewal = Renewal(socket, worker.id)
        return self._renewal.renew()

    def end_renewals(self) -> None:
        """Closes their connection."""
        if self._renewal is not None:
            self._renewal.close()
            self._renewal = None


_here: weakref.WeakSet[Attachment] = weakref.WeakSet()
"""Those of this process: their workers live, whatever a new owner can see of them."""


async def ask_to_yield(socket: Path) -> None:
    """Asks an owner to let its database go, and returns when it has, or has not within 10 s. Raises `OwnerLost`."""
    remote = await Remote.connect(socket, Role.HEIR)
    try:
        await asyncio.wait([remote.call("yield")])
        await asyncio.wait([remote.lost], timeout=PATIENCE)
    finally:
        remote.close()


def stopped() -> StoreUnavailable:
    """Returns the error of whoever still asks after the end."""
    return StoreUnavailable("the engine was stopped", hint="the execution goes on when an engine runs again")


def _silent(in_use: DatabaseInUse, lost: OwnerLost) -> DatabaseInUse:
    """Returns the error for an owner that holds the file and does not answer."""
    return DatabaseInUse(
        f"{in_use.message}, which does not answer ({lost.message})",
        hint=in_use.hint,
        pid=in_use.pid,
        process=in_use.process,
        brief=False,
    )
