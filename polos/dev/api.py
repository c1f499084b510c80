"""The dev server's HTTP API: served beside the engine, named in ``.polos/server.json``. Knows no route."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from polos.clock import Clock, secret
from polos.dev.happenings import Told
from polos.dev.serverfile import ServerFile, remove, write
from polos.ports import Store
from polos.settings import Settings, database_path

if TYPE_CHECKING:
    from polos.http.hosting import HostedApi


class Api:
    """From `serve` to `close`, at a socket that listens already."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._folder = database_path(settings.database).parent
        self._token = settings.token or base64.urlsafe_b64encode(secret(24)).decode()
        self._public_url = settings.public_url
        self._listening = listening
        self._hosted: HostedApi | None = None
        self._store: Store | None = None
        self._is_closed = False
        host, port = listening.getsockname()[:2]
        self.url = f"http://{host}:{port}"

    def announce(self) -> None:
        """Says where it is and its token, in the file: whoever calls before it serves waits at the socket."""
        write(self._folder, ServerFile(url=self.url, token=self._token, pid=os.getpid()))

    async def serve(self, store: Store, clock: Clock) -> None:
        """Serves from now on. Its import takes a moment: the code's does meanwhile."""
        hosting = await asyncio.to_thread(import_module, "polos.http.hosting")
        if self._is_closed:
            return
        hosted: HostedApi = hosting.HostedApi(
            store, clock, self._listening, self._folder, self._token, self._public_url
        )
        await hosted.start()
        self._hosted, self._store = hosted, store

    def has_link(self, told: Told) -> bool:
        """Tells whether an event is a question to a person, for which there is a page."""
        is_question = told.event.type == "wait_start" and (told.facts or {}).get("kind") == "suspend"
        return is_question and self._hosted is not None

    async def tell_with_link(self, told: Told, tell: Callable[[Told], None]) -> None:
        """Tells of a question, with the page on which it is answered."""
        assert self._store is not None and self._hosted is not None and told.facts is not None
        found = next((one for one in await self._store.find(str(told.execution)) if one.number == told.execution), None)
        tell(replace(told, link=self._hosted.link_to(found, str(told.facts["key"])) if found else ""))

    async def close(self) -> None:
        """Stops."""
        self._is_closed = True
        remove(self._folder, os.getpid())
        if self._hosted is not None:
            await self._hosted.close()
        else:
            self._listening.close()
