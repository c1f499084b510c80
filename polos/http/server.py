"""Serves the application on a loopback port, with uvicorn, on the running loop. Knows no route."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from polos.http.gate import HEADERS_LIMIT, Gate

CLOSES_WITHIN = 2
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class _Quiet(uvicorn.Server):
    """A server whose signals are somebody else's to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them alone."""
        yield


class HttpServer:
    """From `start` to `close`."""

    def __init__(self, gate: Gate, listening: socket.socket) -> None:
        self._gate = gate
        self._socket = listening
        host, port = listening.getsockname()[:2]
        host = LOOPBACK.get(host, host)  # one that listens everywhere is called by this name from here
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
