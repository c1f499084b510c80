"""Who waits for an execution to change, at its store. Looks at none."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from polos.store.sqlite.reader import closed


class Watchers:
    """Futures by execution id; each is done when its execution may have changed."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def watch(self, execution_id: str, is_over: bool) -> asyncio.Future[None]:
        """Returns a future; `is_over`: the store is closed, and it is refused at once."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if is_over:
            _refuse(future)
            return future
        self._waiting[execution_id].add(future)
        future.add_done_callback(lambda done: self._forget(execution_id, done))
        return future

    def _forget(self, execution_id: str, done: asyncio.Future[None]) -> None:
        watching = self._waiting.get(execution_id)
        if watching is not None:
            watching.discard(done)
            if not watching:
                del self._waiting[execution_id]

    def tell(self, execution_id: str) -> None:
        """An execution has changed."""
        for waiting in self._waiting.pop(execution_id, ()):
            _done(waiting)

    def wake(self) -> None:
        """Lets everybody look again: the store is about to move to another process."""
        for waiting in self._all():
            _done(waiting)

    def refuse(self) -> None:
        """The store is closed: nobody was cancelled, an execution's end is only not told here."""
        for waiting in self._all():
            _refuse(waiting)

    def _all(self) -> list[asyncio.Future[None]]:
        return [future for futures in self._waiting.values() for future in futures]


def _done(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _refuse(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_exception(closed())
        waiting.exception()  # retrieved: whoever had waited may have gone
