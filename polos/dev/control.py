"""The line between the dev server and a child: JSON messages, one a line, over a socket pair. Knows no message.

Its end tells each side that the other is gone, however that came about.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

import orjson

Message = dict[str, Any]
LONGEST = 64 << 20


class ChildEnd:
    """The child's end. A thread reads it, so that a blocked loop, or an import that never ends, changes nothing.

    Args:
        on_end: called on that thread when the server has gone.
    """

    def __init__(self, descriptor: int, on_end: Callable[[], None]) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._on_end = on_end
        self._writing = threading.Lock()
        self._orders: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._wanted: Callable[[], object] = lambda: None
        threading.Thread(target=self._read, name="polos-control", daemon=True).start()

    def send(self, message: Message) -> None:
        """Sends a message, from any thread."""
        with self._writing:
            try:
                self._socket.sendall(orjson.dumps(message) + b"\n")
            except OSError:
                self._on_end()

    def first(self) -> Message:
        """Returns the first order, before there is a loop. Blocking."""
        return self._orders.get()

    async def next(self) -> Message:
        """Returns the next order."""
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        self._wanted = lambda: loop.call_soon_threadsafe(came.set)
        while True:
            try:
                return self._orders.get_nowait()
            except queue.Empty:
                pass
            await came.wait()
            came.clear()

    def _read(self) -> None:
        with self._socket.makefile("rb") as lines:
            try:
                for line in lines:
                    self._orders.put(orjson.loads(line))
                    self._wanted()
            except (OSError, ValueError, RuntimeError):
                pass
        self._on_end()


class ServerEnd:
    """The server's end, on its loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, own: socket.socket) -> ServerEnd:
        """Takes one of a pair of sockets."""
        return cls(*await asyncio.open_connection(sock=own, limit=LONGEST))

    def send(self, message: Message) -> None:
        """Sends a message; nothing happens where the child has gone."""
        if not self._writer.is_closing():
            self._writer.write(orjson.dumps(message) + b"\n")

    async def next(self) -> Message | None:
        """Returns the next message; None: the child has gone."""
        try:
            line = await self._reader.readline()
        except (OSError, ValueError):
            return None
        return orjson.loads(line) if line.endswith(b"\n") else None

    def close(self) -> None:
        """Lets go, which ends the child."""
        self._writer.close()
