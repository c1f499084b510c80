"""A worker's renewals, over a connection of their own, for a thread (S8.2). Blocks; uses no loop."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from polos.errors import OwnerLost
from polos.wire import forked
from polos.wire.calls import Role
from polos.wire.frames import VERSION, Unpacker, packed

ANSWERED_WITHIN = 5.0


class Renewal:
    """Renews one worker's lease at the owner that listens at `path`. Connects when first used, and again after a loss."""

    def __init__(self, path: Path, worker_id: str) -> None:
        self.path = path
        self._worker_id = worker_id
        self._socket: socket.socket | None = None
        self._unpacker = Unpacker()
        self._number = 0

    def renew(self) -> bool:
        """Returns True when the lease goes on, False when the owner had given this worker up.

        Raises:
            OwnerLost: nobody answered.
        """
        try:
            if self._socket is None:
                self._connect()
            return bool(self._ask("renew", self._worker_id))
        except (OSError, ValueError) as error:
            self.close()
            raise OwnerLost(f"the lease could not be renewed: {error}") from error

    def _connect(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        forked.opened(self._socket.fileno())
        self._socket.settimeout(ANSWERED_WITHIN)
        self._socket.connect(str(self.path))
        self._unpacker = Unpacker()
        self._send([0, "hello", [{"wire": VERSION, "role": Role.RENEWAL.value, "pid": os.getpid()}]])
        self._receive(0)

    def _ask(self, name: str, *args: object) -> object:
        self._number += 1
        self._send([self._number, name, list(args)])
        failed, told = self._receive(self._number)
        if failed:
            raise ValueError(told["message"])
        return told

    def _send(self, message: list[object]) -> None:
        assert self._socket is not None
        self._socket.sendall(b"".join(packed([message])))

    def _receive(self, number: int) -> tuple[int, dict[str, str]]:
        assert self._socket is not None
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError(104, "the owner closed the connection")
            for answered, failed, told in self._unpacker.feed(data):
                if answered == number:
                    return failed, told

    def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            forked.closed(self._socket.fileno())
            self._socket.close()
            self._socket = None
