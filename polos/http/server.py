"""Serves the application on a loopback port, with uvicorn, on the running loop. Knows no route."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from polos.errors import UsageError
from polos.http.gate import HEADERS_LIMIT, Gate

HOST = "127.0.0.1"
TRIES = 100
"""Ports tried from the wanted one on, where none was named."""
CLOSES_WITHIN = 2


class _Quiet(uvicorn.Server):
    """A server whose signals are somebody else's to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them alone."""
        yield


def bind(port: int, is_named: bool, host: str = HOST) -> socket.socket:
    """Returns a listening socket at the port, or at the next one that is free where it was not asked for by name.

    Raises:
        UsageError: the port that was asked for is taken, or may not be used.
    """
    wanted = range(port, min(port + TRIES, 65536)) if port and not is_named else [port]
    for number in [*wanted, *([] if is_named else [0])]:
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, number))
            listening.listen(512)
        except OSError as error:
            listening.close()
            if is_named:
                why = "is taken by another process" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
                raise UsageError(
                    f"the port {number} of {host} {why}", hint="leave --port out to have a free one, or name another"
                ) from error
            continue
        listening.setblocking(False)
        return listening
    raise UsageError(f"no port of {host} is free", hint="name one: --port")


class HttpServer:
    """From `start` to `close`."""

    def __init__(self, gate: Gate, listening: socket.socket) -> None:
        self._gate = gate
        self._socket = listening
        host, port = listening.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        names = {host, "127.0.0.1", "localhost", "[::1]"} if host in ("127.0.0.1", "::1") else {host, "localhost"}
        gate.hosts = frozenset(f"{name}:{port}" for name in names)
        config = uvicorn.Config(
            gate, log_config=None, access_log=False, lifespan="off", server_header=False, date_header=False,
            proxy_headers=False, h11_max_incomplete_event_size=2 * HEADERS_LIMIT, ws="none", http="h11", loop="asyncio",
            timeout_graceful_shutdown=CLOSES_WITHIN,
        )  # fmt: skip
        self._server = _Quiet(config)
        self._serving: asyncio.Task[Any] | None = None

    async def start(self) -> None:
        """Serves from now on."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            await asyncio.sleep(0.001)
            if self._serving.done():
                self._serving.result()
                return

    async def close(self) -> None:
        """Lets requests end for a moment, and stops."""
        self._server.should_exit = True
        if self._serving is not None:
            streams = asyncio.create_task(asyncio.sleep(0.2))
            await asyncio.wait({self._serving, streams}, return_when=asyncio.FIRST_COMPLETED)
            self._server.force_exit = True  # streams have no end of their own
            await asyncio.wait({self._serving}, timeout=CLOSES_WITHIN + 1)
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        self._socket.close()
