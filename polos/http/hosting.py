"""The API over an engine's store, from its port to its end: what `polos dev` and `polos serve` share. Owns no database."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

from polos.clock import Clock, secret
from polos.core.model import Execution
from polos.http.app import build
from polos.http.links import VALID_FOR, Links, key_of
from polos.http.server import HttpServer
from polos.ports import Store


class HostedApi:
    """Serves on the running loop, from `start` to `close`.

    Args:
        listening: a socket that listens: see `polos.http.server.bind`.
        folder: where the key of approval links is kept (0600).
        token: what callers show; None: one is made for this run.
        public_url: the address of a proxy before it, which links to people name.
    """

    def __init__(
        self, store: Store, clock: Clock, listening: socket.socket, folder: Path, token: str | None,
        public_url: str | None = None,
    ) -> None:  # fmt: skip
        self.token = token or base64.urlsafe_b64encode(secret(24)).decode()
        self._clock = clock
        self._links = Links(key_of(folder))
        gate = build(store, clock, token=self.token, links=self._links, public_url=public_url)
        self._server = HttpServer(gate, listening)
        self._links.base = public_url or self.url

    @property
    def url(self) -> str:
        """Where it is."""
        return self._server.url

    def link_to(self, execution: Execution, step: str) -> str:
        """Returns a link to the page on which a person answers that step."""
        return self._links.to(execution, step, self._clock.now() + VALID_FOR)

    async def start(self) -> None:
        """Serves from now on."""
        await self._server.start()

    async def close(self) -> None:
        """Stops."""
        await self._server.close()
