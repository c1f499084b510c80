"""`Polos`: client and worker in one, for scripts and tests. The engine itself is the host's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal, TypeVar

from polos.authoring.registry import REGISTRY, Registry
from polos.authoring.workflow import Workflow
from polos.client.client import Client, PolosClient
from polos.client.connect import Access
from polos.errors import NoEngine, UsageError
from polos.local.host import Host
from polos.settings import Settings

T = TypeVar("T")


class Polos(Client):
    """Runs workflows in this process and starts them.

    Args:
        database: a url such as ``sqlite:///path``; by default the nearest project's, else ``./.polos/``.
        workflows: what to run; by default every workflow declared in this process.
        durability: ``full`` (an acknowledged write survives power loss) or ``relaxed`` (a crash of the process).
        max_concurrent_workflows: how many run at once; waiting ones do not count.
        max_hot: how many waiting ones stay in memory; the rest are replayed when they wake.
        run_on: ``thread``: an event loop and thread of its own; ``caller``: the loop that enters it.
        echo: captured output is also printed.
        begin: works at once; otherwise from `begin` on.
        complete: what it runs is all of its project: schedules and triggers follow it (S7.3).
        takes_ownership: a process that owns the database is asked to let it go, and goes on as a guest.
    """

    def __init__(
        self,
        database: str | None = None,
        *,
        workflows: Iterable[Workflow] | None = None,
        durability: Literal["full", "relaxed"] | None = None,
        max_concurrent_workflows: int = 100,
        max_hot: int = 10_000,
        run_on: Literal["thread", "caller"] = "thread",
        echo: bool = True,
        begin: bool = True,
        on_warning: Callable[[str], None] | None = None,
        complete: bool = False,
        takes_ownership: bool = False,
    ) -> None:
        self._database = database
        self._registry = REGISTRY if workflows is None else Registry(workflows)
        self._durability = durability
        self._run_on = run_on
        self._options: dict[str, Any] = {
            "max_concurrent_workflows": max_concurrent_workflows, "max_hot": max_hot, "echo": echo,
            "on_warning": on_warning, "complete": complete, "is_heir": takes_ownership,
        }  # fmt: skip
        self._begins = begin
        self._host: Host | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def _access(self) -> Access:
        if self._host is None or self._host.access is None:
            raise NoEngine("this Polos is not running", hint="use it inside `async with Polos() as polos:`")
        return self._host.access

    def _origin(self) -> str | None:
        return self._host.worker.id if self._host is not None and self._host.worker is not None else None

    def _known(self, workflow_id: str) -> Workflow | None:
        return self._registry.get(workflow_id)

    def _check_engine(self) -> None:
        fault = self._host.fault if self._host is not None else None
        if fault is not None and fault.done() and not fault.cancelled():
            raise fault.result()

    @property
    def host(self) -> Host:
        """The engine; only while running."""
        if self._host is None:
            raise NoEngine("this Polos is not running", hint="use it inside `async with Polos() as polos:`")
        return self._host

    async def __aenter__(self) -> Polos:
        url, durability, settings = self._settings()
        self._load_if_empty()
        host = Host(
            url, self._registry, durability=durability, project=settings.name, project_root=settings.project_root,
            lease_seconds=settings.lease_seconds,
            **self._options,
        )  # fmt: skip
        if self._run_on == "thread":
            self._start_thread()
        else:
            self._loop = asyncio.get_running_loop()
        try:
            await self._there(host.start())
        except BaseException:  # a cancel, too: nothing stays half open
            self._stop_thread()
            raise
        self._host = host
        if self._begins:
            await self.begin()
        return self

    async def begin(self, roots: set[str] | None = None) -> None:
        """Starts to work; `roots`: only on the trees of these executions (by id)."""
        await self._there(self.host.begin(roots))

    async def __aexit__(self, *error: object) -> None:
        host, self._host = self._host, None
        try:
            if host is not None:
                await self._there(host.stop())
        except asyncio.CancelledError:  # asked a second time: at once
            if host is not None:
                await self._there(host.stop(grace=0))
            raise
        finally:
            self._stop_thread()

    async def serve(self) -> None:
        """Runs until it is stopped (Ctrl-C, a cancel), or until the engine fails. Starts itself when needed.

        Raises:
            StoreUnavailable: the database failed.
        """
        if self._host is None:
            async with self:
                await self.serve()
            return
        fault = self._host.fault
        assert fault is not None

        async def failed() -> BaseException:
            return await asyncio.shield(fault)

        raise await self._there(failed())

    def _settings(self) -> tuple[str, Literal["full", "relaxed"], Settings]:
        from pathlib import Path

        from polos.settings import load_settings, make_project

        settings = load_settings()
        if self._database is not None:
            return self._database, self._durability or settings.durability, settings
        if settings.project_root is None:
            settings = make_project(Path.cwd())
        return settings.database, self._durability or settings.durability, settings

    def _load_if_empty(self) -> None:
        """With no workflow declared in this process, the project's are run."""
        if self._registry is REGISTRY and not len(REGISTRY):
            from polos.local.project import load_project
            from polos.settings import load_settings
            from polos.worker.loader import files_of

            settings = load_settings()
            root = settings.project_root
            if root is not None and any(files_of(root, module) for module in settings.modules):
                load_project(settings)

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────

    def _start_thread(self) -> None:
        ready = threading.Event()

        def run() -> None:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                self._loop.call_soon(ready.set)
                self._loop.run_forever()

        self._thread = threading.Thread(target=run, name="polos", daemon=True)
        self._thread.start()
        ready.wait()

    def _stop_thread(self) -> None:
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
            self._thread = None

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        if asyncio.get_running_loop() is self._loop:
            return await coroutine
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))


class Worker:
    """The part that only works: runs a client's database's workflows until it is stopped."""

    def __init__(
        self,
        client: Client | None = None,
        workflows: Iterable[Workflow] | None = None,
        max_concurrent_workflows: int = 100,
    ) -> None:
        durability: Literal["full", "relaxed"] | None = None
        if isinstance(client, Polos):
            if client._host is not None:
                raise UsageError("this Polos is running, so it works already", hint="await polos.serve()")
            url, durability = client._database, client._durability
            if workflows is None and client._registry is not REGISTRY:
                workflows = client._registry
        elif client is None or isinstance(client, PolosClient):
            url = client._url if client is not None else None
        else:
            raise UsageError(f"a worker takes a PolosClient or a Polos, not {client!r}")
        self._polos = Polos(
            url, workflows=workflows, durability=durability, max_concurrent_workflows=max_concurrent_workflows,
            run_on="caller",
        )  # fmt: skip

    async def run(self) -> None:
        """Works until cancelled."""
        await self._polos.serve()
