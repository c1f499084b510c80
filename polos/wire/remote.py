"""The other side of the wire: a store that an owner in another process serves. Caches nothing, retries nothing."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from polos.core.forks import ForkRequest
from polos.core.manifest import ScheduleRule, WorkerInfo
from polos.core.model import Execution, NewEvent, NewExecution, Published, Retried, Started, Stopped, Stored
from polos.core.ops import CommitAnswer, Lease, Op, Release
from polos.errors import EngineError, NobodyListens, OwnerLost, PolosError, UsageError, WireVersionMismatch
from polos.ports import Checker, Claim, ClaimRequest, Question, ScheduleChange
from polos.wire.calls import COMMIT_BYTES, COMMITS, METHODS, Role, size_of
from polos.wire.codec import read_error, write_error
from polos.wire.frames import VERSION, Channel

GREETED_WITHIN = 5.0
"""Seconds within which an owner answers a new connection; one that does not is stopped or stuck."""


class Remote:
    """One connection to an owner.

    Attributes:
        facts: what the owner said of itself: ``pid``, ``command``, ``lease_seconds``, ``version``.
    """

    def __init__(self) -> None:
        self._channel = Channel(self._message, self._ended, self._unsent)
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._waiting: dict[int, tuple[asyncio.Future[Any], str, int]] = {}
        self._greeting: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._commits = self._bytes = 0
        self._later: deque[tuple[list[Any], int]] = deque()  # commits beyond what may be in flight
        self._outcomes: asyncio.Task[None] | None = None
        self._questions: asyncio.Task[None] | None = None
        self.facts: dict[str, Any] = {}
        self.lost: asyncio.Future[None] = self._loop.create_future()

    @classmethod
    async def connect(cls, path: Path, role: Role) -> Remote:
        """Connects to the owner that listens at `path`.

        Raises:
            NobodyListens: there is no process at that path.
            OwnerLost: there is one, and it does not answer.
            WireVersionMismatch: it is of another version.
        """
        remote = cls()
        loop = asyncio.get_running_loop()
        try:
            await loop.create_unix_connection(lambda: remote._channel, str(path))
        except OSError as error:
            remote.lost.cancel()
            raise NobodyListens(f"nobody listens at {path}: {error.strerror}") from error
        remote._channel.send([0, "hello", [{"wire": VERSION, "role": role.value, "pid": os.getpid()}]])
        remote._channel.flush()
        try:
            async with asyncio.timeout(GREETED_WITHIN):
                facts = await remote._greeting
        except TimeoutError:
            remote.close()
            raise OwnerLost(
                f"the process that listens at {path} does not answer",
                hint="is it stopped, or stuck? polos ps still works",
                is_silent=True,
            ) from None
        except BaseException:  # a cancel, too: nothing stays half open
            remote.close()
            raise
        if facts["wire"] != VERSION:
            remote.close()
            raise WireVersionMismatch(
                f"process {facts.get('pid')} ({facts.get('command')}) owns the database with polos "
                f"{facts.get('version')} (wire {facts['wire']}); this one speaks wire {VERSION}",
                hint="stop that process and start it again with this version of polos",
            )
        remote.facts = facts
        return remote

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────

    def call(self, name: str, *args: Any) -> asyncio.Future[Any]:
        """Asks for a method of the table. The future raises what the owner raised, or `OwnerLost`."""
        future, message = self._message_for(name, args)
        if future.done():
            return future
        self._channel.send(message)
        return future

    def _message_for(self, name: str, args: Sequence[Any], size: int = 0) -> tuple[asyncio.Future[Any], list[Any]]:
        method = METHODS[name]
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._channel.lost:
            future.set_exception(_gone())
            return future, []
        self._number += 1
        self._waiting[self._number] = (future, name, size)
        return future, [self._number, name, method.write(args)]

    async def _ask(self, name: str, *args: Any) -> Any:
        """Calls, and gives the call up at the owner when this side is cancelled."""
        future = self.call(name, *args)
        number = self._number
        try:
            return await future
        except asyncio.CancelledError:
            if not self._channel.lost:
                self._channel.send([0, "give_up", [number]])
            raise

    def _message(self, message: list[Any]) -> None:
        number, failed, told = message
        if number == 0:
            if not self._greeting.done():
                self._greeting.set_result(told)
            return
        future, name, size = self._waiting.pop(number)
        if name == "commit":
            self._commit_answered(size)
        answer: Any
        try:
            answer = read_error(told) if failed else METHODS[name].result_of(told)
        except Exception as error:  # what the owner said makes no sense here
            answer, failed = EngineError(f"the owner's answer to {name!r} cannot be read: {error!r}"), True
        if future.done():
            if name == "claim" and not failed:
                self._give_back(answer)  # whoever claimed has gone, and the owner did not hear of it in time
        elif failed:
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _give_back(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self.commit(claim.lease, 1, [Release()], claim.execution.seq).add_done_callback(_retrieved)

    def _unsent(self, message: list[Any], error: Exception) -> None:
        future, name, size = self._waiting.pop(message[0], (None, "", 0))
        if name == "commit":
            self._commit_answered(size)
        if future is not None and not future.done():
            future.set_exception(UsageError(f"what was given to {name!r} cannot be sent: {error}"))

    def _ended(self, error: BaseException | None) -> None:
        for following in (self._outcomes, self._questions):
            if following is not None:
                following.cancel()
        waiting, self._waiting = self._waiting, {}
        self._later.clear()
        for future, _, _ in waiting.values():
            if not future.done():
                future.set_exception(_gone())
                future.exception()  # retrieved: whoever asked may have gone
        if not self._greeting.done():
            self._greeting.set_exception(_gone())
            self._greeting.exception()
        if not self.lost.done():
            self.lost.set_result(None)

    @property
    def is_lost(self) -> bool:
        """True once the connection has ended."""
        return self._channel.lost

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    # ── ClientStore, of what reads the durable only ──────────────────────────────────────────────────

    async def start(self, executions: Sequence[NewExecution]) -> list[Started]:
        return await self._ask("start", executions)  # type: ignore[no-any-return]  # as the table says

    async def publish(self, events: Sequence[NewEvent]) -> list[Published]:
        return await self._ask("publish", events)  # type: ignore[no-any-return]  # as the table says

    async def resume(self, execution_id: str, step_key: str, data: Stored, answer_id: str) -> None:
        await self._ask("resume", execution_id, step_key, data, answer_id)

    async def cancel(self, execution_id: str) -> Stopped:
        return await self._ask("cancel", execution_id)  # type: ignore[no-any-return]  # as the table says

    async def retry(self, execution_id: str) -> Retried:
        return await self._ask("retry", execution_id)  # type: ignore[no-any-return]  # as the table says

    async def fork(self, request: ForkRequest) -> Started:
        return await self._ask("fork", request)  # type: ignore[no-any-return]  # as the table says

    async def put_schedule(self, rule: ScheduleRule, schedule_id: str) -> str:
        return await self._ask("put_schedule", rule, schedule_id)  # type: ignore[no-any-return]  # as the table says

    async def change_schedule(self, schedule_id: str, change: ScheduleChange) -> None:
        await self._ask("change_schedule", schedule_id, change)

    async def trigger_schedule(self, schedule_id: str, execution_id: str) -> Started:
        return await self._ask("trigger_schedule", schedule_id, execution_id)  # type: ignore[no-any-return]  # as the table says

    async def backfill_schedule(self, schedule_id: str, since: int, until: int) -> list[int]:
        return await self._ask("backfill_schedule", schedule_id, since, until)  # type: ignore[no-any-return]  # as the table says

    async def get(self, execution_id: str) -> Execution | None:
        return await self._ask("get", execution_id)  # type: ignore[no-any-return]  # as the table says

    async def find(self, reference: str) -> list[Execution]:
        return await self._ask("find", reference)  # type: ignore[no-any-return]  # as the table says

    def changed(self, execution_id: str, seconds: float = 30.0) -> asyncio.Future[None]:
        """Watches from now on; a long poll. Cancelling it ends it at the owner too."""
        future = self.call("changed", execution_id, seconds)
        number = self._number

        def given_up(done: asyncio.Future[None]) -> None:
            if done.cancelled() and not self._channel.lost:
                self._channel.send([0, "give_up", [number]])

        future.add_done_callback(given_up)
        return future

    # ── WorkerStore ──────────────────────────────────────────────────────────────────────────────────

    async def hello(self, worker: WorkerInfo, holding: Mapping[int, int]) -> None:
        await self._ask("hello", worker, holding)

    async def claim(self, request: ClaimRequest, wait: float) -> list[Claim]:
        # What is held hot the owner knows from the commits that parked it.
        return await self._ask("claim", replace(request, held={}), wait)  # type: ignore[no-any-return]  # as the table says

    def commit(self, lease: Lease, number: int, ops: Sequence[Op], since: int) -> asyncio.Future[CommitAnswer]:
        size = size_of(ops)
        future, message = self._message_for("commit", (lease, number, ops, since), size)
        if future.done():
            return future
        is_full = self._commits >= COMMITS or self._bytes + size > COMMIT_BYTES
        if self._later or (self._commits and is_full):  # one alone always goes
            self._later.append((message, size))
        else:
            self._send_commit(message, size)
        return future

    def _send_commit(self, message: list[Any], size: int) -> None:
        self._commits += 1
        self._bytes += size
        self._channel.send(message)

    def _commit_answered(self, size: int) -> None:
        self._commits -= 1
        self._bytes -= size
        while self._later and self._commits < COMMITS and (self._bytes < COMMIT_BYTES or not self._commits):
            self._send_commit(*self._later.popleft())

    def on_outcome(self, worker_id: str, callback: Callable[[int], None]) -> Callable[[], None]:
        """Follows by long polls, until the connection ends."""

        async def follow() -> None:
            try:
                while True:
                    for number in await self._ask("outcomes"):
                        callback(number)
            except PolosError:
                return  # the connection has ended, which `lost` tells

        self._outcomes = follower = self._loop.create_task(follow())

        def forget() -> None:
            follower.cancel()

        return forget

    def on_question(self, worker_id: str, callback: Checker) -> Callable[[], None]:
        """Follows by long polls, until the connection ends."""

        async def answer(question: Question) -> None:
            told: Stored | None = None
            error: dict[str, Any] | None = None
            try:
                told = await callback(question.workflow_id, question.payload)
            except Exception as refused:  # a user's validator may raise anything
                error = write_error(refused)
            if not self._channel.lost:
                _heard(self.call("answer", question.number, told, error))

        async def follow() -> None:
            answering: set[asyncio.Task[None]] = set()
            try:
                while True:
                    for question in await self._ask("questions"):
                        answering.add(task := self._loop.create_task(answer(question)))
                        task.add_done_callback(answering.discard)
            except PolosError:
                return  # the connection has ended, which `lost` tells

        self._questions = follower = self._loop.create_task(follow())

        def forget() -> None:
            follower.cancel()

        return forget

    async def check_input(self, workflow_id: str, payload: Stored) -> Stored | None:
        return await self._ask("check_input", workflow_id, payload)  # type: ignore[no-any-return]  # as the table says

    async def retire(self, worker_id: str) -> None:
        await self._ask("retire", worker_id)

    async def goodbye(self, worker_id: str) -> None:
        await self._ask("goodbye", worker_id)


def _heard(answer: asyncio.Future[Any]) -> None:
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())


def _retrieved(done: asyncio.Future[CommitAnswer]) -> None:
    if not done.cancelled():
        done.exception()  # nobody waits for it; what is not given back is taken over when this worker's lease ends


def _gone() -> OwnerLost:
    return OwnerLost("the process that owned the database has gone", hint="nothing that was acknowledged is lost")
