"""A worker reduced to one execution: starts sessions, takes them back when parked, and writes down what they did."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from polos.authoring.state import StateKeeper
from polos.calls import EventCall, RunCall, SleepCall, ValueCall
from polos.core.codec import decode, encode
from polos.core.model import Entry, Kind, Outcome
from polos.core.ops import Block, Finish
from polos.core.retry import RetryPolicy
from polos.core.status import Status
from polos.worker.pool import BodyPool
from polos.worker.request import Request
from polos.worker.session import Session
from tests.worker.memory_store import MemoryStore, Snapshot
from tests.worker.virtual import CountedIds, Dice, VirtualClock, VirtualLoop

Observation = tuple[Any, ...]
Program = Callable[["Ctx"], Coroutine[Any, Any, Any]]


class TracedSession(Session):
    """A session that writes down requests and deliveries, stamped with the `seq` of the last delivery."""

    trace: list[Observation]

    def _admit(self, key: str, kind: Kind, site: str) -> Request:
        self.trace.append((self.delivery.after, "asks", key, kind.value))
        return super()._admit(key, kind, site)

    def _deliver(self, entry: Entry) -> bool:
        self.trace.append((entry.seq, "gets", entry.key))
        return super()._deliver(entry)


class Ctx:
    """What a program of these tests has in hand: the calls of `ctx.step`, made straight on the session."""

    def __init__(self, session: TracedSession, dice: Dice, bodies: list[str]) -> None:
        self.session = session
        self._dice = dice
        self.bodies = bodies

    def note(self, label: str, value: Any = None) -> None:
        """Writes down what the code sees, with the number of outcomes delivered by now."""
        self.session.trace.append((self.session.delivery.after, label, value))

    def call(self, call: Any) -> Coroutine[Any, Any, Any]:
        coroutine = self._outcome(call)
        self.session.created(call.key, coroutine)
        return coroutine

    async def _outcome(self, call: Any) -> Any:
        delivered = await self.session.request(call)
        if delivered.error is not None:
            raise delivered.error
        return delivered.value

    def run(
        self, key: str, fn: Callable[..., Any], retries: int = 0, base_delay: float = 1.0, timeout: float | None = None
    ) -> Coroutine[Any, Any, Any]:
        return self.call(
            RunCall(
                key=key, kind=Kind.RUN, site=f"here:{key}", decode=decode, fn=fn, args=(), kwargs={},
                policy=RetryPolicy(max_retries=retries, base_delay=base_delay, max_delay=1000), timeout=timeout,
                encode=encode, arguments="",
            )
        )  # fmt: skip

    def step(
        self, key: str, lasts: float | None = None, fails: bool = False, retries: int = 0
    ) -> Coroutine[Any, Any, Any]:
        """A step whose body takes `lasts` seconds (or a random while) and gives its key."""

        async def body() -> str:
            self.bodies.append(key)
            await asyncio.sleep(self._dice.random() * 0.1 if lasts is None else lasts)
            if fails:
                raise ValueError(key)
            return key

        return self.run(key, body, retries, 0.01)

    def value(self, key: str) -> Coroutine[Any, Any, Any]:
        return self.call(
            ValueCall(
                key=key, kind=Kind.VALUE, site=f"here:{key}", decode=decode, make=lambda clock, ids, rng: ids.new("v")
            )
        )

    def sleep(self, key: str, seconds: float) -> Coroutine[Any, Any, Any]:
        return self.call(
            SleepCall(key=key, kind=Kind.SLEEP, site=f"here:{key}", decode=decode, span=round(seconds * 1_000_000))
        )

    def event(self, key: str, topic: str, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
        span = None if timeout is None else round(timeout * 1_000_000)
        return self.call(
            EventCall(
                key=key, kind=Kind.EVENT, site=f"here:{key}", decode=decode, topic=topic, timeout=span, match=None,
                since="start",
            )
        )  # fmt: skip


@dataclass
class Result:
    """How an execution went: one trace for each pass, the journal, the end."""

    passes: list[list[Observation]]
    drops: list[int]  # the last `seq` delivered of each pass that was evicted
    store: MemoryStore
    bodies: list[str]
    warnings: list[str]
    faults: list[str] = field(default_factory=list)

    @property
    def trace(self) -> list[Observation]:
        return self.passes[-1]

    @property
    def end(self) -> Finish | Block:
        assert self.store.end is not None
        return self.store.end

    @property
    def value(self) -> Any:
        assert isinstance(self.end, Finish) and self.end.outcome is Outcome.COMPLETED, self.end
        assert self.end.value is not None
        return decode(self.end.value)

    @property
    def reason(self) -> dict[str, Any]:
        assert isinstance(self.end, Block), self.end
        found: dict[str, Any] = json.loads(self.end.reason)
        return found

    @property
    def journal(self) -> list[str]:
        return [entry.key for entry in self.store.entries]


class Host:
    """Implements `SessionHost` for one execution."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        program: Program,
        *,
        seed: int = 0,
        snapshot: Snapshot | None = None,
        events: tuple[tuple[float, str, Any], ...] = (),
        evicts: Callable[[], bool] = lambda: False,
        replay_stall: float = 60.0,
        lag: float = 0.02,
        deaths: int = 0,
        stops_at: float | None = None,
        time_limit: int | None = None,
    ) -> None:
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.ids = CountedIds()
        self.rng = Dice(seed)
        self.pool = BodyPool(2)
        self.size_limit = 64 << 20
        self.replay_stall = replay_stall
        self.store: Any = MemoryStore(loop, self.clock.now, Dice(seed + 1), snapshot, lag=lag)
        self.program = program
        self.result = Result([], [], self.store, [], [])
        self.session: TracedSession | None = None
        self._evicts = evicts
        self._dice = Dice(seed + 2)
        self._moved = asyncio.Event()
        self._over = False
        self._error: BaseException | None = None
        self.store.on_outcome("wrk", self._came)
        self._time_limit = time_limit
        if stops_at is not None:
            loop.call_later(stops_at, self.store.stop)
        already = len(snapshot.events) if snapshot else 0
        for delay, topic, data in events[already:]:
            loop.call_later(delay, self.store.publish, topic, encode(data))

    def _came(self, _number: int) -> None:
        if self.session is not None and not self.session.parked:
            self.session.fetch()

    def session_parked(self, session: Session) -> None:
        self._moved.set()

    def session_over(self, session: Session, error: BaseException | None) -> None:
        if self._over:
            self.result.faults.append("the session ended twice")
        self._over, self._error = True, error
        self._moved.set()

    def session_cleared(self, session: Session) -> None: ...

    def call_for(self, execution: Any, call: Any) -> Any:
        return call

    def goes_on(self, session: Session) -> bool:
        return True

    def holds_leases(self) -> bool:
        return True

    def warn(self, session: Session, text: str) -> None:
        self.result.warnings.append(text)

    def enter(self) -> TracedSession:
        """Claims and starts a new session."""
        claim = self.store.take()
        session = TracedSession(self, claim, encode, StateKeeper("w", None, None), self._time_limit)
        session.trace = []
        self.result.passes.append(session.trace)
        self.session = session
        session.start(self.program(Ctx(session, self._dice, self.result.bodies)))
        return session

    async def finish(self) -> Result:
        """Runs the execution to its end."""
        if self.session is None:
            self.enter()
        while True:
            await self._moved.wait()
            self._moved.clear()
            session = self.session
            assert session is not None
            if self._over:
                if self._error is not None:
                    self.result.faults.append(f"the session ended with {self._error!r}")
                break
            if session.parked:
                await self.store.queued.wait()
                if self._evicts():
                    self.result.drops.append(session.delivery.after)
                    session.drop()
                    self.enter()
                else:
                    session.reclaim(self.store.take(session.delivery.seq))
        self.result.faults += self.store.faults
        if self.store.end is None:
            self.result.faults.append(f"no end was written; the status is {self.store.status}")
        return self.result


