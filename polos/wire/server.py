"""The owner's side of the wire: answers commands and workers of other processes from its store. Decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from polos.ports import Store
from polos.wire import forked
from polos.wire.peer import Peer

LOOK_EVERY = 1.0


class LeaseBook(Protocol):
    """Who hears of the lives of attached workers (S8.2)."""

    def attached(self, worker_id: str, again: bool) -> None: ...
    def detached(self, worker_id: str) -> None: ...
    def left(self, worker_id: str) -> None: ...
    def renewed(self, worker_id: str) -> bool:
        """Renews a lease; False when the worker was given up meanwhile."""
        ...

    def is_alive(self, worker_id: str) -> bool: ...


class WireServer:
    """Listens at a socket of this user's own. One object a connection does the rest."""

    def __init__(
        self, store: Store, leases: LeaseBook, path: Path, facts: dict[str, Any], on_yield: Callable[[], None]
    ) -> None:
        self.store = store
        self.leases = leases
        self.facts = facts
        self.on_yield = on_yield
        self.path = path
        self._server: asyncio.Server | None = None
        self._peers: set[Peer] = set()
        self._descriptor = -1

    async def keep(self) -> None:
        """Listens anew where somebody has removed the socket's file, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not self.path.exists():
                await self._deafen()
                with contextlib.suppress(OSError):  # its folder may be gone, too: looked at again
                    await self.start()

    async def start(self) -> None:
        """Listens. The caller holds the database's lock, so that a socket left here is a dead process's.

        Raises:
            OSError: the socket cannot be made.
        """
        self.path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(self.path))
            self.path.chmod(0o600)  # nobody can connect before it listens
            self._server = await asyncio.get_running_loop().create_unix_server(
                lambda: Peer(self).channel, sock=listening, backlog=1024
            )
        except BaseException:  # a cancel, too: nothing stays half open
            listening.close()
            raise
        self._descriptor = listening.fileno()
        forked.opened(self._descriptor)

    def gave_up(self, worker_id: str) -> None:
        """Claims nothing more for a worker whose lease has ended."""
        for peer in self._peers:
            if peer.worker_id == worker_id:
                peer.stop_claiming()

    def joined(self, peer: Peer) -> None:
        """Remembers a connection."""
        self._peers.add(peer)

    def parted(self, peer: Peer) -> None:
        """Forgets a connection."""
        self._peers.discard(peer)

    async def _deafen(self) -> None:
        """Accepts nothing more, and closes the listening socket, where there is one.

        What has been accepted becomes a connection in the next turn of the loop, for which asyncio needs the server still
        open: it would lose the socket otherwise, unclosed (`Server._attach` refuses).
        """
        if self._server is None:
            return
        asyncio.get_running_loop().remove_reader(self._descriptor)
        await asyncio.sleep(0)
        forked.closed(self._descriptor)
        self._server.close()
        self._server = None

    async def close(self) -> None:
        """Listens no more and ends every connection; what was answered has been sent."""
        if self._server is not None:
            await self._deafen()
            self.path.unlink(missing_ok=True)
        for peer in list(self._peers):
            peer.end()
        await asyncio.sleep(0)
