"""Waiting for what an engine does, by looking, with a bound. Asserts nothing but the bound."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from polos import ExecutionHandle
from polos.client.client import Client
from polos.core.model import Execution
from polos.core.status import Status


async def until(client: Client, handle: ExecutionHandle, *statuses: str) -> Execution:
    """Returns the execution as soon as it is in one of these states."""
    async with asyncio.timeout(15):
        while True:
            found = await client.get(handle)
            if found.status in {Status(status) for status in statuses}:
                return found
            await asyncio.sleep(0.002)


async def waits(client: Client, handle: ExecutionHandle, *keys: str) -> None:
    """Returns when the execution is parked on exactly these waits."""
    async with asyncio.timeout(15):
        while True:
            found = await client.access().read(lambda store: store.waits(handle.id))
            if sorted(w.key for w in found) == sorted(keys) and (await client.get(handle)).status is Status.WAITING:
                return
            await asyncio.sleep(0.002)


async def is_set(event: threading.Event) -> None:
    """Returns when a body, on whatever thread, has set the event."""
    async with asyncio.timeout(15):
        while not event.is_set():
            await asyncio.sleep(0.002)


async def journal(client: Client, handle: ExecutionHandle) -> list[tuple[str, str]]:
    return [(e.key, e.outcome.value) for e in await client.journal(handle)]


async def value(client: Client, handle: ExecutionHandle, key: str) -> Any:
    from polos.core.codec import decode

    (found,) = [e for e in await client.journal(handle) if e.key == key]
    assert found.value is not None
    return decode(found.value)
