"""What a session writes: operations gathered into commits, one under way at a time. Decides nothing about them.

While a commit waits for the disk, what is written meanwhile gathers for the next, so that many branches of one
execution share a transaction, and the order of commits is the order of their answers.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from typing import Protocol

from polos.core.model import LogLine
from polos.core.ops import CommitAnswer, Lease, Logs, Op, Record, SaveState
from polos.ports import WorkerStore
from polos.worker.loop import Run

STARTED_WITHIN = 0.1
"""Seconds within which a `step_start` or a line is written when no commit takes it along (S5.4)."""


class OutboxOwner(Protocol):
    """Who hears the answers."""

    def commit_answered(self, answer: CommitAnswer) -> None: ...
    def commit_refused(self, error: BaseException) -> None: ...
    def known_seq(self) -> int: ...
    def state_to_save(self) -> SaveState | None: ...


class Outbox:
    """The commits of one session under its lease."""

    def __init__(self, store: WorkerStore, lease: Lease, run: Run, owner: OutboxOwner, stored_lines: int) -> None:
        self.lease = lease
        self._store = store
        self._run = run
        self._owner = owner
        self._number = 0
        self._ops: list[Op] = []
        self._lazy: list[Op] = []
        self._lines: deque[LogLine] = deque()  # bodies on threads add to it
        self._workflow_lines = stored_lines
        self._lazy_timer: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._in_flight = False
        self._fetch_wanted = False
        self._held_back = False
        self._sealed = False
        self._told_next: list[asyncio.Future[None]] = []  # who waits for what is not committed yet
        self._told_now: list[asyncio.Future[None]] = []  # who waits for the commit under way

    @property
    def has_ops(self) -> bool:
        """True while an operation waits to be committed."""
        return bool(self._ops)

    @property
    def is_idle(self) -> bool:
        """True when nothing is being written or about to be."""
        return not (self._in_flight or self._ops or self._scheduled)

    def write(self, op: Op, lazily: bool = False) -> None:
        """Puts an operation into the next commit; `lazily`: whichever comes, but within 100 ms."""
        if self._run.closed or self._sealed:
            return
        if lazily:
            self._lazy.append(op)
            self._flush_within()
            return
        self._ops.append(op)
        if isinstance(op, Record) and not self._run.draining and not self._scheduled:
            self._flush()  # a body has ended, on a turn of the loop of its own: there is nothing to gather
        else:
            self._flush_soon()

    async def written(self) -> None:
        """Returns once everything written so far is committed, and durable."""
        if self._ops:
            told: asyncio.Future[None] = self._run.loop.create_future()
            self._told_next.append(told)
            await told

    def add_line(self, line: LogLine, workflow_lines: int) -> None:
        """Takes a captured line, from any thread."""
        self._workflow_lines = max(self._workflow_lines, workflow_lines)
        self._lines.append(line)
        if len(self._lines) == 1:
            try:
                self._run.loop.call_soon_threadsafe(self._flush_within, context=contextvars.Context())
            except RuntimeError:
                return  # a body that outlived its engine

    def clear(self, lazy: bool = False) -> None:
        """Forgets what is not committed yet; `lazy`: starts of bodies too."""
        self._ops.clear()
        if lazy:
            self._lazy.clear()

    def seal(self) -> None:
        """Takes nothing more: the last operation is written."""
        self._sealed = True

    def hold_back(self) -> None:
        """Commits nothing until `renew`: the lease has ended."""
        self._held_back = True
        self._fetch_wanted = False

    def renew(self, lease: Lease) -> None:
        """Goes on under a new lease."""
        self.lease = lease
        self._number = 0
        self._held_back = False
        if self._ops or self._lazy or self._lines:
            self._flush_soon()

    def fetch(self) -> None:
        """Asks for outcomes that came from elsewhere: an empty commit answers them."""
        if self._in_flight:
            self._fetch_wanted = True  # the answer under way may have been made before that outcome
        elif not self._held_back and not self._run.closed:
            self._commit([])

    def close(self) -> None:
        """Ends the timer."""
        if self._lazy_timer is not None:
            self._lazy_timer.cancel()

    def _flush_soon(self) -> None:
        if not self._scheduled and not self._in_flight:
            self._scheduled = True
            self._run.outside(self._flush)

    def _flush_within(self) -> None:
        if self._lazy_timer is None:
            loop = self._run.loop
            self._lazy_timer = loop.call_later(STARTED_WITHIN, self._flush_lazy, context=contextvars.Context())

    def _flush_lazy(self) -> None:
        self._lazy_timer = None
        if (self._lazy or self._lines) and not self._run.closed and not self._held_back:
            self._flush_soon()

    def _flush(self) -> None:
        self._scheduled = False
        if self._run.closed or self._in_flight or self._held_back or not (self._ops or self._lazy or self._lines):
            return
        ops = [*self._lazy, *self._ops]
        self._lazy.clear()
        self._ops = []
        if self._lines:
            lines = tuple(self._lines.popleft() for _ in range(len(self._lines)))
            ops.insert(0, Logs(lines=lines, workflow_lines=self._workflow_lines))
        state = self._owner.state_to_save()
        if state is not None:
            ops.insert(0, state)
        self._commit(ops)

    def _commit(self, ops: list[Op]) -> None:
        self._in_flight = True
        self._fetch_wanted = False
        if not self._ops:
            self._told_now, self._told_next = self._told_next, []
        self._number += 1
        future = self._store.commit(self.lease, self._number, ops, self._owner.known_seq())
        future.add_done_callback(self._answered, context=self._run.outside_context)

    def _answered(self, future: asyncio.Future[CommitAnswer]) -> None:
        self._in_flight = False
        if future.cancelled():
            return
        error = future.exception()
        if self._run.closed:
            return
        if error is not None:
            self._owner.commit_refused(error)
            return
        told, self._told_now = self._told_now, []
        for waiting in told:
            if not waiting.done():
                waiting.set_result(None)
        self._owner.commit_answered(future.result())
        if self._run.closed or self._held_back or self._in_flight:
            return
        if self._ops:
            self._flush_soon()
        elif self._fetch_wanted:
            self._commit([])
