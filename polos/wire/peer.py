"""One connection to the owner: a command, a worker, or a worker's renewals; its calls are answered from the owner's store.

Listens at nothing: that is the server's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from polos.core.model import Stored
from polos.core.ops import CommitAnswer, Lease
from polos.errors import EngineError, LeaseLost, PolosError, UsageError
from polos.ports import Claim, Question
from polos.wire.calls import COMMIT_BYTES, COMMITS, METHODS, Method, Role, size_of
from polos.wire.codec import read_error, write_error
from polos.wire.frames import VERSION, Channel

if TYPE_CHECKING:
    from polos.wire.server import WireServer

log = logging.getLogger(__name__)
LONGEST_WATCH = 30.0
REMEMBERED = 20_000
"""Parked executions of a connection of which the owner knows what the worker has; of others the whole journal is sent."""


class Peer:
    """One connection: a command, a worker, or a worker's renewals."""

    def __init__(self, server: WireServer) -> None:
        self._server = server
        self._store = server.store
        self.channel = Channel(self._message, self._lost, self._unsent)
        self.worker_id: str | None = None
        self._role: Role | None = None
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._claims: set[int] = set()
        self._commits = self._bytes = 0
        self._paused = False
        self._parked: dict[int, int] = {}  # executions that this worker keeps hot, with the `seq` it knows of each
        self._news: list[int] = []
        self._news_wanted: asyncio.Event = asyncio.Event()
        self._forget: list[Callable[[], None]] = []
        self._asked: dict[int, tuple[Question, asyncio.Future[Stored]]] = {}
        self._unasked: list[Question] = []
        self._question_wanted = asyncio.Event()
        self._question = 0
        server.joined(self)

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────

    def _message(self, message: list[Any]) -> None:
        number, name, args = message
        if self._role is None:
            self._greet(args[0])
            return
        if name == "give_up":
            task = self._tasks.get(args[0])
            if task is not None:
                task.cancel()
            return
        method = METHODS.get(name)
        if method is None or self._role not in method.roles:
            error = UsageError(f"a connection of the role {self._role} cannot ask for {name!r}")
            self.channel.send([number, 1, write_error(error)])
            return
        try:
            given = method.read(args)
        except Exception as error:  # whatever was sent: said to whoever sent it
            self.channel.send([number, 1, write_error(UsageError(f"{name!r} was called wrongly: {error!r}"))])
            return
        if name == "commit":
            self._commit(number, method, *given)
        elif name == "changed":
            self._watch(number, method, *given)
        else:
            # What concerns the connection is a method of its own; all else is the store's, by the table's names alone.
            calling = (getattr(self, f"_{name}", None) or getattr(self._store, name))(*given)
            self._answer_later(number, method, calling, is_claim=name == "claim")

    def _greet(self, told: dict[str, Any]) -> None:
        facts = {"wire": VERSION, **self._server.facts}
        self.channel.send([0, 0, facts])
        if told["wire"] != VERSION:
            self.channel.close()  # the facts say why
            return
        self._role = Role(told["role"])

    def _answer_later(self, number: int, method: Method, calling: Coroutine[Any, Any, Any], is_claim: bool) -> None:
        task = asyncio.get_running_loop().create_task(calling)
        self._tasks[number] = task
        if is_claim:
            self._claims.add(number)
        task.add_done_callback(partial(self._answered, number, method))

    def _answered(self, number: int, method: Method, task: asyncio.Future[Any]) -> None:
        self._tasks.pop(number, None)
        self._claims.discard(number)
        if task.cancelled():
            self.channel.send([number, 1, write_error(LeaseLost("the call was given up"))])
            return
        error = task.exception()
        if error is not None:
            if not isinstance(error, PolosError):
                log.error("a call over the wire failed", exc_info=error)
            self.channel.send([number, 1, write_error(error)])
            return
        result = task.result()
        self.channel.send([number, 0, result if method.write_result is None else method.write_result(result)])

    def _unsent(self, message: list[Any], error: Exception) -> None:
        answer = EngineError(f"the answer cannot be sent: {error}")
        self.channel.send([message[0], 1, write_error(answer)])

    # ── commits ──────────────────────────────────────────────────────────────────────────────────────

    def _commit(self, number: int, method: Method, lease: Lease, commit_number: int, ops: Any, since: int) -> None:
        size = size_of(ops)
        self._commits += 1
        self._bytes += size
        if not self._paused and (self._commits >= COMMITS or self._bytes >= COMMIT_BYTES):
            self._paused = True
            self.channel.pause()
        committing = self._store.commit(lease, commit_number, ops, since)
        committing.add_done_callback(partial(self._committed, number, method, lease.execution, since, size))

    def _committed(
        self, number: int, method: Method, execution: int, since: int, size: int,
        committing: asyncio.Future[CommitAnswer],
    ) -> None:  # fmt: skip
        self._commits -= 1
        self._bytes -= size
        if self._paused and self._commits < COMMITS // 2 and self._bytes < COMMIT_BYTES // 2:
            self._paused = False
            self.channel.resume()
        if not committing.cancelled() and committing.exception() is None:
            answer = committing.result()
            if answer.parked:
                self._parked[execution] = max([since, *(entry.seq for entry in answer.outcomes)])
                if len(self._parked) > REMEMBERED:
                    del self._parked[next(iter(self._parked))]
        self._answered(number, method, committing)

    # ── the methods ──────────────────────────────────────────────────────────────────────────────────

    def _watch(self, number: int, method: Method, execution_id: str, seconds: float) -> None:
        changed = asyncio.ensure_future(self._store.changed(execution_id))  # watched from now on
        self._answer_later(number, method, _bounded(changed, min(seconds, LONGEST_WATCH)), is_claim=False)
        self._tasks[number].add_done_callback(lambda _: changed.cancel())  # also where it never began

    async def _hello(self, worker: Any, holding: Any) -> None:
        if self.channel.lost:
            return
        if self.worker_id not in (None, worker.id):
            raise UsageError(f"this connection is {self.worker_id}'s and cannot be {worker.id}'s, too")
        # First the lease: whatever was about to bury this worker does not any more.
        self._server.leases.attached(worker.id, again=self.worker_id is not None)
        if self.worker_id is None:
            self.worker_id = worker.id
            self._forget.append(self._store.on_outcome(worker.id, self._outcome_came))
            self._forget.append(self._store.on_question(worker.id, self._ask_worker))
        await self._store.hello(worker, holding)

    async def _claim(self, request: Any, wait: float) -> list[Claim]:
        if self.worker_id is None or not self._server.leases.is_alive(self.worker_id):
            raise LeaseLost("this worker was given up: it said nothing for longer than its lease")
        if request.worker_id != self.worker_id:
            raise UsageError(f"this connection is {self.worker_id}'s and cannot claim for {request.worker_id}")
        claims = await self._store.claim(replace(request, held=self._parked), wait)  # as it is when something is there
        for claim in claims:
            self._parked.pop(claim.execution.number, None)
        return claims

    def stop_claiming(self) -> None:
        """Ends the claims under way."""
        for number in self._claims:
            self._tasks[number].cancel()

    def _outcome_came(self, execution: int) -> None:
        self._news.append(execution)
        self._news_wanted.set()

    async def _outcomes(self) -> list[int]:
        await self._news_wanted.wait()
        self._news_wanted.clear()
        news, self._news = self._news, []
        return list(dict.fromkeys(news))

    # ── questions to the worker ──────────────────────────────────────────────────────────────────────

    async def _ask_worker(self, workflow_id: str, payload: Stored) -> Stored:
        self._question += 1
        question = Question(number=self._question, workflow_id=workflow_id, payload=payload)
        waiting: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._asked[question.number] = (question, waiting)
        self._unasked.append(question)
        self._question_wanted.set()
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.cancelled():
                raise LeaseLost("the worker went away") from None
            raise
        finally:
            del self._asked[question.number]

    async def _questions(self) -> list[Question]:
        await self._question_wanted.wait()
        self._question_wanted.clear()
        unasked, self._unasked = self._unasked, []
        return unasked

    async def _answer(self, number: int, told: Stored | None, error: dict[str, Any] | None) -> None:
        _, waiting = self._asked.get(number, (None, None))
        if waiting is None or waiting.done():
            return
        if told is not None:
            waiting.set_result(told)
        else:
            waiting.set_exception(read_error(error or {}))

    async def _goodbye(self, worker_id: str) -> None:
        self.stop_claiming()
        await self._store.goodbye(worker_id)
        self._server.leases.left(worker_id)
        self.worker_id = None

    async def _renew(self, worker_id: str) -> bool:
        return self._server.leases.renewed(worker_id)

    async def _yield(self) -> None:
        self._server.on_yield()

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────

    def end(self) -> None:
        """Ends the connection from this side."""
        self.channel.close()

    def _lost(self, error: BaseException | None) -> None:
        self._server.parted(self)
        for task in list(self._tasks.values()):
            task.cancel()
        for forget in self._forget:
            forget()
        for _, waiting in self._asked.values():
            waiting.cancel()
        if self.worker_id is not None:
            self._server.leases.detached(self.worker_id)


async def _bounded(changed: Awaitable[None], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed
    except TimeoutError:
        pass
