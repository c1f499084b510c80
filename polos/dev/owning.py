"""How the dev server comes to own its database: whoever has it is asked to let it go. Serves nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from polos.clock import Clock
from polos.errors import DatabaseInUse, OwnerLost
from polos.local.attachment import ask_to_yield
from polos.local.owner import Owner
from polos.settings import Settings, database_path
from polos.store import owner_of

WITHIN = 15.0
"""Seconds after which an owner that does not let go is left alone."""


async def own(owner: Owner, settings: Settings, clock: Clock) -> None:
    """Opens `owner`, once the process that owns the database has let it go.

    Raises:
        DatabaseInUse: it does not.
        StoreUnavailable: the database cannot be used.
    """
    path = database_path(settings.database)
    until = clock.monotonic() + WITHIN
    while True:
        try:
            await owner.open(frozenset())
            return
        except DatabaseInUse as error:
            if clock.monotonic() > until or not error.pid:
                raise
        holder = owner_of(path)
        if holder is not None and "socket" in holder:
            try:
                await ask_to_yield(Path(holder["socket"]))
            except OwnerLost:
                pass  # it goes, or has gone: tried again
        await asyncio.sleep(0.02)
