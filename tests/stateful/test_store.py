"""The store against a plain model: random lives of executions, and after each act both hold the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from polos.authoring.scheduled import rule as schedule_rule
from polos.core.manifest import EventTrigger, QueueRule, WorkerInfo
from polos.core.model import Failure, Kind, Outcome
from polos.core.ops import Await, Block, Finish, Park, Record
from polos.errors import ExecutionEnded, LeaseLost
from polos.ports import EventFilter, ExecutionFilter
from polos.store.sqlite.store import SqliteStore
from tests.conformance.acts import Hand, SetClock, event, new, stored, topic_channel
from tests.stateful import model as plain
from tests.stateful.model import LIMIT, OPEN, SECOND, Execution, Model

WORKFLOWS = ("wf", "triggered", "scheduled")
WORKERS = ("wrk_1", "wrk_2")
MOST = 14
WORK = "record record fail fail wait wait wait park park finish fail_with block late".split()  # noqa: SIM905  (weights)
OUTSIDE = "publish publish time time time start cancel retry retry dies code reopen late".split()  # noqa: SIM905
picks = st.integers(0, 1_000_000)


class StoreMachine(RuleBasedStateMachine):
    """One store and its model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="polos-model-"))
        self.runner = asyncio.Runner()
        self.clock = SetClock()
        self.model = Model()
        self.hands: dict[int, Hand] = {}
        self.stale: list[Hand] = []
        self.keys = 0
        self.triggered = 0
        self.slots = 0
        self.store = self.do(self._open())

    def do(self, asked: Any) -> Any:
        async def done() -> Any:
            return await asked

        return self.runner.run(done())

    async def _open(self) -> SqliteStore:
        store = SqliteStore(self.folder / "polos.db", self.clock, "relaxed")
        await store.open()
        return store

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ── choosing ─────────────────────────────────────────────────────────────────────────────────────

    def one_of(self, pick: int, *statuses: str) -> Execution | None:
        found = [one for one in self.model.executions.values() if one.status in statuses]
        return found[pick % len(found)] if found else None

    def held(self, pick: int) -> tuple[Execution, Hand] | None:
        one = self.one_of(pick, "running")
        return None if one is None else (one, self.hands[one.number])

    def key(self) -> str:
        self.keys += 1
        return f"k{self.keys}"

    async def adopt(self) -> None:
        """Takes executions that the store has started by itself into the model."""
        for found in reversed(await self.store.search(ExecutionFilter(limit=200))):
            if found.number not in self.model.executions:
                self.model.executions[found.number] = Execution(
                    id=found.id, number=found.number, workflow=found.workflow_id, available_at=self.clock.now(),
                    since_event=len(self.model.events), placed_at=self.clock.now(),
                )  # fmt: skip

    def count(self, workflow: str) -> int:
        return sum(one.workflow == workflow for one in self.model.executions.values())

    # ── acts ─────────────────────────────────────────────────────────────────────────────────────────

    @initialize()
    def come(self) -> None:
        for worker in WORKERS:
            self.hello(worker, "old")
        for queue, line in ((None, ""), ("q", ""), ("q", ""), ("q", ""), ("q", "x"), (None, "")):
            self.start(queue, line, 0)
        self.claim(WORKERS[0], 2, False)
        self.claim(WORKERS[1], 2, False)

    @rule(
        pick=picks, act=st.sampled_from(WORK),
        behind=st.booleans(), again=st.booleans(), topic=st.sampled_from(["a", "b", None]), seconds=st.integers(1, 5),
        cause=picks,
    )  # fmt: skip
    def work(self, pick: int, act: str, behind: bool, again: bool, topic: str | None, seconds: int, cause: int) -> None:
        """What workers do with what they hold; they take something first, where they hold nothing."""
        if self.one_of(pick, "running") is None:
            self.claim(WORKERS[pick % 2], 3, False)
        if act in ("record", "fail"):
            self.record(pick, act == "record", behind, again)
        elif act == "wait":
            self.wait(pick, topic, seconds)
        elif act == "park":
            self.park(pick)
        elif act == "late":
            self.write_late(pick)
        else:
            self.leave(pick, {"finish": "completed", "fail_with": "failed", "block": "block"}[act], cause)

    @rule(worker=st.sampled_from(WORKERS), limit=st.integers(1, 4), runs_suspect=st.sampled_from([False, False, True]))
    def take(self, worker: str, limit: int, runs_suspect: bool) -> None:
        self.claim(worker, limit, runs_suspect)

    @rule(
        pick=picks, act=st.sampled_from(OUTSIDE),
        topic=st.sampled_from(["a", "a", "b"]), seconds=st.sampled_from([0.5, 1, 2, 4, 61]),
        worker=st.sampled_from(WORKERS), code=st.sampled_from(["old", "new"]), takes=st.booleans(),
    )  # fmt: skip
    def outside(self, pick: int, act: str, topic: str, seconds: float, worker: str, code: str, takes: bool) -> None:
        """What happens from outside; a worker that has died comes back soon."""
        is_full = len(self.model.executions) >= MOST
        if act == "publish" and not is_full:
            self.publish(topic)
        elif act == "time" and not is_full:
            self.time_passes(seconds)
        elif act == "start" and not is_full:
            self.start("q" if pick % 3 else None, "x" if pick % 2 else "", 3 if pick % 5 == 0 else 0)
        elif act == "cancel":
            self.cancel(pick)
        elif act == "retry":
            self.retry(pick)
        elif act == "dies":
            self.dies(worker)
        elif act == "code" or worker not in self.model.codes:
            self.comes_again(worker, code)
        elif act == "reopen":
            self.reopen()
        elif act == "late":
            self.cancel_too_late(pick)
        if takes:
            self.claim(worker, 2, False)

    def hello(self, worker: str, code: str) -> None:
        holding = {n: h.lease.epoch for n, h in self.hands.items() if self.model.executions[n].worker == worker
                   and self.model.executions[n].status == "running"}  # fmt: skip
        info = WorkerInfo(
            id=worker, pid=1, project="p", complete=True, workflow_ids=WORKFLOWS, code=code,
            queues=(QueueRule(name="q", concurrency_limit=LIMIT),),
            triggers=(EventTrigger(workflow_id="triggered", topic="b"),),
            schedules=(schedule_rule("scheduled", "* * * * *", overlap="allow", catchup="skip"),),
        )  # fmt: skip
        self.do(self.store.hello(info, holding))
        self.model.codes[worker] = code
        for one in self.model.executions.values():
            if one.status == "blocked" and one.blocked_code != code:
                one.status, one.worker, one.available_at = "queued", None, self.clock.now()
                one.deaths = min(one.deaths, 4)

    def start(self, queue: str | None, line: str, delay: int) -> None:
        wanted = new("wf", queue=queue, concurrency_key=line or None, delay=delay * SECOND)
        (started,) = self.do(self.store.start([wanted]))
        (again,) = self.do(self.store.start([wanted]))
        assert again.number == started.number
        at = self.clock.now() + delay * SECOND
        self.model.executions[started.number] = Execution(
            id=started.id, number=started.number, workflow="wf", available_at=at, since_event=len(self.model.events),
            queue=queue, line=line, placed_at=at,
        )  # fmt: skip

    def claim(self, worker: str, limit: int, runs_suspect: bool) -> None:
        if worker not in self.model.codes:
            return
        now, model = self.clock.now(), self.model
        from polos.ports import ClaimRequest

        request = ClaimRequest(
            worker_id=worker, workflow_ids=frozenset(WORKFLOWS), limit=limit, runs_suspect=runs_suspect
        )
        may = {one.number: one for one in model.claimable(worker, now)}
        admitted = {number for number, one in may.items() if model.is_admitted(one, now)}
        claims = self.do(self.store.claim(request, 0))
        got = {one.execution.number: one for one in claims}
        assert set(got) <= admitted, f"{set(got) - admitted} were not to be had"
        suspects = [number for number in admitted if may[number].deaths >= 2]
        taken = [number for number in got if may[number].deaths >= 2]
        assert len(taken) <= (0 if runs_suspect else 1)
        if len(got) < min(limit, len(admitted)):
            assert suspects, f"{admitted - set(got)} were there to be had"
        for number, one in got.items():
            execution = model.executions[number]
            execution.status, execution.worker, execution.has_begun = "running", worker, True
            assert [e.key for e in one.entries] == [o.key for o in execution.live]
            assert one.execution.life == execution.life
            if number in self.hands:
                self.stale.append(self.hands[number])
            self.hands[number] = Hand(self.store, one)
            self.hands[number].since = execution.seq
            execution.epoch = one.lease.epoch
        for number in suspects:  # what was put back has another epoch
            if number not in got:
                model.executions[number].worker = None if number in admitted else model.executions[number].worker
                self.refresh(number)

    def refresh(self, number: int) -> None:
        """A suspect may have been put back, which leaves it offered to nobody."""
        found = self.do(self.store.get(self.model.executions[number].id))
        assert found is not None and found.status.value == "queued"
        self.model.executions[number].worker = found.worker_id

    async def _commit(self, hand: Hand, ops: Any, since: int) -> Any:
        return await self.store.commit(hand.lease, hand.number, ops, since)

    def commit(self, execution: Execution, hand: Hand, *ops: Any, again: bool = False) -> Any:
        before = hand.since
        answer = self.do(hand.commit(*ops))
        wanted = [(one.key, one.how) for one in execution.live if one.seq > before]
        if not answer.parked:
            assert [(e.key, e.outcome.value) for e in answer.outcomes] == wanted
        if again:
            repeated = self.do(self._commit(hand, ops, before))
            assert repeated.parked == answer.parked
        return answer

    def record(self, pick: int, is_good: bool, behind: bool, again: bool) -> None:
        if (found := self.held(pick)) is None:
            return
        execution, hand = found
        key, after = self.key(), hand.since if behind else 0
        outcome = Outcome.COMPLETED if is_good else Outcome.FAILED
        failure = None if is_good else Failure(type_name="Boom", message="")
        execution.add(key, outcome.value, after)
        op = Record(
            key=key, kind=Kind.RUN, outcome=outcome, after=after, value=stored(1) if is_good else None, failure=failure
        )
        self.commit(execution, hand, op, again=again)

    def wait(self, pick: int, what: str | None, seconds: int) -> None:
        if (found := self.held(pick)) is None:
            return
        execution, hand = found
        key, now = self.key(), self.clock.now()
        due = None if what else now + seconds * SECOND
        self.model.begin_wait(execution, key, hand.since, what, due, now)
        kind = Kind.EVENT if what else Kind.SLEEP
        channel = topic_channel(what) if what else None
        self.commit(execution, hand, Await(key=key, kind=kind, after=hand.since, channel=channel, deadline=due))

    def park(self, pick: int) -> None:
        if (found := self.held(pick)) is None or not found[0].waits:
            return
        execution, hand = found
        may = hand.since == execution.seq
        if may:
            execution.status, execution.available_at = "waiting", self.clock.now()
        answer = self.commit(execution, hand, Park(on=tuple(execution.waits)), again=True)
        assert answer.parked == may

    def leave(self, pick: int, how: str, cause: int) -> None:
        if (found := self.held(pick)) is None:
            return
        execution, hand = found
        keys = [one.key for one in execution.live if one.key != "polos:stop"]
        key = keys[cause % len(keys)] if keys and cause % 3 else None
        if how == "block":
            self.model.block(execution, self.model.codes[hand.lease.worker_id])
            op: Any = Block(reason='{"kind":"diverged"}')
        elif how == "failed":
            self.model.finish(execution, "failed", key)
            op = Finish(outcome=Outcome.FAILED, failure=Failure(type_name="Boom", message=""), cause_key=key)
        else:
            self.model.finish(execution, "completed", None)
            op = Finish(outcome=Outcome.COMPLETED, value=stored(1))
        self.do(hand.commit(op))
        self.stale.append(hand)

    def write_late(self, pick: int) -> None:
        gone = [h for h in self.stale if self.model.executions[h.execution.number].epoch != h.lease.epoch
                or self.model.executions[h.execution.number].status != "running"]  # fmt: skip
        if gone:
            hand = gone[pick % len(gone)]
            with pytest.raises(LeaseLost):
                self.do(
                    hand.commit(Record(key="late", kind=Kind.RUN, outcome=Outcome.COMPLETED, after=0, value=stored(1)))
                )

    def publish(self, topic: str) -> None:
        one = event(topic, 1)
        woken = self.model.publish(topic, self.clock.now())
        (done,) = self.do(self.store.publish([one]))
        assert list(done.woken) == woken and len(done.started) == (topic == "b")
        (again,) = self.do(self.store.publish([one]))
        assert not again.created and not again.started
        self.triggered += topic == "b"
        self.do(self.adopt())
        assert self.count("triggered") == self.triggered

    def time_passes(self, seconds: float) -> None:
        before = self.clock.now()
        self.clock.move(seconds)
        now = self.clock.now()
        due = range((before // (60 * SECOND) + 1) * 60 * SECOND, now + 1, 60 * SECOND)
        self.do(self.store.fire_due())
        self.model.fire(now)
        self.do(self.adopt())
        if self.model.codes:  # a slot late by more than 10 s is missed (catchup="skip")
            self.slots += sum(now - at <= 10 * SECOND for at in due)
            assert self.count("scheduled") <= self.slots + 1
        (schedule,) = self.do(self.store.schedules())
        assert schedule.started == self.count("scheduled") <= schedule.started + schedule.missed

    def dies(self, worker: str) -> None:
        if worker not in self.model.codes:
            return
        lost = [n for n, one in self.model.executions.items() if one.status == "running" and one.worker == worker]
        self.model.bury(worker, self.clock.now())
        self.do(self.store.bury(worker))
        self.stale += [self.hands[number] for number in lost]

    def comes_again(self, worker: str, code: str) -> None:
        self.hello(worker, code)

    def cancel(self, pick: int) -> None:
        one = self.one_of(pick, *OPEN)
        if one is not None:
            self.model.cancel(one, self.clock.now())
            self.do(self.store.cancel(one.id))

    def cancel_too_late(self, pick: int) -> None:
        one = self.one_of(pick, "completed", "failed")
        if one is not None:
            with pytest.raises(ExecutionEnded):
                self.do(self.store.cancel(one.id))

    def retry(self, pick: int) -> None:
        one = self.one_of(pick, "failed", "cancelled", "blocked")
        if one is not None:
            taken = self.model.retry(one, self.clock.now())
            done = self.do(self.store.retry(one.id))
            assert list(done.superseded) == taken and done.reopened == (one.number,)

    def reopen(self) -> None:
        self.do(self.store.close())
        self.store = self.do(self._open())
        for hand in [*self.hands.values(), *self.stale]:
            hand.store = self.store

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────

    @invariant()
    def both_hold_the_same(self) -> None:
        self.do(self._compare())

    async def _compare(self) -> None:
        rows = {found.number: found for found in await self.store.search(ExecutionFilter(limit=200))}
        assert set(rows) == set(self.model.executions)
        for number, one in self.model.executions.items():
            row = rows[number]
            held = (row.status.value, row.seq, row.life, row.ending is not None, row.deaths)
            if one.status == "blocked":
                held = (*held[:4], one.deaths)  # a crash loop stops counting
            assert held == (one.status, one.seq, one.life, one.ending, one.deaths), f"execution {number}"
            journal = [(e.key, e.outcome.value, e.seq) for e in await self.store.journal(one.id)]
            assert journal == [(o.key, o.how, o.seq) for o in one.live], f"the journal of {number}"
            assert [w.key for w in await self.store.waits(one.id)] == list(one.waits), f"the waits of {number}"
            if one.life:
                back = [(life, entry.key) for life, entry in await self.store.superseded(one.id)]
                assert back == one.taken_back

    @invariant()
    def no_queue_runs_too_many(self) -> None:
        for line in (("q", ""), ("q", "x")):
            assert self.model.running_in(line) <= LIMIT

    @invariant()
    def topics_are_gapless(self) -> None:
        for topic in ("a", "b"):
            events = self.do(self.store.events(EventFilter(topic=topic, limit=1000)))
            assert [one.sequence for one in events] == list(range(1, self.model.events.count(topic) + 1))


def test_the_store_and_a_plain_model_hold_the_same() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        StoreMachine,
        settings=settings(
            max_examples=30, stateful_step_count=50, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_the_store_and_a_plain_model_hold_the_same_for_long() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        StoreMachine,
        settings=settings(
            max_examples=600, stateful_step_count=70, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


assert plain.LIMIT == LIMIT
