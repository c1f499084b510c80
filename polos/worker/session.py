"""One pass of one execution: takes requests, delivers outcomes, parks, ends. Runs no body; commits by its outbox."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from polos import crashpoints
from polos.authoring.state import StateKeeper
from polos.calls import AnyCall, RunCall, ValueCall
from polos.clock import Clock, Ids, Rng
from polos.core.delivery import Deliver, Delivery, KindChanged, Stalled
from polos.core.failure import step_error
from polos.core.model import Entry, Execution, Kind, Outcome, PendingWait, Stored
from polos.core.ops import Await, Block, CloseWait, CommitAnswer, Expire, Finish, Op, Park, Release, SaveState
from polos.errors import DuplicateStepKey, LeaseLost, StoreUnavailable, UsageError
from polos.ports import Claim, WorkerStore
from polos.worker import divergence
from polos.worker.bodies import Bodies
from polos.worker.capture import SCOPE
from polos.worker.ending import end_of
from polos.worker.foreign import ForeignWatch
from polos.worker.loop import CURRENT, RecordedTimer, Run
from polos.worker.outbox import Outbox
from polos.worker.parking import parking_of
from polos.worker.pool import BodyPool
from polos.worker.request import Delivered, Request, RequestFuture, SessionClosed
from polos.worker.running import RunningTime
from polos.worker.starting import op_for
from polos.worker.timers import LoopTimers

PARK_AGAIN = 0.05
"""Seconds after which a refused park is asked for again."""
REPLAY_STALL = 60.0
"""Seconds that a replay waits on something not recorded before it counts as diverged (S1.7)."""


class SessionHost(Protocol):
    """What a session needs of its worker."""

    store: WorkerStore
    clock: Clock
    ids: Ids
    rng: Rng
    loop: asyncio.AbstractEventLoop
    pool: BodyPool
    size_limit: int
    replay_stall: float

    def session_parked(self, session: Session) -> None: ...
    def session_over(self, session: Session, error: BaseException | None) -> None: ...
    def session_cleared(self, session: Session) -> None: ...
    def call_for(self, execution: Execution, call: RunCall | ValueCall) -> RunCall | ValueCall: ...
    def warn(self, session: Session, text: str) -> None: ...
    def holds_leases(self) -> bool: ...
    def goes_on(self, session: Session) -> bool:
        """Tells whether what has no record may begin: the session rests at the end of what is recorded."""
        ...


class Session:
    """Implements `RunPort` for `ctx.step`, and owns the run's queue on the loop."""

    def __init__(
        self, host: SessionHost, claim: Claim, encode_output: Callable[[Any], Stored], state: StateKeeper,
        time_limit: int | None = None,
    ) -> None:  # fmt: skip
        self.host = host
        self.store, self.clock, self.ids, self.rng = host.store, host.clock, host.ids, host.rng
        self.loop, self.pool = host.loop, host.pool
        self._execution = claim.execution
        self.delivery = Delivery(claim.entries, claim.pending, claim.execution.seq)
        self.run = Run(claim.execution.id, self.loop, self)
        self.requests: dict[str, Request] = {}
        self.held: list[Request] = []
        self.parked = False
        self.ending = False
        self.draining = False
        self._encode_output = encode_output
        self._main: asyncio.Task[Any] | None = None
        self._open: dict[str, Request] = {}  # requests whose outcome has not reached the code
        self.outbox = Outbox(host.store, claim.lease, self.run, self, claim.execution.log_lines)
        self.bodies = Bodies(self, claim, self.outbox, host.size_limit)
        self.timers = LoopTimers(self.run, self.outbox, self.clock)
        self._parking = False
        self._kind_changed: str | None = None
        self._state = state
        self._stop: Entry | None = None
        self._time = RunningTime(self.loop, self.clock, time_limit, self._time_is_over, self._cleared_up)
        self._time.begin(claim.execution.ran_for)
        self._created: dict[str, Any] = {}
        self._foreign = ForeignWatch(self.run, self.warn, host.replay_stall)
        self._scope = self.bodies.log_scope(None, 0)

    # ── RunPort ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def execution(self) -> Execution:
        return self._execution

    @property
    def is_replaying(self) -> bool:
        return self.delivery.is_replaying

    @property
    def state(self) -> StateKeeper:
        return self._state

    def created(self, key: str, coroutine: Any) -> None:
        self._created[key] = coroutine

    def request(self, call: AnyCall) -> RequestFuture:
        """Takes a step call; see `RunPort`."""
        self._created.pop(call.key, None)
        if self.run.closed:
            raise SessionClosed
        if CURRENT.get() is not self.run:
            raise UsageError(
                f"ctx.step is used outside its workflow's own code, for the step {call.key!r} ({call.site})",
                hint="call ctx.step from the workflow function, not from a step's body, a thread or another program",
            )
        known = self.requests.get(call.key)
        if known is not None:
            raise DuplicateStepKey(
                f"the step key {call.key!r} is used twice: first at {known.site}, again at {call.site}",
                hint=f'give each step its own key; in a loop, put the loop variable into it: f"{call.key}-{{item}}"',
            )
        if isinstance(call, ValueCall) and call.past is not None and self.delivery.is_past(call.key):
            future = RequestFuture(loop=self.loop)
            future.set_result(Delivered(call.past))
            return future
        request = self._admit(call.key, call.kind, call.site)
        request.call = call
        request.future = future = RequestFuture(loop=self.loop)
        if isinstance(call, RunCall):
            request.context = contextvars.copy_context()
        future.on_cancel = lambda: self._cancelled(request)
        return future

    def _admit(self, key: str, kind: Kind, site: str) -> Request:
        request = Request(key, kind, site, self.delivery.after)
        self.requests[key] = self._open[key] = request
        found = self.delivery.request(key, kind)
        if found is None:
            self.held.append(request)
        elif isinstance(found, KindChanged):
            self._kind_changed = divergence.kind_changed(found.recorded, kind, site)
        elif isinstance(found, PendingWait):
            request.pending = True
        else:
            request.recorded = True
            request.pending = kind is Kind.EVENT
        self._foreign.moved()
        return request

    def _cancelled(self, request: Request) -> None:
        """The code gave the request up: at once, whatever its body does (S1.6)."""
        if request.cancelled or self.run.closed:
            return
        request.cancelled = True
        self._open.pop(request.key, None)
        self.delivery.cancel(request.key)
        if request.host_timer is not None:
            request.host_timer.cancel()
        self.bodies.stop(request)
        if request.pending and (not request.recorded or request.kind is Kind.EVENT):
            self.write(CloseWait(key=request.key))  # an event that it has got meanwhile goes to another wait
            request.pending = False

    # ── RunOwner: the loop asks ──────────────────────────────────────────────────────────────────────

    def has_open_requests(self) -> bool:
        return bool(self._open)

    def deliver_next(self) -> bool:
        """Delivers the next outcome, or starts what is new, parks or ends. Called at rest only."""
        if self.ending or self.parked:
            return False
        try:
            return self._decide()
        except Exception as error:  # a mistake of ours must stop this execution, never hang it
            self._block(divergence.engine_fault(error))
            return False

    def _decide(self) -> bool:
        if self._kind_changed is not None:
            self._block(self._kind_changed)
            return False
        assert self._main is not None
        if self._main.done():
            self._end(self._main)
            return False
        step = self.delivery.next()
        if isinstance(step, Deliver):
            return self._deliver(step.entry)
        if isinstance(step, Stalled):
            self._stalled(step)
            return False
        if self.host.goes_on(self):
            self._start_held()
            self._maybe_park()
        return False

    def timer_requested(self, timer: RecordedTimer, delay: float) -> None:
        request = self._admit(self.timers.next_key(), Kind.TIMER, "")
        self.timers.take(request, timer, delay)

    def timer_cancelled(self, timer: RecordedTimer) -> None:
        request = timer.request
        # `asyncio.sleep` cancels its timer after it has fired too.
        if request is not None and not self.delivery.is_delivered(request.key):
            self._cancelled(request)

    def foreign_wake(self, handle: asyncio.Handle) -> None:
        self._foreign.woke(handle)

    # ── deliveries ───────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, entry: Entry) -> bool:
        if entry.kind is Kind.STOP:
            return self._tell_to_stop(entry)
        request = self.requests.get(entry.key)
        if request is None:  # recorded by another pass under a key that this code has not asked for
            return True
        self._open.pop(entry.key, None)
        self.run.turns = 0
        request.recorded = True
        if request.timer is not None:
            self.run.ready.append(request.timer)
            return True
        assert request.future is not None and request.call is not None
        if entry.outcome is Outcome.COMPLETED and entry.value is not None:
            try:
                delivered = Delivered(request.call.decode(entry.value))
            except Exception as error:  # a user's validator may raise anything
                self._block(divergence.value_mismatch(entry, request.site, error))
                return False
        else:
            delivered = Delivered(None, step_error(entry))
        crashpoints.reached("deliver")
        request.future.set_result(delivered)
        request.forget()
        return True

    # ── the stop (S8.4) ──────────────────────────────────────────────────────────────────────────────

    def _tell_to_stop(self, entry: Entry) -> bool:
        """Cancels the code at what it awaits, live and on replay alike; what it asks for from then on does run."""
        assert self._main is not None
        self._stop = entry
        self.run.turns = 0
        self._time.stopped(entry)
        self._main.cancel()
        return True

    def _time_is_over(self) -> None:
        self.write(Expire())

    def _cleared_up(self) -> None:
        self._close(Finish(outcome=Outcome.CANCELLED))

    def _stalled(self, stalled: Stalled) -> None:
        foreign = self._foreign.lines()
        reason = divergence.not_requested(stalled.missing, list(self.requests.values()), foreign)
        if foreign:
            self._foreign.stall(foreign[0], self._block, reason)
        else:
            self._block(reason)

    def _start_held(self) -> None:
        if not self.held or self.draining:
            return
        held, self.held = self.held, []
        for request in held:
            if request.cancelled:
                continue
            request.started = True
            if request.timer is not None:
                self.timers.start(request)
                continue
            call = request.call
            assert call is not None
            if isinstance(call, RunCall | ValueCall):
                call = self.host.call_for(self._execution, call)
            if isinstance(call, RunCall):
                self.bodies.start(request, call)
                continue
            op = op_for(call, request.after, self._execution, self.clock, self.ids, self.rng)
            request.pending = isinstance(op, Await) or (call.kind is Kind.CHILD)
            self.write(op)

    def body_changed(self) -> None:
        self.run.wake()

    def holds_lease(self) -> bool:
        """See `BodiesHost`."""
        return self.host.holds_leases()

    def warn(self, text: str) -> None:
        """Says something about this execution that a person should look at."""
        self.host.warn(self, text)

    # ── commits ──────────────────────────────────────────────────────────────────────────────────────

    def write(self, op: Op, lazily: bool = False) -> None:
        """Puts an operation into the next commit; `lazily`: whichever comes, but within 100 ms."""
        self.outbox.write(op, lazily)

    def known_seq(self) -> int:
        return self.delivery.seq

    def state_to_save(self) -> SaveState | None:
        """Returns the state where it has changed since it was last written; a replay's is not there yet."""
        if not self._state.is_used or self.delivery.is_replaying:
            return None
        changed = self._state.changed(self.warn)
        return None if changed is None else SaveState(value=changed)

    def fetch(self) -> None:
        """Asks for outcomes that came from elsewhere."""
        self.outbox.fetch()

    def commit_answered(self, answer: CommitAnswer) -> None:
        """Takes what a commit answered: outcomes to deliver, or the end of the lease."""
        if answer.outcomes:
            if self.bodies.deaths:
                self.bodies.deaths = 0
                self.host.session_cleared(self)
            self._take_outcomes(answer.outcomes)
        if self.ending:
            # The last operation may have come while this commit was under way: then it is still to be written.
            if answer.parked or not self.outbox.has_ops:
                self._ended()
            return
        refused = self._parking and not answer.parked and not answer.outcomes
        self._parking = False
        if refused:
            # What it would park on is changing in the store: asked again at once, it would be refused again.
            self._parking = True
            self.loop.call_later(PARK_AGAIN, self._park_again)
        if answer.parked:
            self.parked = True
            self._time.rest()
            self.outbox.hold_back()
            self.host.session_parked(self)
            return
        self.bodies.lease_begins()
        self.run.wake()

    def commit_refused(self, error: BaseException) -> None:
        """A commit was not applied: the lease is gone, the store is, or the engine made a mistake."""
        if self.ending or isinstance(error, LeaseLost | StoreUnavailable):
            self.drop()
            self.host.session_over(self, error)
            return
        self.warn(f"stopped for a fault of the engine: {error}")
        self.outbox.clear(lazy=True)
        self._close(Block(reason=divergence.engine_fault(error)))

    def _park_again(self) -> None:
        self._parking = False
        self.run.wake()

    def body_broke(self, error: BaseException) -> None:
        """A body's task ended by a mistake of ours: the execution must not hang."""
        self._block(divergence.engine_fault(error))

    def _take_outcomes(self, entries: Sequence[Entry]) -> None:
        self.delivery.add(entries)
        for entry in entries:
            known = self.requests.get(entry.key)
            if known is not None:
                known.recorded = True

    # ── parking ──────────────────────────────────────────────────────────────────────────────────────

    def _maybe_park(self) -> None:
        if self.bodies or self._parking or self.draining or self.held or not self._open or not self.outbox.is_idle:
            return
        parking = parking_of(self._open.values(), self.run.tasks, self.clock.now())
        if parking is None:
            return
        self.timers.make_durable(parking.timers)
        self._parking = True
        self.bodies.lease_ends()
        self.write(Park(on=parking.on))

    def reclaim(self, claim: Claim) -> None:
        """Goes on in place under a new lease (S1.10)."""
        self.parked = False
        self._time.begin(claim.execution.ran_for)
        self.bodies.lease_begins(claim)
        self._take_outcomes(claim.entries)
        self.delivery.knows(claim.execution.seq)
        for request in self._open.values():
            self.bodies.wake(request)
        self.outbox.renew(claim.lease)
        self.run.wake()

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────

    def start(self, coroutine: Any) -> None:
        """Starts the workflow's coroutine."""
        context = contextvars.copy_context()
        context.run(SCOPE.set, self._scope)
        self._main = self.run.spawn(coroutine, self._execution.id, context)

    def refuse(self, op: Finish | Block) -> None:
        """Ends an execution whose code cannot be started: its input does not fit."""
        self._close(op)

    def _end(self, main: asyncio.Task[Any]) -> None:
        self._scope.flush()
        if self._stop is not None:  # whatever the code returned
            self._close(Finish(outcome=Outcome.CANCELLED))
            return
        op = end_of(main, self.delivery, self.requests.values(), self._created, self._encode_output)
        if isinstance(op, Block):
            self._block(op.reason)
        else:
            self._close(op)

    def _close(self, op: Finish | Block | Release) -> None:
        """Stops everything that runs and writes the last operation."""
        if self.ending:
            return
        self.bodies.stop_all()
        if isinstance(op, Release):  # outcomes of bodies that have ended are given back with the execution
            self.timers.make_durable([r for r in self._open.values() if r.timer and not (r.recorded or r.pending)])
        else:
            self.outbox.clear()  # what still ran records nothing (S2.6)
        self.write(op)
        self.outbox.seal()
        self.ending = True

    def _block(self, reason: str) -> None:
        if self.ending or self.run.closed:
            return
        if self.delivery.is_replaying:
            self.outbox.clear(lazy=True)
        self._close(Block(reason=reason))

    def release(self) -> None:
        """Gives the execution back to the queue, as a worker that stops does."""
        self._close(Release())

    def drain(self) -> None:
        """Starts nothing new from now on."""
        self.draining = self.timers.draining = True

    @property
    def is_idle(self) -> bool:
        """True when no body runs and nothing is being written."""
        return not self.bodies and self.outbox.is_idle

    def _ended(self) -> None:
        self.drop()
        self.host.session_over(self, None)

    def drop(self) -> None:
        """Drops the code as the end of the process would; nothing is written any more."""
        if self.run.closed:
            return
        self.outbox.close()
        self._time.rest()
        self._foreign.moved()
        for request in self.requests.values():
            if request.body is not None:
                request.body.stop()
            if request.host_timer is not None:
                request.host_timer.cancel()
        self.run.close()
        for coroutine in self._created.values():
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()
