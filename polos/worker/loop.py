"""Routes the callbacks of each execution to a queue of its own, on whatever asyncio loop (S1.6, S1.11).

That makes *at rest* exact: an execution rests when its queue is empty, whatever else the loop is doing. The
loop stays the host, so sockets, subprocesses and threads work in workflow code. Decides no delivery: asks the run.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from zlib import crc32

if TYPE_CHECKING:
    from polos.worker.request import Request

T = TypeVar("T")

SPIN_LIMIT = 2_000
"""Callbacks since the last delivery after which spinning counts as rest. Part of the journal's meaning."""
_BURST = 500

_dropped: set[weakref.ref[asyncio.Task[Any]]] = set()
"""Tasks that were dropped with their run and are still referred to: while there is none, nothing is looked for."""

CURRENT: contextvars.ContextVar[Run | None] = contextvars.ContextVar("polos_run", default=None)


class RunOwner(Protocol):
    """Who decides what happens when a run is at rest."""

    def deliver_next(self) -> bool:
        """Delivers one outcome if there is one to deliver; called at rest only."""
        ...

    def has_open_requests(self) -> bool: ...
    def timer_requested(self, timer: RecordedTimer, delay: float) -> None: ...
    def timer_cancelled(self, timer: RecordedTimer) -> None: ...
    def foreign_wake(self, handle: asyncio.Handle) -> None: ...


class RecordedTimer(asyncio.TimerHandle):
    """A timer that asyncio made for workflow code: recorded when it fires, silent when it is cancelled."""

    def __init__(self, run: Run, when: float, callback: Callable[..., object], args: Any, context: Any) -> None:
        super().__init__(when, callback, args, run.loop, context)
        self._run_of = run
        self.request: Request | None = None

    def cancel(self) -> None:
        if not self.cancelled():
            super().cancel()
            self._run_of.owner.timer_cancelled(self)


class OrderedTask(asyncio.Task[T]):
    """A task of an execution. Hashes by creation order, so that sets of tasks iterate alike on every pass."""

    def __init__(self, coro: Any, *, run: Run, loop: Any, name: str | None, context: contextvars.Context) -> None:
        run.task_count += 1
        self._order = run.seed + run.task_count
        self.context = context
        self.run = run
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._order

    def __eq__(self, other: object) -> bool:
        return self is other


class Run:
    """The queue of one execution's callbacks."""

    def __init__(self, execution_id: str, loop: asyncio.AbstractEventLoop, owner: RunOwner) -> None:
        self.loop = loop
        self.owner = owner
        self.seed = crc32(execution_id.encode()) << 20
        self.task_count = 0
        self.tasks: list[OrderedTask[Any]] = []
        self._prune_at = 64
        self.ready: deque[asyncio.Handle] = deque()
        self.scheduled = False
        self.draining = False
        self.turns = 0
        self.closed = False
        self.outside_context = contextvars.Context()  # its own: a context is entered by one thread at a time
        self._host_call_soon: Callable[..., asyncio.Handle] = route(loop)

    def outside(self, callback: Callable[..., object], *args: Any) -> None:
        """Runs a callback on the host loop, outside every execution."""
        self._host_call_soon(callback, *args, context=self.outside_context)

    def wake(self) -> None:
        """Lets the run go on soon; also called when an outcome has become durable."""
        if not self.scheduled and not self.closed:
            self.scheduled = True
            self.outside(self._drain)

    def spawn(self, coro: Coroutine[Any, Any, T], name: str, context: contextvars.Context) -> OrderedTask[T]:
        """Starts a task of this execution."""
        context.run(CURRENT.set, self)
        self.draining = True  # its first callback is no wake-up from outside
        try:
            return self.add_task(OrderedTask(coro, run=self, loop=self.loop, name=name, context=context))
        finally:
            self.draining = False

    def add_task(self, task: OrderedTask[T]) -> OrderedTask[T]:
        """Remembers a task, and forgets those that are done."""
        if len(self.tasks) >= self._prune_at:
            self.tasks = [t for t in self.tasks if not t.done()]
            self._prune_at = max(64, 2 * len(self.tasks))
        self.tasks.append(task)
        return task

    def close(self) -> None:
        """Ends the run as the end of the process would: coroutines are closed, nothing is delivered any more."""
        self.closed = True
        self.ready.clear()
        for task in self.tasks:
            if not task.done():
                _dropped.add(weakref.ref(task, _dropped.discard))
                coro = task.get_coro()
                try:
                    task.context.run(coro.close)
                except BaseException:  # whatever a `finally` raises: the process is gone for this code
                    pass
                # Not Task.cancel: nothing is to run any more, the task is only to be over (for `asyncio.run`'s end).
                asyncio.Future.cancel(task)
        self.tasks.clear()

    def append(self, handle: asyncio.Handle) -> None:
        """Takes a callback into the queue."""
        if not self.draining:
            self.owner.foreign_wake(handle)
        self.ready.append(handle)
        self.wake()

    def _drain(self) -> None:
        budget = _BURST
        ready, owner = self.ready, self.owner
        self.draining = True
        try:
            while not self.closed:
                while ready:
                    if self.turns >= SPIN_LIMIT and owner.has_open_requests():
                        if owner.deliver_next():
                            continue
                        self.scheduled = False
                        return
                    if not budget:
                        self.outside(self._drain)
                        return
                    handle = ready.popleft()
                    budget -= 1
                    self.turns += 1
                    if not handle.cancelled():
                        try:
                            handle._run()
                        except SystemExit:
                            pass  # the task that raised it carries it; user code does not end the worker
                if not owner.deliver_next():
                    self.scheduled = False
                    return
        finally:
            self.draining = False


