"""The dev server: owns the database, brings up a generation of the code for each save, and tells what happens.

Never imports user code, so that no failure of it stops a timer, a schedule or a command (R3). Prints nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from polos.clock import SystemClock
from polos.dev.api import Api
from polos.dev.beside import blocked_otherwise, others_of
from polos.dev.failures import Failures
from polos.dev.following import Follower
from polos.dev.generation import Check, Child, ChildDied, Generation, RefusedCode, how_it_ended
from polos.dev.happenings import Checked, Died, Happening, Live, Refused, Standing, Told, Warned
from polos.dev.leaving import GRACE, Leaving
from polos.dev.owning import own
from polos.dev.pauses import Pauses
from polos.dev.spares import Spares
from polos.dev.watch import Sources, saves
from polos.local.owner import Owner
from polos.ports import Store
from polos.settings import Settings, database_path

ENDED = frozenset({"completed", "failed", "cancelled"})


class Supervisor:
    """Serves on the loop that starts it, from `open` to `close`.

    Args:
        tell: hears what happens, in order.
        workers: how many processes run each generation.
        listening: a socket for the HTTP API.
        retries_on_save: executions without a parent that failed in this session are retried when new code runs.
    """

    def __init__(
        self, settings: Settings, root: Path, tell: Callable[[Happening], None], *, with_schedules: bool = True,
        retries_on_save: bool = True, workers: int = 1, concurrency: int = 100, reloads: bool = True,
        listening: socket.socket | None = None,
    ) -> None:  # fmt: skip
        self.settings, self.root = settings, root
        self._tell_outside = tell
        self._workers = workers
        self._retries, self._reloads = retries_on_save, reloads
        self.clock = SystemClock()
        self.sources = Sources(root, settings.env_file, self.clock)
        self._owner = Owner(
            settings.database, self.clock, durability=settings.durability, lease_seconds=settings.lease_seconds,
            on_yield=lambda: None, on_fault=self._failed, with_schedules=with_schedules, facts={"keeps": True},
        )  # fmt: skip
        self._for_child: dict[str, Any] = {
            "root": str(root), "database": settings.database, "durability": settings.durability,
            "lease_seconds": settings.lease_seconds, "project": settings.name, "concurrency": concurrency,
        }  # fmt: skip
        self._api = None if listening is None else Api(settings, listening)
        self._failures = Failures()
        self._spares = Spares(workers if reloads else 0, self._warn)
        self._serving: Generation | None = None
        self._leaving = Leaving(self._tell, self._failed)
        self._coming: Generation | None = None
        self._is_past_return = False
        self._numbers = 0
        self._told_by_check: dict[tuple[str, int], str] = {}
        """Events of executions of which the line on the check says it all."""
        self._wanted = asyncio.Event()
        self._is_open = asyncio.Event()
        self._files: tuple[str, ...] = ()
        self._since = self.clock.monotonic()
        self._pauses = Pauses()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.fault: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    # ── the start ────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> Standing:
        """Takes the database, and begins to bring up the code.

        Raises:
            DatabaseInUse: another dev server has it, or a process that does not let it go.
            StoreUnavailable: it cannot be used.
        """
        if self._reloads:
            # Before anything is imported: what is saved from then on counts.
            await asyncio.to_thread(self.sources.remember)
        self._wanted.set()
        self._follow(self._keep_reloading())  # the import of the code takes longest, and needs no database
        try:
            await own(self._owner, self.settings, self.clock)
        except BaseException:  # a cancel, too: nothing stays half open
            await self._stop_tasks()
            raise
        self._is_open.set()
        counts = {status.value: count for status, count in (await self.store.counts()).items() if count}
        self._follow(Follower(self.store, self._told).follow())
        if self._reloads:
            self._follow(self._watch())
        if self._api is not None:
            self._api.announce()
            self._follow(self._api.serve(self.store, self.clock))
        return Standing(
            project=self.settings.name, database=str(database_path(self.settings.database)),
            durability=self.settings.durability,
            url=None if self._api is None else self._api.url,
            taken_over=self._owner.taken_over,
            counts={name: count for name, count in counts.items() if name not in ENDED},
        )  # fmt: skip

    @property
    def store(self) -> Store:
        """The store; only while open."""
        return self._owner.store

    @property
    def fires_schedules(self) -> bool:
        """False while schedules are paused."""
        return self._owner.with_schedules

    def pause_schedules(self, paused: bool) -> None:
        """Fires no schedule any more, or does again."""
        self._owner.fire_schedules(not paused)

    def reload(self) -> None:
        """Brings up a generation now, whatever was saved, in new processes: also packages may have changed."""
        self._follow(self._reload())

    async def _reload(self) -> None:
        await self._spares.drop()
        self._saved([])

    def _follow(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        if not self.fault.done():
            self.fault.set_result(error)

    def _tell(self, happening: Happening) -> None:
        if not self._closing:
            self._tell_outside(happening)

    def _warn(self, text: str) -> None:
        self._tell(Warned(text=text))

    # ── generations ──────────────────────────────────────────────────────────────────────────────────

    async def _watch(self) -> None:
        async for files in saves(self.sources):
            self._saved(files)

    def _saved(self, files: list[Path]) -> None:
        names = [str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path) for path in files]
        self._files = tuple(dict.fromkeys((*self._files, *names)))
        if not self._wanted.is_set():
            self._since = self.clock.monotonic()
        self._pauses.begin_anew()
        self._wanted.set()

    async def _keep_reloading(self) -> None:
        """Brings up the newest code; whatever was coming up when more was saved is dropped."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            coming = asyncio.create_task(self._bring_up())
            wanted = asyncio.create_task(self._wanted.wait())
            try:
                await asyncio.wait({coming, wanted}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done() and not self._is_past_return:
                    coming.cancel()
                await asyncio.wait({coming})
            except asyncio.CancelledError:
                coming.cancel()
                await asyncio.wait({coming})
                raise
            finally:
                wanted.cancel()
            if not coming.cancelled():
                coming.result()
                if not self._wanted.is_set():
                    self._follow(self._spares.fill())

    async def _bring_up(self) -> None:
        self._numbers += 1
        new = self._coming = Generation(self._numbers, self._for_child, self._workers, self._warn, self._spares.take)
        files, self._files = self._files, ()
        try:
            await new.load()
            await self._is_open.wait()
            check = await self._checked(new)
            self._is_past_return = True
            await self._switch(new, check, files)
        except RefusedCode as error:
            self._refused(files, error.message, error.hint, error.traceback_text)
        except ChildDied as error:
            self._refused(files, f"the process {error} while it imported your modules", "", "")
            if self._serving is not None and not self._serving.is_alive:
                self._follow(self._again(self._pauses.after(0.0)))
        except TimeoutError:
            self._refused(
                files, "the import of your modules does not end",
                "does a module wait for something when it is imported?", "",
            )  # fmt: skip
        except asyncio.CancelledError:  # more was saved: the next one has these files, too
            self._files = tuple(dict.fromkeys((*files, *self._files)))
            raise
        finally:
            self._is_past_return = False
            self._coming = None
            if not new.is_working:
                await asyncio.shield(asyncio.ensure_future(new.kill()))

    async def _checked(self, new: Generation) -> Check:
        try:
            return await new.check()
        except (TimeoutError, ChildDied) as error:
            how = str(error) or "its loop stood still"
            self._warn(f"the check of unfinished executions did not end ({how}); each is checked when it wakes")
            await new.kill()
            new.children.clear()
            manifest = await new.load()
            return Check(checked=Checked(), hold=[], release=await blocked_otherwise(self.store, manifest))

    async def _switch(self, new: Generation, check: Check, files: tuple[str, ...]) -> None:
        assert new.manifest is not None
        await new.work(self._died)  # what it declares may be refused: then the old one serves on, with all that fits it
        old, self._serving = self._serving, new
        if dead := [child for child in new.children if child.has_died]:
            self._died(dead[0])  # before it served
        if old is not None:
            await self._leaving.let_go(old)  # what is woken now is for the new code
        self._told_by_check = {("workflow_blocked", number): id_ for number, id_, _ in check.hold}
        self._told_by_check |= {
            ("workflow_unblocked", n): id_ for n, id_ in check.release if n in check.checked.released
        }
        done = await self.store.hold([(id_, reason) for _, id_, reason in check.hold], new.manifest.code)
        done += await self.store.release([id_ for _, id_ in check.release])
        self._told_by_check = {mark: id_ for mark, id_ in self._told_by_check.items() if id_ in done}
        names = new.manifest.names if files and self._retries else ()
        retried = await self._failures.retry(self.store, names, self._warn) if names else ()
        took = round((self.clock.monotonic() - self._since) * 1000)
        self._tell(
            Live(generation=new.number, manifest=new.manifest, checked=check.checked, took_ms=took, files=files,
                 retried=retried)
        )  # fmt: skip
        for pid in await others_of(self.store, self.settings.name, self.pids, new.manifest):
            self._warn(f"process {pid} works for this project, too, with other code: a part of what comes runs there")

    def _refused(self, files: tuple[str, ...], message: str, hint: str, traceback_text: str) -> None:
        manifest = self._serving.manifest if self._serving and self._serving.is_alive else None
        self._tell(
            Refused(message=message, hint=hint, traceback_text=traceback_text, files=files,
                    serving=manifest.code if manifest else None)
        )  # fmt: skip

    # ── deaths ───────────────────────────────────────────────────────────────────────────────────────

    def _died(self, child: Child) -> None:
        if self._closing or self._serving is None or child not in self._serving.children:
            return
        pause = self._pauses.after(self.clock.monotonic() - self._since)
        self._tell(Died(pid=child.process.pid, how=how_it_ended(child.process.returncode), again_in=pause))
        self._follow(self._again(pause))

    async def _again(self, pause: float) -> None:
        """Starts a whole generation anew: what lies on the disk may be other code by now."""
        old = self._serving
        await asyncio.sleep(pause)
        if self._serving is old and not self._wanted.is_set():
            self._since = self.clock.monotonic()
            self._wanted.set()

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────

    def _told(self, told: Told) -> None:
        self._failures.heard(told)
        mark = (told.event.type or "", told.execution or 0)
        if mark in self._told_by_check:
            del self._told_by_check[mark]
            return
        if self._api is not None and self._api.has_link(told):
            self._follow(self._api.tell_with_link(told, self._tell))
            return
        self._tell(told)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────

    async def close(self, grace: float = GRACE) -> None:
        """Lets running bodies finish for `grace` seconds, ends every process, and lets the database go."""
        self._closing = True
        leaving = list(self._leaving)
        await self._stop_tasks()
        if self._serving is not None:
            leaving.append(self._serving)
        try:
            own = [one.leave(grace) for one in leaving if one is self._serving]
            await asyncio.gather(*own, self._leaving.gone())
        finally:
            for generation in leaving:
                generation.kill_now()
            await self._spares.drop()
            if self._api is not None:
                await self._api.close()
            await self._owner.close()

    async def _stop_tasks(self) -> None:
        """Ends all that this does by itself."""
        stopping = list(self._tasks)
        for task in stopping:
            task.cancel()
        await asyncio.gather(*stopping, return_exceptions=True)

    def hurry(self) -> None:
        """Ends the grace of whatever is still running."""
        self._leaving.hurry()
        if self._serving is not None:
            self._serving.hurry()

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes that run user code now."""
        every = [*self._leaving, *(one for one in (self._serving, self._coming) if one is not None)]
        return [child.process.pid for one in every for child in one.children if child.process.returncode is None]
