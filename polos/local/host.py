"""An engine with its worker on one loop: owns the database or attaches to its owner. Takes no calls itself."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

from polos.authoring.registry import Registry
from polos.client.inside import LoopAccess, forget_local, publish_local
from polos.clock import SystemClock, SystemRng, TimeOrderedIds
from polos.errors import StoreUnavailable
from polos.local.continuing import ContinuingStore
from polos.settings import DEFAULT_LEASE_SECONDS, database_path
from polos.worker.capture import Capture
from polos.worker.identity import code_identity
from polos.worker.loop import route
from polos.worker.worker import LocalWorker

log = logging.getLogger(__name__)


def _warn(text: str) -> None:
    """Shows a warning where nobody else takes it: to the program's logging if it has any, else on stderr."""
    if log.hasHandlers():
        log.warning("%s", text)
    elif sys.__stderr__ is not None:
        print(f"polos: {text}", file=sys.__stderr__)


class Host:
    """Runs on the loop on which `start` is called, until `stop`.

    Args:
        is_heir: another owner of the database is asked to let it go.
        may_own: False: it attaches to an owner, and waits for one.
        is_checked: the code was checked against all unfinished executions, see `WorkerInfo`.
        echo: what workflows print is also printed; `labels_lines`: with whose it is before each line.
    """

    def __init__(
        self,
        url: str,
        registry: Registry,
        *,
        durability: Literal["full", "relaxed"] = "full",
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        is_heir: bool = False,
        may_own: bool = True,
        is_checked: bool = False,
        max_concurrent_workflows: int = 100,
        max_hot: int = 10_000,
        project: str = "",
        project_root: Path | None = None,
        complete: bool = False,
        echo: bool = True,
        labels_lines: bool = False,
        on_warning: Callable[[str], None] | None = None,
    ) -> None:
        self.url = url
        self._registry = registry
        self._durability = durability
        self._lease_seconds = lease_seconds
        self._is_heir, self._may_own, self._is_checked = is_heir, may_own, is_checked
        self._max_concurrent, self._max_hot = max_concurrent_workflows, max_hot
        self._project, self._complete, self._project_root = project, complete, project_root
        self._capture = Capture(echo, labels_lines)
        self._on_warning = on_warning or _warn
        self._tasks: list[asyncio.Task[None]] = []
        self.fault: asyncio.Future[BaseException] | None = None
        self.store: ContinuingStore | None = None
        self.worker: LocalWorker | None = None
        self.access: LoopAccess | None = None

    @property
    def path(self) -> Path:
        """The database file."""
        return database_path(self.url)

    async def start(self) -> None:
        """Owns the database, or attaches to the process that does.

        Raises:
            DatabaseInUse, StoreUnavailable, WireVersionMismatch: the database cannot be had.
        """
        loop = asyncio.get_running_loop()
        route(loop)
        self.fault = loop.create_future()
        clock = SystemClock()
        self.store = store = ContinuingStore(
            self.url, clock, durability=self._durability, lease_seconds=self._lease_seconds, is_heir=self._is_heir,
            on_fault=self._failed, may_own=self._may_own,
        )  # fmt: skip
        try:
            await store.open()
            self.worker = LocalWorker(
                store, self._registry, clock=clock, ids=TimeOrderedIds(), rng=SystemRng(), project=self._project,
                complete=self._complete, max_concurrent=self._max_concurrent, max_hot=self._max_hot, on_fault=self._failed,
                on_warning=self._on_warning, code=code_identity(self._registry, self._project_root),
                is_checked=self._is_checked,
            )  # fmt: skip
        except BaseException:  # a cancel, too: nothing stays half open
            await store.close()
            raise
        self.access = LoopAccess(store, loop)
        publish_local(self.path, self.access)
        self._capture.install()

    @property
    def owns(self) -> bool:
        """True while this process owns the database."""
        return self.store is not None and self.store.owner is not None

    @property
    def taken_over(self) -> int:
        """How many executions of dead workers this owner took over."""
        return 0 if self.store is None or self.store.owner is None else self.store.owner.taken_over

    async def begin(self, roots: set[str] | None = None) -> None:
        """Lets the worker claim, and returns once it is known; `roots`: only the trees of these executions.

        Raises:
            UsageError: what it declares is refused.
        """
        assert self.worker is not None and self.store is not None, "the host is started first"
        self.worker.roots = roots
        self.store.attachment.worker = self.worker
        working = self._serve("worker", self.worker.work())
        known = asyncio.ensure_future(self.worker.introduced.wait())
        try:
            await asyncio.wait({working, known}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            known.cancel()
        if working.done() and not working.cancelled():
            working.result()

    def _serve(self, name: str, service: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(service, name=f"polos-{name}")
        task.add_done_callback(self._service_ended)
        self._tasks.append(task)
        return task

    def _service_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failed(task.exception() or StoreUnavailable("a service of the engine ended"))

    def _failed(self, error: BaseException) -> None:
        if self.fault is not None and not self.fault.done():
            self.fault.set_result(error)

    async def stop(self, grace: float = 10.0, on_idle: Callable[[], None] = lambda: None) -> None:
        """Lets running bodies finish for `grace` seconds, gives everything back, and lets the database go.

        Args:
            on_idle: called once nothing more is claimed.
        """
        if self.access is not None:
            forget_local(self.path, self.access)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        on_idle()
        if self.worker is not None:
            await self.worker.stop(grace)
            self.worker.pool.close()
        self._capture.remove()
        if self.access is not None:
            self.access.end()
        if self.store is not None:
            await self.store.close()
