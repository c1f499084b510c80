"""Drives transactions on the one writing connection, many per commit, and releases results once durable (R5, S9.5)."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

from polos import crashpoints
from polos.errors import PolosError, StoreUnavailable
from polos.store.sql.statements import positional, statements
from polos.store.sql.tx import Changed, Hint, Queued, Tx
from polos.store.sqlite.disksync import DiskSync

T = TypeVar("T")
Durability = Literal["full", "relaxed"]

GROUP_LIMIT = 256
_CLAIMS_WITHIN = 3
"""Turns of the loop in which a claim that waits is made, once there is something to claim."""
_ATTEMPTS = 5
_HINTS = (Hint.__args__) if hasattr(Hint, "__args__") else ()


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T]):
    """A caller whose transaction is queued, under way, or committed and not yet durable."""

    factory: Callable[[], Tx[T]]
    future: asyncio.Future[T]
    name: str
    result: Any = None
    error: BaseException | None = None
    hints: list[Hint] = field(default_factory=list)


class Committer:
    """One connection, one transaction at a time, on the owner's loop.

    A cancelled caller never touches a transaction under way. In `full`, nothing is released before the sync that
    covers it; a failed sync ends the committer for good.
    """

    def __init__(
        self, connection: sqlite3.Connection, wal: Path, durability: Durability, on_hints: Callable[[list[Hint]], None],
        on_broken: Callable[[BaseException], None], on_queued: Callable[[], None], with_helper: bool = True,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._durability = durability
        self._on_hints = on_hints
        self._on_broken = on_broken
        self._on_queued = on_queued
        self._loop = asyncio.get_running_loop()
        self._outside = contextvars.Context()  # its own: two engines may turn on two threads at once
        self._statements = {name: positional(text) for name, text in statements().items()}
        self._queue: deque[_Waiting[Any]] = deque()
        self._unsynced: list[_Waiting[Any]] = []
        self._syncing: list[_Waiting[Any]] = []
        self._scheduled = False
        self._paused = False
        self._failures = 0
        self.broken: BaseException | None = None
        self._closing = False
        self.commits = 0
        self._sync: DiskSync | None = None
        self._helped = False
        connection.execute("PRAGMA synchronous = " + ("NORMAL" if durability == "relaxed" else "FULL"))
        if durability == "full" and with_helper:
            try:
                self._sync = DiskSync(wal, self._synced)
            except OSError:
                self._sync = None  # no helper to be had: every commit syncs on the loop, slower and just as durable

    def submit(self, factory: Callable[[], Tx[T]], name: str) -> asyncio.Future[T]:
        """Queues a transaction; `name` is its crash point. The future's result is durable."""
        waiting: _Waiting[T] = _Waiting(factory, self._loop.create_future(), name)
        if self.broken is not None:
            waiting.future.set_exception(self._unavailable(self.broken))
            return waiting.future
        self._queue.append(waiting)
        self._schedule()
        return waiting.future

    def _schedule(self) -> None:
        if not self._scheduled and not self._paused and self._queue:
            self._scheduled = True
            self._loop.call_soon(self._turn, context=self._outside)

    # ── one group ────────────────────────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        self._scheduled = False
        if self.broken is not None or self._paused:
            return
        group = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_LIMIT))]
        if not group:
            return
        if not self._helped and self._sync is not None and self._sync.is_ready:
            self._helped = True
            self._connection.execute("PRAGMA synchronous = NORMAL")
        changes = self._connection.total_changes
        try:
            self._run_group(group)
        except sqlite3.Error as error:
            self._group_failed(group, error)
            return
        self._failures = 0
        self.commits += 1
        changed = self._connection.total_changes != changes
        if self._helped and (changed or self._syncing or self._unsynced):
            self._unsynced.extend(group)  # what only read may have seen what is not on disk yet
            if self._told_queued(group):
                self._loop.call_soon(self._sync_after, _CLAIMS_WITHIN, context=self._outside)
            else:
                self._request_sync()
        else:
            self._release(group)
        self._schedule()

    def _run_group(self, group: list[_Waiting[Any]]) -> None:
        """Runs a group in one transaction; a caller's error costs a second run in which each has a savepoint."""
        if not self._run_all(group, savepoints=False):
            self._run_all(group, savepoints=True)

    def _run_all(self, group: list[_Waiting[Any]], savepoints: bool) -> bool:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for waiting in group:
            if crashpoints.installed:
                crashpoints.reached(f"before.{waiting.name}")
            if savepoints:
                execute("SAVEPOINT caller")
            waiting.error, waiting.hints = None, []
            try:
                waiting.result = self._drive(waiting)
            except Exception as error:  # whatever one caller's part raises ends that caller's alone
                if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):
                    raise  # the disk or the database, not the caller: the group runs again
                if not savepoints:
                    execute("ROLLBACK")
                    return False
                waiting.error, waiting.hints = error, []
                execute("ROLLBACK TO caller")
            if savepoints:
                execute("RELEASE caller")
        if crashpoints.installed:
            for waiting in group:
                crashpoints.reached(f"commit.{waiting.name}")
        execute("COMMIT")
        if crashpoints.installed:
            for waiting in group:
                crashpoints.reached(f"after.{waiting.name}")
        return True

    def _drive(self, waiting: _Waiting[T]) -> T:
        execute, many, texts = self._connection.execute, self._connection.executemany, self._statements
        transaction = waiting.factory()
        rows: Any = None
        try:
            while True:
                step = transaction.send(rows)
                rows = ()
                if not isinstance(step, tuple):
                    waiting.hints.append(step)
                    continue
                name, params = cast("tuple[str, Any]", step)
                text, order = texts[name]
                if type(params) is dict:
                    rows = execute(text, order(params)).fetchall()
                elif len(params) == 1:
                    execute(text, order(params[0]))
                else:
                    many(text, map(order, params))
        except StopIteration as done:
            return cast(T, done.value)

    def _group_failed(self, group: list[_Waiting[Any]], error: sqlite3.Error) -> None:
        """The commit or the disk failed: everything is rolled back, and run again or refused."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as worse:
            self._break(worse)
        self._failures += 1
        if self.broken is None and self._failures < _ATTEMPTS:
            self._queue.extendleft(reversed(group))
            self._scheduled = True
            self._loop.call_later(0.02 * 2**self._failures, self._turn, context=self._outside)
            return
        self._failures = 0
        for waiting in group:
            waiting.error, waiting.hints = self._unavailable(error), []
        self._release(group)
        self._schedule()

    def _told_queued(self, group: list[_Waiting[Any]]) -> bool:
        """Tells those who wait for work as soon as it is committed: their claim then shares its sync, which covers both."""
        is_queued = False
        for waiting in group:
            kept: list[Hint] = [hint for hint in waiting.hints if not isinstance(hint, Queued)]
            is_queued = is_queued or len(kept) < len(waiting.hints)
            waiting.hints = kept
        if is_queued:
            self._on_queued()
        return is_queued

    def _sync_after(self, turns: int) -> None:
        """Asks for a sync some turns of the loop later; a group that is committed meanwhile asks for it at once."""
        if turns:
            self._loop.call_soon(self._sync_after, turns - 1, context=self._outside)
        else:
            self._request_sync()

    # ── durability ───────────────────────────────────────────────────────────────────────────────────

    def _request_sync(self) -> None:
        if self._syncing or not self._unsynced or self._sync is None:
            return
        self._syncing, self._unsynced = self._unsynced, []
        crashpoints.reached("sync")
        self._sync.request()

    def _synced(self, error: OSError | None) -> None:
        if error is not None:
            self._break(error)
            return
        done, self._syncing = self._syncing, []
        crashpoints.reached("synced")
        self._request_sync()
        self._release(done)

    def _release(self, group: list[_Waiting[Any]]) -> None:
        hints: list[Hint] = []
        for waiting in group:
            if not waiting.future.done():
                if waiting.error is not None:
                    waiting.future.set_exception(waiting.error)
                else:
                    waiting.future.set_result(waiting.result)
            hints.extend(waiting.hints)
        if hints:
            self._on_hints(hints)

    def _break(self, error: BaseException) -> None:
        """Ends the committer: what it cannot make durable is never answered as done."""
        is_fault = self.broken is None and not self._closing
        self.broken = error
        lost = [*self._syncing, *self._unsynced, *self._queue]
        self._syncing, self._unsynced = [], []
        self._queue.clear()
        for waiting in lost:
            waiting.error, waiting.hints = self._unavailable(error), []
        self._release(lost)
        if is_fault:
            self._on_broken(self._unavailable(error))

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        if isinstance(error, StoreUnavailable):
            return error
        unavailable = StoreUnavailable(
            f"the database could not be written: {error}",
            hint="check the disk's space and permissions; nothing that was acknowledged is lost",
        )
        unavailable.__cause__ = error
        return unavailable

    # ── care and end ─────────────────────────────────────────────────────────────────────────────────

    def is_unsynced(self, execution_id: str) -> bool:
        """True while a change of the execution is committed, where readers see it, and not yet durable."""
        return any(
            isinstance(hint, Changed) and hint.id == execution_id
            for waiting in (*self._syncing, *self._unsynced)
            for hint in waiting.hints
        )

    @property
    def is_idle(self) -> bool:
        """True when nothing is queued, under way or waiting for the disk."""
        return not (self._queue or self._unsynced or self._syncing or self._scheduled)

    async def checkpoint(self) -> None:
        """Copies the log into the database on a thread, while the committer holds new work back."""
        if self._paused or self.broken is not None:
            return
        self._paused = True
        try:
            await asyncio.to_thread(self._checkpoint)
        except sqlite3.Error:
            pass  # a reader holds it up: the next one will do
        finally:
            self._paused = False
            self._schedule()

    def _checkpoint(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    async def flush(self) -> None:
        """Waits until everything submitted is durable or refused."""
        while not self.is_idle and self.broken is None:
            await asyncio.sleep(0.001)

    def close(self) -> None:
        """Refuses what is left, and ends the helper."""
        self._closing = True
        self._break(StoreUnavailable("the engine was stopped"))
        if self._sync is not None:
            self._sync.close()


__all__ = ["Committer", "Durability", "PolosError"]
