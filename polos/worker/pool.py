"""A bounded pool of daemon threads for synchronous step bodies (S2.7). A thread that cannot be stopped keeps its place."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any


class BodyPool:
    """Runs callables on daemon threads, at most `size` at once; more wait their turn.

    ``concurrent.futures`` joins its threads at exit, so a hanging body would hang the process; these do not.
    """

    def __init__(self, size: int = 32) -> None:
        self.size = size
        self._work: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads = 0
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._stuck = 0
        self._closed = False
        self._started: set[asyncio.Future[Any]] = set()

    @property
    def is_full_of_stuck(self) -> bool:
        """True when every thread is held by a body whose attempt is over."""
        return self._stuck >= self.size

    @property
    def is_busy(self) -> bool:
        """True while a thread runs a body."""
        return bool(self._started)

    def submit(self, loop: asyncio.AbstractEventLoop, call: Callable[[], Any]) -> asyncio.Future[Any]:
        """Returns a future of `call`'s result; cancelling it drops the result, not the thread."""
        if self._closed:
            raise RuntimeError("the engine was stopped")
        future: asyncio.Future[Any] = loop.create_future()
        self._work.put((future, call))
        if not self._idle.acquire(blocking=False):
            with self._lock:
                if self._threads < self.size:
                    self._threads += 1
                    threading.Thread(target=self._serve, name="polos-body", daemon=True).start()
        return future

    def _serve(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return  # the pool was closed
            future, call = work
            result: Any = None
            error: BaseException | None = None
            try:
                with self._lock:
                    runs = not future.cancelled()
                    if runs:
                        self._started.add(future)
                if runs:
                    result = call()
            except BaseException as raised:  # whatever the body raises is its outcome; the thread goes on
                error = raised
            with self._lock:
                self._started.discard(future)
            try:
                future.get_loop().call_soon_threadsafe(_settle, self, future, result, error)
            except RuntimeError:
                return  # the loop is closed: the process is ending
            self._idle.release()
            del work, future, call, result, error

    def attempt_over(self, future: asyncio.Future[Any]) -> None:
        """Notes that nobody waits for this body any more: its thread counts against the pool until it returns.

        One that still waits for a thread is not run at all.
        """
        with self._lock:
            if future not in self._started and not future.done():
                future.cancel()
        if not future.done():
            self._stuck += 1
            future.add_done_callback(self._came_back)
            future.polos_dropped = True  # type: ignore[attr-defined]  # a mark for _settle

    def close(self) -> None:
        """Lets every thread go: the idle ones at once, the others when their body returns. Waits for none."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._work.put(None)

    def _came_back(self, _future: asyncio.Future[Any]) -> None:
        self._stuck -= 1


def _settle(pool: BodyPool, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):
        future.set_exception(RuntimeError(f"the body raised {error!r}"))
    else:
        future.set_exception(error)
        if getattr(future, "polos_dropped", False):
            future.exception()  # retrieved: nobody waits for it