def route(loop: asyncio.AbstractEventLoop) -> Callable[..., asyncio.Handle]:
    """Makes `loop` route callbacks of executions to their queues; returns the loop's own `call_soon`.

    The three methods are set on the instance, so that the caller's loop (``run_on="caller"``, uvloop) works
    like one of ours. Repeating it changes nothing.
    """
    known: Callable[..., asyncio.Handle] | None = getattr(loop, "_polos_call_soon", None)
    if known is not None:
        return known
    own_call_soon, own_call_at, own_create_task = loop.call_soon, loop.call_at, loop.create_task

    def run_of(context: contextvars.Context | None) -> Run | None:
        run = CURRENT.get() if context is None else context.get(CURRENT)
        return None if run is None or run.closed or run.loop is not loop else run

    def call_soon(callback: Any, *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        run = run_of(context)
        if run is None:
            if _dropped and (_is_of_dropped(callback) or (args and _is_of_dropped(args[0]))):
                return _never(callback, loop, context)
            return own_call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, loop, context)
        run.append(handle)
        return handle

    def call_at(when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        run = run_of(context)
        # asyncio's own timers only: those of other libraries stay real, and have no place in the journal.
        if run is None or not (getattr(callback, "__module__", None) or "").startswith("asyncio."):
            return own_call_at(when, callback, *args, context=context)
        timer = RecordedTimer(run, when, callback, args, context)
        run.owner.timer_requested(timer, when - loop.time())
        return timer

    def call_later(delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return call_at(loop.time() + delay, callback, *args, context=context)

    def create_task(coro: Any, *, name: str | None = None, context: Any = None, **options: Any) -> Any:
        run = CURRENT.get()
        if run is None or run.closed or run.loop is not loop:
            if context is not None:
                options["context"] = context
            return own_create_task(coro, name=name, **options)
        if context is None:
            context = contextvars.copy_context()
        elif context.get(CURRENT) is not run:
            context.run(CURRENT.set, run)
        return run.add_task(OrderedTask(coro, run=run, loop=loop, name=name, context=context))

    instance: Any = loop
    instance.call_soon = call_soon
    instance.call_at = call_at
    instance.call_later = call_later
    instance.create_task = create_task
    instance._polos_call_soon = own_call_soon
    return own_call_soon


def _is_of_dropped(subject: Any) -> bool:
    """Tells whether a callback (by its `__self__`) or its argument is a task that was dropped with its run."""
    task = subject if isinstance(subject, OrderedTask) else getattr(subject, "__self__", None)
    return isinstance(task, OrderedTask) and task.run.closed


def _never(callback: Any, loop: asyncio.AbstractEventLoop, context: contextvars.Context | None) -> asyncio.Handle:
    """Returns a handle that does not run: the code that it would wake is gone."""
    handle = asyncio.Handle(callback, (), loop, context)
    handle.cancel()
    return handle


_INTERNAL = frozenset({"asyncio.locks", "asyncio.queues", "asyncio.tasks", "asyncio.taskgroups", "asyncio.timeouts"})


def foreign_wait(task: OrderedTask[Any], request_type: type) -> str | None:
    """Returns the user's line where `task` waits on something that the journal does not record, or None."""
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None or isinstance(waiter, (request_type, asyncio.Task)):
        return None
    if type(waiter).__name__ == "_GatheringFuture" or _is_shield(waiter):
        return None
    frames = list(_await_chain(task.get_coro()))
    if not frames or frames[-1].f_globals.get("__name__") in _INTERNAL:
        return None
    return user_line(task)


def _is_shield(waiter: Any) -> bool:
    """Tells whether a future is the outer one of `asyncio.shield`, which waits on an inner task."""
    callbacks = getattr(waiter, "_callbacks", None) or ()
    return any(getattr(entry[0], "__qualname__", "").startswith("shield.") for entry in callbacks)


def user_line(task: asyncio.Task[Any]) -> str:
    """Returns ``file:line`` of the innermost frame of a suspended task that is neither asyncio's nor ours."""
    line = ""
    for frame in _await_chain(task.get_coro()):
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith(("asyncio.", "polos.")):
            line = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return line


def _await_chain(coro: Any) -> Generator[Any, None, None]:
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        if frame is None:
            return
        yield frame
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None)
