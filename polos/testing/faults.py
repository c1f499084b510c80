"""What a test puts in the place of a step's body, and where it lets the process die. Runs no engine."""

from __future__ import annotations

import asyncio
import contextvars
import fnmatch
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from polos.calls import RunCall, ValueCall
from polos.core.model import Execution
from polos.core.ops import CommitAnswer, Lease, Op, Record
from polos.errors import UsageError
from polos.ports import WorkerStore
from polos.worker.body import is_async

CrashPoint = Literal["before_body", "after_body", "after_record"]
CRASH_POINTS = ("before_body", "after_body", "after_record")


@dataclass(slots=True, eq=False)
class Mock:
    """Stands for the body of steps; `left` None: each time."""

    key: str
    stands: Any
    left: int | None
    calls: int = 0


@dataclass(slots=True, eq=False)
class Crash:
    """A place where the process dies."""

    key: str
    when: CrashPoint
    left: int


def _is_of(pattern: str, key: str) -> bool:
    return pattern == key or ("*" in pattern and fnmatch.fnmatchcase(key, pattern))


class Faults:
    """The mocks and crash points of one environment. `on_crash` ends the worker as a crash would."""

    def __init__(self, on_crash: Callable[[], None]) -> None:
        self.mocks: list[Mock] = []
        self.crashes: list[Crash] = []
        self.bodies: list[tuple[int, str]] = []
        self._on_crash = on_crash

    def mock(self, key: str, stands: Any, times: int | None) -> Mock:
        """Adds a mock; the newest one of a key comes first."""
        if times is not None and times < 1:
            raise UsageError(f"times is a number from 1, not {times!r}")
        made = Mock(key, stands, times)
        self.mocks.insert(0, made)
        return made

    def crash(self, key: str, when: str, times: int) -> None:
        """Adds a crash point. Raises `UsageError`."""
        if when not in CRASH_POINTS:
            raise UsageError(f"a crash point is one of {', '.join(CRASH_POINTS)}, not {when!r}")
        self.crashes.append(Crash(key, when, times))  # type: ignore[arg-type]  # checked above

    def interpose(self, execution: Execution, call: RunCall | ValueCall) -> RunCall | ValueCall:
        """Returns the call with what the test wants in its body's place."""
        if isinstance(call, ValueCall):
            return call
        body = functools.partial(self._body, execution.number, call)
        return replace(call, fn=body, args=(), kwargs={})

    async def _body(self, number: int, call: RunCall) -> Any:
        if self._dies(call.key, "before_body"):
            await asyncio.get_running_loop().create_future()  # the process is gone
        self.bodies.append((number, call.key))
        result = await self.run_body(call)
        if self._dies(call.key, "after_body"):
            await asyncio.get_running_loop().create_future()
        return result

    async def run_body(self, call: RunCall) -> Any:
        """Runs a body, or what stands in its place."""
        found = next((one for one in self.mocks if one.left != 0 and _is_of(one.key, call.key)), None)
        return await (_run(call.fn, call.args, call.kwargs) if found is None else _stand_in(found, call))

    def _dies(self, key: str, when: CrashPoint) -> bool:
        found = next((one for one in self.crashes if one.left and one.when == when and _is_of(one.key, key)), None)
        if found is None:
            return False
        found.left -= 1
        self._on_crash()
        return True

    def dies_after(self, ops: Sequence[Op]) -> bool:
        """Tells whether the process dies once these operations are recorded."""
        return any(isinstance(op, Record) and self._dies_recorded(op.key) for op in ops)

    def _dies_recorded(self, key: str) -> bool:
        found = [one for one in self.crashes if one.left and one.when == "after_record" and _is_of(one.key, key)]
        for one in found[:1]:
            one.left -= 1
        return bool(found)

    def left(self) -> list[str]:
        """Returns the crash points that no step has come to."""
        return [f"{one.key} ({one.when})" for one in self.crashes if one.left]


async def _stand_in(mock: Mock, call: RunCall) -> Any:
    mock.calls += 1
    if mock.left is not None:
        mock.left -= 1
    stands = mock.stands
    if isinstance(stands, BaseException) or (isinstance(stands, type) and issubclass(stands, BaseException)):
        raise stands
    if callable(stands) and not isinstance(stands, type):
        return await _run(stands, call.args, call.kwargs)
    return stands


async def _run(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if is_async(fn):
        return await fn(*args, **kwargs)
    context = contextvars.copy_context()
    bound = functools.partial(context.run, functools.partial(fn, *args, **kwargs))
    result = await asyncio.get_running_loop().run_in_executor(None, bound)
    return await result if asyncio.iscoroutine(result) else result


class FaultyStore:
    """A worker's store that lets its process die between a commit and its answer."""

    def __init__(self, store: WorkerStore, faults: Faults, on_crash: Callable[[], None]) -> None:
        self._store = store
        self._faults = faults
        self._on_crash = on_crash

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, lease: Lease, number: int, ops: Sequence[Op], since: int) -> asyncio.Future[CommitAnswer]:
        """Commits; see `WorkerStore`."""
        committing = self._store.commit(lease, number, ops, since)
        if not self._faults.dies_after(ops):
            return committing
        committing.add_done_callback(lambda _: self._on_crash())
        return asyncio.get_running_loop().create_future()  # nobody hears of it
