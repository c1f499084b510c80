"""Runs today's code against a recorded history, with the same history, session and steps as a live run, and no effects.

Its commit port takes everything and writes nothing, and nothing that has no record is begun. What the code does outside
steps (raw IO, a clock) it does here, too, as in any replay (S1.11).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import orjson

from polos.authoring.registry import Registry
from polos.calls import AnyCall, RunCall, RunPort, ValueCall
from polos.clock import Clock, Ids, Rng
from polos.core.model import Entry, Execution, FailedAttempt, Failure, Kind, Outcome, PendingWait, Stored
from polos.core.ops import Block, CommitAnswer, Finish, Lease, Op
from polos.ports import Claim
from polos.worker.capture import Capture
from polos.worker.entering import session_for
from polos.worker.pool import BodyPool
from polos.worker.session import Session

STANDS_STILL = 1.0
"""Seconds that a replay waits on something not recorded before it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is recorded of one execution."""

    execution: Execution
    entries: Sequence[Entry] = ()
    pending: Sequence[PendingWait] = ()
    attempts: Sequence[FailedAttempt] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a replay.

    Attributes:
        kind: ``continues``: the code asks for all that is recorded, in its place, and goes on from there;
            ``diverges``: it does not, or a recorded value does not fit it any more; ``unknown``: that could not be told.
        reason: of a divergence: JSON text as it is stored with a blocked execution.
        message: why, for people.
        ends: how the execution would end at once, if it would; `value` or `failure`: with what.
        delivered: how many recorded outcomes had reached the code by then, of how many `recorded`.
        changed: recorded steps whose arguments are others today, each with the line that asks for it (S1.8).
    """

    kind: Literal["continues", "diverges", "unknown"]
    reason: str = ""
    message: str = ""
    ends: Outcome | None = None
    value: Stored | None = None
    failure: Failure | None = None
    delivered: int = 0
    recorded: int = 0
    changed: tuple[tuple[str, str], ...] = ()


class _Watched:
    """Stands between `ctx.step` and a session, and compares arguments with those recorded."""

    def __init__(
        self, session: Session, entries: Sequence[Entry], changed: list[tuple[str, str]],
        asked: Callable[[AnyCall], None] | None,
    ) -> None:  # fmt: skip
        self._session = session
        self._asked = asked
        self._recorded = {entry.key: entry.arguments for entry in entries if entry.arguments}
        self._changed = changed

    def request(self, call: AnyCall) -> Any:
        if (
            isinstance(call, RunCall)
            and call.arguments
            and self._recorded.get(call.key, call.arguments) != call.arguments
        ):
            self._changed.append((call.key, call.site))
        future = self._session.request(call)
        if self._asked is not None:
            self._asked(call)
        return future

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class Replayer:
    """Implements `SessionHost` for replays on the running loop; one at a time."""

    def __init__(self, registry: Registry, *, clock: Clock, ids: Ids, rng: Rng) -> None:
        self.registry = registry
        self.clock, self.ids, self.rng = clock, ids, rng
        self.loop = asyncio.get_running_loop()
        self.pool = BodyPool()
        self.size_limit = 1 << 62
        self.replay_stall = STANDS_STILL
        self.store: Any = self  # of a `WorkerStore` a session uses `commit` alone
        self._verdict: asyncio.Future[Verdict] = self.loop.create_future()
        self._waits_at = ""

    async def replay(
        self, history: History, timeout: float = STANDS_STILL + 1.0, asked: Callable[[AnyCall], None] | None = None
    ) -> Verdict:
        """Replays a history; `timeout`: seconds after which it is given up; `asked` hears of each request, in its frame."""
        workflow_id = history.execution.workflow_id
        if self.registry.get(workflow_id) is None:
            return Verdict(kind="unknown", message=f"the code has no workflow {workflow_id!r}")
        self._verdict = self.loop.create_future()
        self._waits_at = ""
        execution = history.execution
        claim = Claim(
            lease=Lease(execution=execution.number, epoch=execution.epoch, worker_id="replay"), execution=execution,
            entries=tuple(history.entries), pending=tuple(history.pending), attempts=tuple(history.attempts),
        )  # fmt: skip
        changed: list[tuple[str, str]] = []
        session = session_for(
            self,
            claim,
            self.registry,
            lambda session: cast(RunPort, _Watched(session, history.entries, changed, asked)),
        )
        try:
            async with asyncio.timeout(timeout):
                verdict = await asyncio.shield(self._verdict)
        except TimeoutError:
            verdict = Verdict(kind="unknown", message=self._waits_at or f"it did not come to rest within {timeout:g} s")
        finally:
            session.drop()
        recorded = [entry for entry in history.entries if entry.kind is not Kind.STOP]
        return replace(
            verdict, recorded=len(recorded), changed=tuple(changed),
            delivered=sum(session.delivery.is_delivered(entry.key) for entry in recorded),
        )  # fmt: skip

    def _is(self, verdict: Verdict) -> None:
        if not self._verdict.done():
            self._verdict.set_result(verdict)

    # ── the commit port that refuses ─────────────────────────────────────────────────────────────────

    def commit(self, lease: Lease, number: int, ops: Sequence[Op], since: int) -> asyncio.Future[CommitAnswer]:
        """Writes nothing; what ends the pass is the verdict."""
        for op in ops:
            if isinstance(op, Block):
                self._is(self._blocked(op.reason))
            elif isinstance(op, Finish):
                self._is(Verdict(kind="continues", ends=op.outcome, value=op.value, failure=op.failure))
        answered: asyncio.Future[CommitAnswer] = self.loop.create_future()
        answered.set_result(CommitAnswer(outcomes=()))
        return answered

    def _blocked(self, reason: str) -> Verdict:
        told = orjson.loads(reason)
        if told.get("kind") in ("diverged", "stored_value_mismatch") and not self._waits_at:
            return Verdict(kind="diverges", reason=reason, message=str(told.get("message", "")))
        return Verdict(kind="unknown", message=self._waits_at or str(told.get("message", "")))

    # ── SessionHost ──────────────────────────────────────────────────────────────────────────────────

    def holds_leases(self) -> bool:
        return False

    def goes_on(self, session: Session) -> bool:
        """The recorded history is at its end, and the code has asked for all of it in its place."""
        self._is(Verdict(kind="continues"))
        return False

    def session_parked(self, session: Session) -> None:
        """Never: no park is answered as one."""

    def session_over(self, session: Session, error: BaseException | None) -> None:
        """The verdict has been given by the last operation."""
        if error is not None:
            self._is(Verdict(kind="unknown", message=str(error)))

    def session_cleared(self, session: Session) -> None:
        """Deaths are not counted here."""

    def call_for(self, execution: Execution, call: RunCall | ValueCall) -> RunCall | ValueCall:
        raise AssertionError("no body is run in a replay")

    def warn(self, session: Session, text: str) -> None:
        if text.startswith("the replay waits at "):
            self._waits_at = text


@contextmanager
def silence() -> Iterator[None]:
    """Shows nothing of what replayed code prints or logs. For a process that does nothing else meanwhile."""
    capture = Capture(echo=False)
    before = logging.root.manager.disable
    capture.install()
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
        capture.remove()