def play(program: Program, *, real: bool = False, **options: Any) -> Result:
    """Runs a program to its end on a loop of its own."""
    loop = VirtualLoop(real)
    try:
        result = loop.run_until_complete(_play(loop, program, options))
        result.faults += loop.faults
        return result
    finally:
        loop.settle()


async def _play(loop: asyncio.AbstractEventLoop, program: Program, options: dict[str, Any]) -> Result:
    return await Host(loop, program, **options).finish()


def upto(trace: list[Observation], seq: int) -> list[Observation]:
    return [seen for seen in trace if seen[0] <= seq]


def difference(before: list[Observation], now: list[Observation], seq: int) -> str | None:
    """Returns the first observation up to `seq` in which two passes differ, or None."""
    left, right = upto(before, seq), upto(now, seq)
    for index in range(max(len(left), len(right))):
        a = left[index] if index < len(left) else "nothing more"
        b = right[index] if index < len(right) else "nothing more"
        if a != b:
            return f"at observation {index}: {a} became {b}"
    return None


def replay_differences(program: Program, *, seed: int = 0, full_only: bool = False, **options: Any) -> list[str]:
    """Plays a program once live, then once from every outcome on; returns all that differed."""
    live = play(program, seed=seed, **options)
    found = [f"live: {fault}" for fault in [*live.faults, *live.warnings]]
    if isinstance(live.store.end, Block):
        found.append(f"live: blocked: {live.store.end.reason}")
    for earlier, later, cut in zip(live.passes, live.passes[1:], live.drops, strict=False):
        differs = difference(earlier, later, cut)
        if differs:
            found.append(f"live, evicted at {cut}: {differs}")
    snapshots = live.store.snapshots
    for snapshot in snapshots[-1:] if full_only else snapshots:
        again = play(program, seed=seed + 1000 + snapshot.seq, snapshot=snapshot, **options)
        cut = snapshot.seq
        found += [f"cut at {cut}: {fault}" for fault in [*again.faults, *again.warnings]]
        if isinstance(again.store.end, Block):
            found.append(f"cut at {cut}: blocked: {again.store.end.reason}")
        differs = difference(live.trace, again.trace, cut)
        if differs:
            found.append(f"cut at {cut}: {differs}")
        if cut == len(live.store.entries) and _end(live) != _end(again):
            found.append(f"full replay: the end {_end(live)} became {_end(again)}")
        if found:
            break
    return found


def _end(result: Result) -> Any:
    end = result.store.end
    if isinstance(end, Finish):
        return (end.outcome, end.value, end.failure and (end.failure.type_name, end.failure.message), end.cause_key)
    return end


__all__ = ["Ctx", "Host", "Program", "Result", "Status", "VirtualLoop", "difference", "play", "replay_differences"]
