"""Commits whose answers have not come: they are made again with the next owner (a repeated one gives its first answer, S8.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from polos.core.ops import CommitAnswer, Lease, Op
from polos.errors import StoreUnavailable
from polos.local.attachment import Attachment, Backend, stopped
from polos.wire.remote import Remote


@dataclass(slots=True, eq=False)
class _Unanswered:
    """A commit whose answer has not come: made again with the next owner."""

    lease: Lease
    number: int
    ops: Sequence[Op]
    since: int
    future: asyncio.Future[CommitAnswer]


class Commits:
    """Those of one process, in the order in which they were made."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._loop = asyncio.get_running_loop()
        self._unanswered: dict[int, _Unanswered] = {}
        self._asked = 0

    def take(self, lease: Lease, number: int, ops: Sequence[Op], since: int) -> asyncio.Future[CommitAnswer]:
        """Makes a commit, now or with the next owner, and returns its answer."""
        waiting = _Unanswered(lease, number, ops, since, self._loop.create_future())
        if self._attachment.is_closed:
            waiting.future.set_exception(stopped())
            return waiting.future
        self._asked += 1
        asked = self._asked
        self._unanswered[asked] = waiting

        def answered(_: object) -> None:
            self._unanswered.pop(asked, None)

        waiting.future.add_done_callback(answered)
        if self._attachment.backend is not None:
            self._make(waiting, self._attachment.backend)
        return waiting.future

    def make_again(self, backend: Backend) -> None:
        """Makes all of them with another owner."""
        for waiting in list(self._unanswered.values()):
            self._make(waiting, backend)

    def refuse(self, error: BaseException) -> None:
        """There is no owner any more."""
        for waiting in list(self._unanswered.values()):
            if not waiting.future.done():
                waiting.future.set_exception(error)

    def _make(self, waiting: _Unanswered, backend: Backend) -> None:
        made = backend.commit(waiting.lease, waiting.number, waiting.ops, waiting.since)

        def answered(done: asyncio.Future[CommitAnswer]) -> None:
            if waiting.future.done() or done.cancelled():
                return
            error = done.exception()
            if error is None:
                waiting.future.set_result(done.result())
            elif isinstance(error, StoreUnavailable) and isinstance(backend, Remote) and not self._attachment.is_closed:
                return  # the owner's fault, which ends it: the next one is asked
            else:
                waiting.future.set_exception(error)

        made.add_done_callback(answered)
