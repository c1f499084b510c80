"""The bodies of one session: which run, which rest before their next attempt, what they store and print. Runs none itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from polos.calls import RunCall
from polos.clock import Clock, Rng
from polos.core.codec import VALUE_LIMIT, WARN_ABOVE
from polos.core.model import Execution, FailedAttempt, LogLine, Stored
from polos.core.ops import Record, RetryAt, StepStarted
from polos.errors import PayloadTooLarge
from polos.ports import Claim
from polos.worker.body import Body
from polos.worker.capture import Scope
from polos.worker.outbox import Outbox
from polos.worker.pool import BodyPool

if TYPE_CHECKING:
    from polos.worker.request import Request


class BodiesHost(Protocol):
    """What bodies need of their session's surroundings."""

    clock: Clock
    rng: Rng
    loop: asyncio.AbstractEventLoop
    pool: BodyPool

    def body_changed(self) -> None:
        """A body rests: the execution may be able to park."""
        ...

    def body_broke(self, error: BaseException) -> None: ...
    def warn(self, text: str) -> None: ...
    def holds_lease(self) -> bool: ...


class Bodies:
    """Implements `BodyOwner` for the bodies of one execution."""

    def __init__(self, host: BodiesHost, claim: Claim, outbox: Outbox, size_limit: int) -> None:
        self.clock, self.rng, self.loop, self.pool = host.clock, host.rng, host.loop, host.pool
        self.execution: Execution = claim.execution
        self.deaths = claim.execution.deaths
        self._who = f"{claim.execution.workflow_id} #{claim.execution.number}"
        self._host = host
        self._outbox = outbox
        self._size_limit = size_limit
        self._stored_bytes = claim.execution.stored_bytes
        self._stored_lines = claim.execution.log_lines
        self._running: set[Request] = set()
        self._last: dict[str, FailedAttempt] = {}
        self._counts: dict[str, int] = {}
        self._has_lease = asyncio.Event()
        self._has_lease.set()
        self._take_attempts(claim)

    def __bool__(self) -> bool:
        """True while a body runs."""
        return bool(self._running)

    def start(self, request: Request, call: RunCall) -> None:
        """Starts a body, or the rest of the delay before its next attempt."""
        last = self._last.get(call.key)
        request.body = Body(self, request, call, self._counts.get(call.key, 0), last.due_at if last else 0)
        self._running.add(request)
        request.body.start()

    def stop(self, request: Request) -> None:
        """Cancels a body; never waits for it."""
        if request.body is not None:
            self._running.discard(request)
            request.body.stop()

    def stop_all(self) -> None:
        """Cancels every body that runs."""
        for request in list(self._running):
            self.stop(request)

    def lease_ends(self) -> None:
        """Lets no attempt begin until `lease_begins`."""
        self._has_lease.clear()

    def lease_begins(self, claim: Claim | None = None) -> None:
        """Goes on under a lease; `claim`: a new one."""
        if claim is not None:
            self.deaths = claim.execution.deaths
            self._take_attempts(claim)
        self._has_lease.set()

    def wake(self, request: Request) -> None:
        """Counts a resting body whose delay is over as running again, so that the execution does not park anew."""
        body = request.body
        if body is not None and body.resting and body.due_at <= self.clock.now():
            request.pending = False
            self._running.add(request)

    def _take_attempts(self, claim: Claim) -> None:
        counts: dict[str, int] = {}
        for failed in claim.attempts:
            self._last[failed.key] = failed
            counts[failed.key] = counts.get(failed.key, 0) + 1
        self._counts.update(counts)

    # ── BodyOwner ────────────────────────────────────────────────────────────────────────────────────

    def write(self, op: Record | RetryAt | StepStarted, lazily: bool = False) -> None:
        self._outbox.write(op, lazily)

    async def written(self) -> None:
        """Returns once everything written so far is committed."""
        await self._outbox.written()

    def body_broke(self, error: BaseException) -> None:
        self._host.body_broke(error)

    def holds_lease(self) -> bool:
        """False once the lease may have ended: no attempt may begin under it (S8.2)."""
        return self._host.holds_lease()

    def body_over(self, request: Request) -> None:
        self._running.discard(request)

    def body_rests(self, request: Request) -> None:
        """A long delay before the next attempt has begun: the execution may park for it."""
        self._running.discard(request)
        request.pending = True
        self._host.body_changed()

    async def body_resumes(self, request: Request) -> None:
        """Returns when the body may run its next attempt: under a lease only."""
        await self._has_lease.wait()
        request.pending = False
        self._running.add(request)

    def account(self, key: str, value: Stored) -> None:
        """Counts a value against what one execution may hold (S3.3). Raises `PayloadTooLarge`."""
        size = len(value.text)
        if size > WARN_ABOVE:
            self._host.warn(f"step {key!r} stores {size:,} bytes; a value may take {VALUE_LIMIT:,}")
        if self._stored_bytes + size > self._size_limit:
            raise PayloadTooLarge(
                f"the execution's values take {self._stored_bytes + size:,} bytes with this one, "
                f"the limit is {self._size_limit:,}",
                hint="store large data elsewhere and pass its name",
            )
        self._stored_bytes += size

    def log_scope(self, key: str | None, attempt: int) -> Scope:
        """Returns where lines of a body go; key None: the workflow's own, of which a replay stores none again."""
        return Scope(self._take_line, key, attempt, self._stored_lines if key is None else 0, self._who)

    def _take_line(self, scope: Scope, text: str, level: str, stream: str) -> bool:
        number = scope.count
        text = text.encode("utf-8", "backslashreplace").decode()
        line = LogLine(at=self.clock.now(), level=level, text=text, step_key=scope.step_key, attempt=scope.attempt,
                       number=number, stream=stream)  # fmt: skip
        self._outbox.add_line(line, number if scope.step_key is None else 0)
        return True
