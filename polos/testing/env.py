"""`PolosEnv`: what a test drives. The engine itself runs on a thread of its own, and stands still between the commands."""

from __future__ import annotations

import asyncio
import concurrent.futures
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from polos.authoring.payload import instant, microseconds
from polos.authoring.registry import REGISTRY, Registry
from polos.authoring.workflow import Workflow
from polos.client.client import Client
from polos.client.connect import Access
from polos.client.drive import ExecutionRef
from polos.core.durations import SECOND, to_microseconds
from polos.core.model import Published
from polos.core.status import TERMINAL, Status
from polos.errors import PolosError, Stuck, UsageError
from polos.testing.engine import Engine
from polos.testing.executions import TestedExecution
from polos.testing.faults import Faults, Mock
from polos.testing.looks import Looks
from polos.testing.loop import VirtualClock, VirtualLoop
from polos.worker.identity import code_identity

T = TypeVar("T")
START = datetime.fromisoformat("2030-01-01T00:00:00+00:00")
PATIENCE = 60.0
"""Real seconds for one command: beyond, a body hangs."""


class _EnvClient(Client):
    """The client of an environment's own loop."""

    def __init__(self, env: PolosEnv) -> None:
        self._env = env

    def _access(self) -> Access:
        return self._env.engine.access

    def _known(self, workflow_id: str) -> Workflow | None:
        return self._env.workflow(workflow_id)


