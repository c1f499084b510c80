"""Runs step bodies: attempts, timeouts, threads, retries (S2). Writes nothing itself: tells the session."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

from polos import crashpoints
from polos.authoring.current import CURRENT_STEP, StepInfo
from polos.calls import RunCall
from polos.core.failure import record
from polos.core.model import Execution, FailedAttempt, Failure, Kind, Outcome, Stored
from polos.core.ops import Record, RetryAt, StepStarted
from polos.core.retry import PARK_ABOVE
from polos.errors import PayloadTooLarge, UnserializableValue
from polos.worker.capture import SCOPE, Scope
from polos.worker.frames import is_ours
from polos.worker.loop import CURRENT
from polos.worker.pool import BodyPool

if TYPE_CHECKING:
    from polos.clock import Clock, Rng
    from polos.worker.request import Request


class BodyOwner(Protocol):
    """What bodies need of their session."""

    clock: Clock
    rng: Rng
    pool: BodyPool
    loop: asyncio.AbstractEventLoop
    deaths: int

    @property
    def execution(self) -> Execution: ...
    def write(self, op: Record | RetryAt | StepStarted, lazily: bool = False) -> None: ...
    async def written(self) -> None: ...
    def account(self, key: str, value: Stored) -> None: ...
    def body_broke(self, error: BaseException) -> None: ...
    def holds_lease(self) -> bool: ...
    def body_over(self, request: Request) -> None: ...
    def body_rests(self, request: Request) -> None: ...
    async def body_resumes(self, request: Request) -> None: ...
    def log_scope(self, key: str, attempt: int) -> Scope: ...


def is_async(fn: Callable[..., Any]) -> bool:
    """Tells whether calling `fn` gives a coroutine; looks through partials and callable objects."""
    if type(fn) is FunctionType and fn.__code__.co_flags & inspect.CO_COROUTINE:
        return True
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.iscoroutinefunction(fn):
        return True
    call = getattr(type(fn), "__call__", None)
    return not inspect.isroutine(fn) and inspect.iscoroutinefunction(call)


class Body:
    """One step's body, over all its attempts in this process."""

    def __init__(self, owner: BodyOwner, request: Request, call: RunCall, failed: int, due_at: int) -> None:
        self._owner = owner
        self._request = request
        self._call = call
        self._failed = failed
        self.due_at = due_at
        self._task: asyncio.Task[None] | None = None
        self._async = is_async(call.fn)
        self.resting = False

    def start(self) -> None:
        """Starts the next attempt, or the rest of the delay before it, on the host loop."""
        context = self._request.context
        context.run(CURRENT.set, None)
        self._task = self._owner.loop.create_task(self._all(), context=context)

    async def _all(self) -> None:
        try:
            await self._attempts()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # a mistake of ours: the body's own errors are recorded
            self._owner.body_broke(error)

    def stop(self) -> None:
        """Cancels the body; never waits for it (S1.6)."""
        if self._task is not None:
            self._task.cancel()

    async def _attempts(self) -> None:
        owner, call = self._owner, self._call
        while True:
            delay = self.due_at - owner.clock.now()
            if delay > 0:
                self.resting = delay > PARK_ABOVE
                if self.resting:
                    owner.body_rests(self._request)
                await asyncio.sleep(delay / 1_000_000)
                if self.resting:
                    await owner.body_resumes(self._request)
                self.resting = False
            if not owner.holds_lease():
                return  # the execution is about to be dropped, and goes on elsewhere
            attempt = 1 + self._failed + owner.deaths
            started_at = owner.clock.now()
            owner.write(StepStarted(key=call.key, kind=Kind.RUN, attempt=attempt, at=started_at), lazily=True)
            crashpoints.reached("body.before")
            failure, value = await self._attempt(attempt)
            crashpoints.reached("body.after")
            ended_at = owner.clock.now()
            due_at = None
            if failure is not None:
                self._failed += 1
                delay_for = call.policy.delay_after(self._failed, failure, owner.rng.random())
                due_at = None if delay_for is None else ended_at + delay_for
            if failure is not None and due_at is not None:
                self.due_at = due_at
                failed = FailedAttempt(
                    key=call.key,
                    attempt=attempt,
                    failure=failure,
                    started_at=started_at,
                    ended_at=ended_at,
                    due_at=due_at,
                )
                owner.write(
                    RetryAt(
                        failed=failed,
                        kind=Kind.RUN,
                        after=self._request.after,
                        parks=due_at - ended_at > PARK_ABOVE,
                        site=call.site,
                    )
                )
                await owner.written()  # before the delay starts, so that no crash resets the count (S2.2)
                continue
            owner.body_over(self._request)
            owner.write(
                Record(
                    key=call.key, kind=Kind.RUN, after=self._request.after, attempt=attempt, value=value,
                    outcome=Outcome.COMPLETED if failure is None else Outcome.FAILED, failure=failure,
                    site=call.site, arguments=call.arguments, started_at=started_at, ended_at=ended_at,
                )
            )  # fmt: skip
            return

    async def _attempt(self, attempt: int) -> tuple[Failure | None, Stored | None]:
        owner, call = self._owner, self._call
        CURRENT_STEP.set(StepInfo(owner.execution.id, call.key, attempt, owner.execution.lives.get(call.key, 0)))
        scope = owner.log_scope(call.key, attempt)
        SCOPE.set(scope)
        try:
            if self._async and call.timeout is None:
                result = await call.fn(*call.args, **call.kwargs)
            else:
                result = await self._invoke()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and getattr(task, "cancelling", lambda: 0)():
                raise
            return record(error, is_ours), None  # the body cancelled itself: an error like any other
        except BaseException as error:  # whatever a body raises is recorded, SystemExit included
            return record(error, is_ours), None
        finally:
            scope.flush()
        try:
            value = call.encode(result)
            owner.account(call.key, value)
            return None, value
        except UnserializableValue as error:
            return Failure(type_name="UnserializableResult", message=error.message, non_retryable=True), None
        except PayloadTooLarge as error:
            return Failure(type_name="PayloadTooLarge", message=error.message, non_retryable=True), None
        except Exception as error:  # what the value's own code raises: left here, the step would have no outcome
            said = record(error, is_ours)
            message = f"the result could not be read: {said.type_name}: {said.message}"
            return replace(said, type_name="UnserializableResult", message=message, non_retryable=True), None

    async def _invoke(self) -> Any:
        call, loop = self._call, self._owner.loop
        if call.timeout is None:
            result = await self._in_thread()
            return await result if inspect.isawaitable(result) else result
        inner = loop.create_task(self._without_timeout())
        try:
            done, _ = await asyncio.wait({inner}, timeout=call.timeout)
        except asyncio.CancelledError:
            inner.cancel()
            raise
        if not done:
            # The attempt is over whatever the body does with its cancellation (S2.7).
            inner.cancel()
            inner.add_done_callback(_retrieved)
            raise TimeoutError(f"the attempt took longer than {call.timeout:g} s")
        return inner.result()

    async def _without_timeout(self) -> Any:
        call = self._call
        if self._async:
            return await call.fn(*call.args, **call.kwargs)
        result = await self._in_thread()
        return await result if inspect.isawaitable(result) else result

    async def _in_thread(self) -> Any:
        call, pool = self._call, self._owner.pool
        context = contextvars.copy_context()
        future = pool.submit(self._owner.loop, lambda: context.run(call.fn, *call.args, **call.kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            pool.attempt_over(future)
            raise


def _retrieved(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
