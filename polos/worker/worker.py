"""Claims executions and runs them, up to a bound; keeps waiting ones hot (S1.10). Knows no store but its port."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Literal

from polos.authoring.registry import Registry
from polos.calls import RunCall, ValueCall
from polos.clock import Clock, Ids, Rng
from polos.core.manifest import WorkerInfo
from polos.core.model import Execution
from polos.core.ops import CommitAnswer, Release
from polos.core.status import SUSPECT
from polos.errors import EngineError, LeaseLost, OwnerLost
from polos.ports import Claim, ClaimRequest, WorkerStore
from polos.worker.entering import session_for
from polos.worker.heartbeat import Heartbeat
from polos.worker.hot import HotSessions
from polos.worker.leaving import give_back
from polos.worker.manifest import checker_of, with_manifest
from polos.worker.pool import BodyPool
from polos.worker.session import REPLAY_STALL, Session

log = logging.getLogger(__name__)
CLAIM_WAIT = 30.0
LEASE_SECONDS = 30.0
"""How long a lease goes on without a renewal, where the owner does not say (S8.2)."""


class LocalWorker:
    """The part that works, on one loop. `roots`: claims only the trees of these executions (`polos run`)."""

    def __init__(
        self,
        store: WorkerStore,
        registry: Registry,
        *,
        clock: Clock,
        ids: Ids,
        rng: Rng,
        project: str = "",
        complete: bool = False,
        max_concurrent: int = 100,
        max_hot: int = 10_000,
        size_limit: int = 64 << 20,
        replay_stall: float = REPLAY_STALL,
        on_fault: Callable[[BaseException], None] | None = None,
        on_warning: Callable[[str], None] | None = None,
        code: str = "",
        is_checked: bool = False,
        interpose: Callable[[Execution, RunCall | ValueCall], RunCall | ValueCall] | None = None,
        has_pulse: bool = True,
        claim_wait: float = CLAIM_WAIT,
    ) -> None:
        self.store, self.registry = store, registry
        self.clock, self.ids, self.rng = clock, ids, rng
        self.loop = asyncio.get_running_loop()
        self.pool = BodyPool()
        self.size_limit = size_limit
        self.replay_stall = replay_stall
        self.id = ids.new("wrk")
        self.roots: set[str] | None = None
        self._project, self._complete = project, complete
        self._max_concurrent = max_concurrent
        self._running: dict[int, Session] = {}
        self._hot = HotSessions(max_hot)
        self._room = asyncio.Event()
        self._stopping = False
        self._on_fault = on_fault
        self._on_warning = on_warning
        self._forget: Callable[[], object] | None = None
        self._started_at = clock.now()
        self._again: asyncio.Task[None] | None = None
        self._code, self._is_checked = code, is_checked
        self._interpose = interpose
        self._has_pulse = has_pulse
        self._claim_wait = claim_wait
        self.introduced = asyncio.Event()
        self._suspect: Session | None = None
        self._claiming: asyncio.Task[list[Claim]] | None = None
        self._heartbeat = Heartbeat(
            clock, store.renew, lambda: store.lease_seconds or LEASE_SECONDS, self._leases_ended, self.warn_text
        )

    # ── the claim loop ───────────────────────────────────────────────────────────────────────────────

    async def work(self) -> None:
        """Claims and runs until cancelled."""
        if self._has_pulse:
            self._heartbeat.start()
        await self.introduce()
        self.introduced.set()
        forget = [
            self.store.on_outcome(self.id, self._outcome_came),
            self.store.on_question(self.id, checker_of(self.registry)),
        ]
        self._forget = lambda: [one() for one in forget]
        while not self._stopping:
            room = self._max_concurrent - len(self._running)
            if room <= 0 or self.pool.is_full_of_stuck:
                if room > 0:
                    self.warn_text(
                        "all threads are held by bodies whose attempt is over; claiming nothing until one returns"
                    )
                self._room.clear()
                await self._wait_for_room(room)
                continue
            try:
                claims = await self._claim(self._request(room))
            except LeaseLost:
                await self._begin_again()
                continue
            for claim in claims:
                self._enter(claim)

    async def _claim(self, request: ClaimRequest) -> list[Claim]:
        if self._suspect is None:
            return await self.store.claim(request, self._claim_wait)
        # What this asks for ends with the suspect's clearing, so the call can be given up.
        self._claiming = self.loop.create_task(self.store.claim(request, self._claim_wait))
        try:
            await asyncio.wait({self._claiming})
            return [] if self._claiming.cancelled() else self._claiming.result()
        finally:
            self._claiming.cancel()
            self._claiming = None

    async def _wait_for_room(self, room: int) -> None:
        try:
            async with asyncio.timeout(None if room <= 0 else 1.0):  # (wait_for of 3.11 may swallow a cancel)
                await self._room.wait()
        except TimeoutError:
            pass  # the stuck threads are looked at again

    async def introduce(self) -> None:
        """Says hello with the manifest; again when it has grown."""
        asked_at = self.clock.monotonic()
        await self.store.hello(*self.introduction())
        self._begin_lease(asked_at)

    def introduction(self) -> tuple[WorkerInfo, Mapping[int, int]]:
        """Returns who this is, and the epoch of each execution that it holds, by number."""
        holding = {number: session.outbox.lease.epoch for number, session in self._running.items()}
        who = WorkerInfo(
            id=self.id, pid=os.getpid(), project=self._project, complete=self._complete, claims=self.claims(),
            started_at=self._started_at, code=self._code, is_checked=self._is_checked,
        )  # fmt: skip
        return with_manifest(who, self.registry), holding

    def attached(self, holding: Mapping[int, int], asked_at: float) -> None:
        """Goes on with another owner, which has been told who this is; news of these may have been missed."""
        self._begin_lease(asked_at)
        for number in holding:
            self._outcome_came(number)

    def _begin_lease(self, asked_at: float) -> None:
        if self.store.lease_seconds is None:
            self._heartbeat.end_lease()
        else:
            self._heartbeat.begin_lease(asked_at)

    # ── leases (S8.2) ────────────────────────────────────────────────────────────────────────────────

    def holds_leases(self) -> bool:
        """False once the leases may have ended: nothing more may be begun under them."""
        return self._heartbeat.is_valid

    def goes_on(self, session: Session) -> bool:
        return self._heartbeat.is_valid

    def _leases_ended(self) -> None:
        if not self._heartbeat.is_valid and not self._stopping and self._again is None:
            self._again = self.loop.create_task(self._begin_again())

    async def _begin_again(self) -> None:
        """Drops what it ran, whose leases are gone, and says hello anew: others go on with that."""
        if self._running:
            self.warn_text(
                f"the leases of {len(self._running)} executions ended: this process stood still, or could not reach the "
                f"engine. They go on where their journals end"
            )
        for session in list(self._running.values()):
            session.drop()
        self._running.clear()
        self._room.set()
        try:
            await self.introduce()
        finally:
            self._again = None

    def _request(self, room: int) -> ClaimRequest:
        return ClaimRequest(
            worker_id=self.id,
            workflow_ids=frozenset(self.registry.names),
            limit=room,
            held=self._hot,
            root_ids=None if self.roots is None else frozenset(self.roots),
            only_rest=self.claims() == "rest",
            runs_suspect=self._suspect is not None,
        )

    def claims(self) -> Literal["all", "own", "rest", "none"]:
        """What it claims: as a guest that is not there for all, what no other worker has."""
        if self._stopping:
            return "none"
        if self.roots is not None:
            return "own"
        return "all" if self._complete or self.store.lease_seconds is None else "rest"

    def _enter(self, claim: Claim) -> None:
        number = claim.execution.number
        hot = self._hot.take(number)
        if hot is not None and claim.lease.epoch != hot.outbox.lease.epoch + 1:
            hot.drop()  # somebody else had it meanwhile: what this pass knows is no longer where it stands
            hot = None
        if hot is not None:
            self._running[number] = hot
            hot.reclaim(claim)
            self._suspect_maybe(hot, claim)
            return
        if claim.is_held:
            # It has been dropped from memory, and the claim brings only the newest outcomes.
            self.store.commit(claim.lease, 1, [Release()], claim.execution.seq).add_done_callback(_retrieved)
            return
        stale = self._running.pop(number, None)
        if stale is not None:
            stale.drop()
        self._running[number] = entered = session_for(self, claim, self.registry)
        self._suspect_maybe(entered, claim)

    def _suspect_maybe(self, session: Session, claim: Claim) -> None:
        if claim.execution.deaths >= SUSPECT:
            self._suspect = session

    def session_cleared(self, session: Session) -> None:
        """It has got an outcome, parked or ended: it did not bring the process down (S8.3)."""
        if self._suspect is session:
            self._suspect = None
            if self._claiming is not None:
                self._claiming.cancel()

    def call_for(self, execution: Execution, call: RunCall | ValueCall) -> RunCall | ValueCall:
        """Returns the call whose body is run, or that makes a value: tests may put another in its place."""
        return call if self._interpose is None else self._interpose(execution, call)

    def _outcome_came(self, number: int) -> None:
        session = self._running.get(number)
        if session is not None:
            session.fetch()

    # ── what sessions tell (SessionHost) ─────────────────────────────────────────────────────────────

    def session_parked(self, session: Session) -> None:
        number = session.execution.number
        self.session_cleared(session)
        self._running.pop(number, None)
        self._hot.put(session)
        self._room.set()

    def session_over(self, session: Session, error: BaseException | None) -> None:
        number = session.execution.number
        self.session_cleared(session)
        if self._running.get(number) is session:
            del self._running[number]
        self._room.set()
        if error is None or isinstance(error, LeaseLost):
            return
        log.error("an execution stopped for a fault of the engine: %s", error)
        if self._on_fault is not None:
            self._on_fault(error)

    def warn(self, session: Session, text: str) -> None:
        self.warn_text(f"{session.execution.workflow_id} {session.execution.number}: {text}")

    def warn_text(self, text: str) -> None:
        """Says something that a person should look at."""
        if self._on_warning is not None:
            self._on_warning(text)
        else:
            log.warning("%s", text)

    @property
    def running(self) -> int:
        """How many executions run now."""
        return len(self._running)

    @property
    def hot(self) -> int:
        """How many waiting executions are kept in memory."""
        return len(self._hot)

    @property
    def runs_bodies(self) -> bool:
        """True while a step's body runs."""
        return any(session.bodies for session in self._running.values())

    def die(self) -> None:
        """Drops everything as the end of the process would, and writes nothing more."""
        self._stopping = True
        for session in list(self._running.values()):
            session.drop()
        self._running.clear()
        self.evict_all()
        if self._forget is not None:
            self._forget()

    def evict_all(self) -> None:
        """Drops every waiting execution from memory; each is re-entered by replay when it wakes."""
        self._hot.evict_all()

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────

    async def stop(self, grace: float = 10.0) -> None:
        """Takes nothing new, gives each execution back once its bodies have ended, and all of them after `grace` seconds."""
        self._stopping = True
        if self._again is not None:
            self._again.cancel()
        for session in self._running.values():
            session.drain()
        self.evict_all()  # whoever runs this code next goes on with them
        if self._running:
            await give_back(self.store, self.id, self._running, grace)
        self.evict_all()
        for session in list(self._running.values()):
            session.drop()
        if self._forget is not None:
            self._forget()
        self._heartbeat.stop()
        try:
            await self.store.goodbye(self.id)
        except OwnerLost:
            pass  # it has gone first
        except EngineError as error:
            log.warning("no goodbye: %s", error)


def _retrieved(done: asyncio.Future[CommitAnswer]) -> None:
    if not done.cancelled():
        done.exception()  # a store that is gone is told by whatever else is under way