class PolosEnv(Looks):
    """An engine for tests, on a temporary database, with a clock that jumps. Use it as a context manager.

    Args:
        workflows: what it runs; by default every workflow that is declared in this process.
        start: the instant at which its clock begins (naive: UTC).
        folder: where the database is made; by default a temporary folder of its own.
        faults: what stands between steps and their bodies; by default what `mock_step` and `crash_at` ask for.
    """

    def __init__(
        self, workflows: Iterable[Workflow] | None = None, *, start: datetime = START, folder: Path | None = None,
        faults: Faults | None = None,
    ) -> None:  # fmt: skip
        self._registry = REGISTRY if workflows is None else Registry(workflows)
        self._own_folder = None if folder is not None else Path(tempfile.mkdtemp(prefix="polos-test-"))
        self._path = (folder or self._own_folder or Path()) / "polos.db"
        self._start = microseconds(start)
        self._loop = VirtualLoop()
        self._clock = VirtualClock(self._loop, self._start)
        self._thread = threading.Thread(target=self._serve, name="polos-test", daemon=True)
        self._thread.start()
        self._introduced: set[str] = set()
        self.warnings: list[str] = []
        self.engine = Engine(self._path, self._loop, self._clock, self._registry, self._code, self.warnings.append)
        if faults is not None:
            self.engine.faults = faults
        self.client = _EnvClient(self)
        self._closed = False
        self._do(self.engine.start())

    def _code(self) -> str:
        self._introduced = {one.id for one in self._registry}
        return code_identity(self._registry)

    # ── starting ─────────────────────────────────────────────────────────────────────────────────────

    def run(self, workflow: Workflow | str, payload: Any = None, **options: Any) -> Any:
        """Starts a workflow, lets time pass until it ends, and returns its result. Schedules do not fire meanwhile.

        Raises:
            ExecutionFailed, ExecutionCancelled: it ended so.
            Stuck: it waits for something that will not come by itself; says for what.
        """
        started = self.start(workflow, payload, **options)
        return self.finish(started)

    def start(self, workflow: Workflow | str, payload: Any = None, **options: Any) -> TestedExecution:
        """Starts a workflow and lets it go on until it rests; no time passes. `options` as of `Workflow.invoke`."""
        return self._do(self._started(workflow, payload, options))

    async def _started(self, workflow: Workflow | str, payload: Any, options: dict[str, Any]) -> TestedExecution:
        await self._introduce()
        handle = await self.client.invoke(workflow, payload, **options)
        await self._settle()
        return TestedExecution(self, handle.id, handle.number, handle.workflow_id)

    def finish(self, execution: TestedExecution) -> Any:
        """Lets time pass until an execution ends, and returns its result; raises as `run` does."""
        self._do(self._finished(execution.id))
        return execution.result

    async def _finished(self, id_: str) -> None:
        await self._introduce()
        self._loop.horizon = float("inf")
        try:
            while True:
                changed = asyncio.ensure_future(self.engine.store.changed(id_))
                rest = self._loop.rest()
                found = await self._record(id_)
                if found.status in TERMINAL or found.status is Status.BLOCKED:
                    break
                await asyncio.wait({changed, rest}, return_when=asyncio.FIRST_COMPLETED)
                is_stuck = rest.done() and not changed.done()
                changed.cancel()
                self._check()
                if is_stuck and (await self._record(id_)).status not in TERMINAL:
                    raise await self._stuck(id_)
        finally:
            self._loop.horizon = None
        changed.cancel()
        await self._settle()

    async def _stuck(self, id_: str) -> Stuck:
        found = await self._record(id_)
        explained = await self._explained(id_)
        details = "".join(f"\n  {line}" for line in explained.details)
        return Stuck(
            f"execution {found.number} of {found.workflow_id!r} does not go on by itself: {explained.headline}{details}",
            hint="start it with env.start, then send what it waits for: env.publish, env.resume",
        )

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def now(self) -> datetime:
        """The virtual time, aware, UTC."""
        return instant(self._clock.now())

    def advance(
        self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0, weeks: float = 0,
        to: datetime | None = None, schedules: bool = True,
    ) -> None:  # fmt: skip
        """Lets so much time pass: timers and schedules fire, retries are made, each at its instant.

        `schedules`: False, and the clock starts no executions.

        Raises:
            UsageError: no time, or one that is past.
        """
        if to is not None:
            span = microseconds(to) - self._clock.now()
        else:
            try:
                span = to_microseconds(seconds, minutes, hours, days, weeks)
            except ValueError as error:
                raise UsageError(f"env.advance: {error}") from None
        if span < 0:
            raise UsageError(f"env.advance: {to} is past; it is {self.now}")
        self._do(self._advanced(span, schedules))

    async def _advanced(self, span: int, schedules: bool) -> None:
        await self._introduce()
        end = self._loop.time() + span / SECOND
        self.engine.fire_schedules(schedules)
        try:
            self._loop.horizon = end
            await self._loop.rest()
            self._loop.jump_to(end)
            await self._settle()
        finally:
            self.engine.fire_schedules(False)
            self._loop.horizon = None

    async def _settle(self) -> None:
        """Lets everything happen that can without time passing."""
        before, self._loop.horizon = self._loop.horizon, self._loop.time()
        try:
            await self._loop.rest()
        finally:
            self._loop.horizon = before
        self._check()

    # ── from outside ─────────────────────────────────────────────────────────────────────────────────

    def publish(self, topic: str, data: Any = None, event_type: str | None = None) -> Published:
        """Publishes an event, and lets what it wakes and starts go on until that rests."""
        return self._do(self._then(lambda: self.client.publish(topic, data, event_type)))

    def resume(self, execution: TestedExecution | ExecutionRef, step_key: str, data: Any = None) -> None:
        """Answers a suspend, before or after it is reached."""
        self._do(self._then(lambda: self.client.resume(_ref(execution), step_key, data)))

    def cancel(self, execution: TestedExecution | ExecutionRef) -> None:
        """Cancels an execution and its children."""
        self._do(self._then(lambda: self.client.cancel(_ref(execution))))

    def retry(self, execution: TestedExecution | ExecutionRef) -> None:
        """Reopens an execution that has failed, was cancelled or is blocked."""
        self._do(self._then(lambda: self.client.retry(_ref(execution))))

    def call(self, call: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Calls with a client, on the engine's own loop: whatever clients can do that has no method here."""
        return self._do(self._then(lambda: call(self.client)))

    async def _then(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._introduce()
        result = await call()
        await self._settle()
        return result

    # ── mocks and crashes ────────────────────────────────────────────────────────────────────────────

    def mock_step(self, key: str, stands: Any, *, times: int | None = None) -> Mock:
        """Puts something in the place of a step's body: a value, an error that is raised, or a function.

        Args:
            key: a step's key, or a pattern with ``*``.
            times: only for so many attempts; then the mock before it, or the real body, has its turn again.

        Returns:
            The mock; `calls` counts how often it stood in.
        """
        return self.engine.faults.mock(key, stands, times)

    def crash_at(self, key: str, when: str = "before_body", *, times: int = 1) -> None:
        """Lets the process die at a step, `times` times; the execution goes on in another worker.

        Args:
            when: ``before_body``; ``after_body``: what it did is not recorded; ``after_record``: nobody has heard of it.
        """
        self.engine.faults.crash(key, when, times)

    def bodies_run(self, key: str) -> int:
        """Returns how often bodies of steps with that key have begun, over all executions: crashes repeat them."""
        return sum(1 for _, one in self.engine.faults.bodies if one == key)

    def restart(self, workflows: Iterable[Workflow] | None = None) -> None:
        """Stops the engine and starts it again on its database: everything is replayed, with other code where given."""
        self._do(self.engine.stop())
        if workflows is not None:
            self._registry = Registry(workflows)
        faults = self.engine.faults
        self.engine = Engine(self._path, self._loop, self._clock, self._registry, self._code, self.warnings.append)
        self.engine.faults.mocks, self.engine.faults.crashes = faults.mocks, faults.crashes
        self.engine.faults.bodies = faults.bodies
        self._do(self._restarted())

    async def _restarted(self) -> None:
        await self.engine.start()
        await self._settle()

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _introduce(self) -> None:
        """Workflows that were declared since the engine began are run, too."""
        if {one.id for one in self._registry} != self._introduced:
            self._introduced = {one.id for one in self._registry}
            await self.engine.introduce()

    def _check(self) -> None:
        if self.engine.broken is not None:
            raise self.engine.broken

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._closed or threading.current_thread() is self._thread:
            coroutine.close()
            raise UsageError("the environment is closed" if self._closed else "env is driven by the test, not by steps")
        self.engine.capture_again()
        sent = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return sent.result(PATIENCE)
        except concurrent.futures.TimeoutError as late:
            if sent.done():
                raise
            sent.cancel()
            raise PolosError(
                f"nothing came to rest in {PATIENCE:g} s", hint="does the body of a step hang, or wait for real IO?"
            ) from late

    def close(self) -> None:
        """Stops the engine and removes its database."""
        if self._closed:
            return
        try:
            self._do(self.engine.stop())
        finally:
            self._closed = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            if not self._loop.is_running():
                self._loop.run_until_complete(self._loop.shutdown_default_executor())
                self._loop.close()
            if self._own_folder is not None:
                shutil.rmtree(self._own_folder, ignore_errors=True)

    def __enter__(self) -> PolosEnv:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _ref(execution: TestedExecution | ExecutionRef) -> ExecutionRef:
    return execution.id if isinstance(execution, TestedExecution) else execution
