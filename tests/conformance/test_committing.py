"""Commits: fenced, numbered, insert-only, one counter for every outcome (S1.2, S8.1)."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from polos.core.codec import plain
from polos.core.manifest import WorkerInfo
from polos.core.model import Failure, Kind, Outcome
from polos.core.ops import Block, CloseWait, Finish, Lease, Logs, Record, Release, StepStarted
from polos.core.status import Status
from polos.errors import ExecutionEnded, LeaseLost, UsageError
from polos.ports import EventFilter, LogFilter, Store
from tests.conformance.acts import (
    SECOND,
    Hand,
    SetClock,
    begun,
    claim,
    event,
    park,
    publish,
    record,
    start,
    stored,
    value_of,
    wait_event,
    wait_timer,
)
from tests.conformance.conftest import Place


async def keys(store: Store, hand: Hand) -> list[tuple[str, int]]:
    return [(e.key, e.seq) for e in await store.journal(hand.execution.id)]


async def test_outcomes_are_numbered_in_order_and_read_back_as_they_were(store: Store) -> None:
    hand = await begun(store)
    answer = await hand.commit(record("a", {"v": None}, site="f.py:3", arguments="0f"), record("b", [1]))
    assert [(e.key, e.seq) for e in answer.outcomes] == [("a", 1), ("b", 2)]
    first, second = await store.journal(hand.execution.id)
    assert (value_of(first), first.site, first.arguments, value_of(second)) == ({"v": None}, "f.py:3", "0f", [1])
    assert answer.outcomes == (first, second)


async def test_a_failure_is_kept_with_its_type_message_and_traceback(store: Store) -> None:
    hand = await begun(store)
    failure = Failure(type_name="Bad", message="it\nis \U0001f388", traceback_text="  File …")
    await hand.commit(Record(key="a", kind=Kind.RUN, outcome=Outcome.FAILED, after=0, attempt=3, failure=failure))
    (entry,) = await store.journal(hand.execution.id)
    assert (entry.failure, entry.outcome, entry.attempt, entry.value) == (failure, Outcome.FAILED, 3, None)


async def test_a_stale_epoch_writes_nothing_and_is_told(store: Store) -> None:
    old = await begun(store)
    await store.take_over()
    new = await old.reclaimed()
    with pytest.raises(LeaseLost):
        await old.commit(record("late", 1), publish("p", "t"), Finish(outcome=Outcome.COMPLETED, value=stored(1)))
    await new.commit(record("a"))
    with pytest.raises(LeaseLost):
        await old.commit()
    assert await keys(store, new) == [("a", 1)]
    assert await store.events(EventFilter(topic="t")) == []
    found = await store.get(old.execution.id)
    assert found is not None and found.status is Status.RUNNING


async def test_an_epoch_from_the_future_is_refused_too(store: Store) -> None:
    hand = await begun(store)
    lease = Lease(execution=hand.execution.number, epoch=hand.lease.epoch + 1, worker_id="wrk_1")
    with pytest.raises(LeaseLost):
        await store.commit(lease, 1, [record("a")], 0)


async def test_a_lease_ends_with_its_release(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(Release())
    with pytest.raises(LeaseLost):
        await hand.commit(record("a"))
    assert await keys(store, hand) == []


async def test_a_repeated_commit_number_answers_the_same_and_writes_nothing_twice(store: Store) -> None:
    hand = await begun(store)
    ops = [record("a", 7), publish("p", "t", {"n": 1}), Logs(lines=(), workflow_lines=0)]
    first = await store.commit(hand.lease, 1, ops, 0)
    again = await store.commit(hand.lease, 1, ops, 0)
    assert again == first
    assert await keys(store, hand) == [("a", 1), ("p", 2)]
    assert len(await store.events(EventFilter(topic="t"))) == 1


async def test_a_repeated_park_answers_that_it_is_parked(store: Store) -> None:
    hand = await begun(store)
    ops = [wait_event("e", "t"), park("e")]
    assert (await store.commit(hand.lease, 1, ops, 0)).parked
    assert (await store.commit(hand.lease, 1, ops, 0)).parked


async def test_a_second_outcome_for_a_key_is_refused_and_the_first_stays(store: Store, place: Place) -> None:
    hand = await begun(store)
    await hand.commit(record("a", "first"))
    with pytest.raises(place.overwrite_refused):
        await hand.commit(record("b"), record("a", "second"))
    (entry,) = await store.journal(hand.execution.id)
    assert (entry.key, value_of(entry)) == ("a", "first")
    assert [(e.key, e.seq) for e in (await hand.commit(record("c"))).outcomes] == [("c", 2)]


async def test_worker_and_engine_number_outcomes_from_one_counter(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"), wait_timer("s", clock.now() + SECOND))
    await hand.commit(record("a"))
    await store.publish([event("t")])
    await hand.commit(record("b"))
    clock.move(1)
    await store.fire_due()
    assert await keys(store, hand) == [("a", 1), ("e", 2), ("b", 3), ("s", 4)]


async def test_an_answer_carries_every_outcome_after_the_one_that_the_session_has(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(record("a"), wait_event("e", "t"))
    await store.publish([event("t")])
    answer = await hand.commit(record("b"))
    assert [(e.key, e.seq) for e in answer.outcomes] == [("e", 2), ("b", 3)]
    everything = await store.commit(hand.lease, 3, [], 0)
    assert [e.seq for e in everything.outcomes] == [1, 2, 3]
    assert (await store.commit(hand.lease, 4, [], 3)).outcomes == ()


async def test_a_wait_completed_inside_its_own_commit_is_in_the_answer(store: Store) -> None:
    hand = await begun(store)
    await store.publish([event("t", "x")])
    answer = await hand.commit(wait_event("e", "t"), record("a"))
    assert [e.seq for e in answer.outcomes] == [1, 2]
    assert {e.key for e in answer.outcomes} == {"a", "e"}


async def test_parking_ends_the_lease_and_keeps_the_waits(store: Store) -> None:
    hand = await begun(store)
    assert (await hand.commit(wait_event("e", "t"), park("e"))).parked
    found = await store.get(hand.execution.id)
    assert found is not None and found.status is Status.WAITING
    assert [w.key for w in await store.waits(hand.execution.id)] == ["e"]
    with pytest.raises(LeaseLost):
        await hand.commit(record("a"))


async def test_parking_is_refused_when_a_key_has_completed(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"))
    await store.publish([event("t", 5)])
    answer = await hand.commit(park("e"))
    assert not answer.parked
    assert [e.key for e in answer.outcomes] == ["e"]
    assert [e.key for e in (await hand.commit(record("a"))).outcomes] == ["a"]


async def test_parking_is_refused_while_an_outcome_is_unknown_to_the_session(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"), wait_event("f", "u"))
    await store.publish([event("t")])
    number = hand.number + 1
    answer = await store.commit(hand.lease, number, [park("f")], 0)
    assert not answer.parked and [e.key for e in answer.outcomes] == ["e"]
    assert (await store.commit(hand.lease, number + 1, [park("f")], 1)).parked


async def test_a_closed_wait_is_gone_and_an_outcome_that_came_before_keeps_its_place(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"), wait_event("f", "t"))
    await store.publish([event("t", 1)])
    answer = await hand.commit(CloseWait(key="e"), CloseWait(key="f"))
    assert [e.key for e in answer.outcomes] == ["e"]
    published = (await store.publish([event("t", 2)]))[0]
    assert published.woken == ()
    assert await store.waits(hand.execution.id) == []


async def test_finishing_keeps_the_result_and_clears_the_waits(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    await hand.commit(wait_timer("s", clock.now() + 5))
    clock.move(2)
    await hand.commit(Finish(outcome=Outcome.COMPLETED, value=stored({"r": 0})))
    found = await store.get(hand.execution.id)
    assert found is not None and found.result is not None
    assert (found.status, plain(found.result), found.ended_at) == (Status.COMPLETED, {"r": 0}, clock.now())
    assert await store.waits(hand.execution.id) == []


async def test_a_failed_end_keeps_the_failure_and_its_cause(store: Store) -> None:
    hand = await begun(store)
    failure = Failure(type_name="Boom", message="no")
    await hand.commit(Finish(outcome=Outcome.FAILED, failure=failure, cause_key="a"))
    found = await store.get(hand.execution.id)
    assert found is not None
    assert (found.status, found.failure, found.cause_key, found.error_type) == (Status.FAILED, failure, "a", "Boom")


async def test_a_terminal_execution_is_changed_by_no_late_write(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"), wait_timer("s", clock.now() + SECOND), record("a"))
    await hand.commit(Finish(outcome=Outcome.COMPLETED, value=stored("end")))
    before = (await store.get(hand.execution.id), await store.journal(hand.execution.id))
    with pytest.raises(LeaseLost):
        await hand.commit(record("b"))
    with pytest.raises(LeaseLost):
        await hand.commit(Finish(outcome=Outcome.FAILED, failure=Failure(type_name="X", message="")))
    with pytest.raises(UsageError):
        await store.resume(hand.execution.id, "ask", stored(1), "ans_1")
    await store.publish([event("t")])
    clock.move(5)
    await store.fire_due()
    assert await store.take_over() == 0
    await come(store, "new")
    with pytest.raises(ExecutionEnded):
        await store.cancel(hand.execution.id)
    with pytest.raises(ExecutionEnded):
        await store.retry(hand.execution.id)
    assert await claim(store) == []
    assert (await store.get(hand.execution.id), await store.journal(hand.execution.id)) == before


async def come(store: Store, code: str, id: str = "wrk_1") -> None:
    """A worker says hello with this code."""
    info = WorkerInfo(id=id, pid=1, project="p", complete=False, workflow_ids=("wf",), code=code)
    await store.hello(info, {})


async def test_a_blocked_execution_gets_one_try_with_each_other_code(store: Store) -> None:
    await come(store, "old")
    hand = await begun(store)
    await hand.commit(Block(reason='{"kind":"diverged"}'))
    found = await store.get(hand.execution.id)
    assert found is not None and found.blocked_code == "old"
    await come(store, "old", "wrk_2")
    assert await claim(store) == []
    await come(store, "new")
    hand = await hand.reclaimed()
    await hand.commit(Block(reason='{"kind":"diverged"}'))
    await come(store, "new", "wrk_2")
    assert await claim(store) == []


async def test_a_blocked_execution_keeps_its_reason_until_it_is_given_another_try(store: Store) -> None:
    hand = await begun(store)
    reason = orjson.dumps({"kind": "diverged", "message": "m", "hint": "h"}).decode()
    await hand.commit(record("a"), Block(reason=reason))
    found = await store.get(hand.execution.id)
    assert found is not None and (found.status, found.blocked_reason) == (Status.BLOCKED, reason)
    assert await claim(store) == []
    await come(store, "new")
    again = await hand.reclaimed()
    await again.commit(Finish(outcome=Outcome.COMPLETED, value=stored(3)))
    found = await store.get(hand.execution.id)
    assert found is not None and found.result is not None
    assert (found.status, found.blocked_reason, plain(found.result)) == (Status.COMPLETED, None, 3)


async def test_a_blocked_execution_can_block_again_for_another_reason(store: Store) -> None:
    hand = await begun(store)
    for reason, code in (('{"kind":"one"}', "new"), ('{"kind":"two"}', "newer")):
        await hand.commit(Block(reason=reason))
        found = await store.get(hand.execution.id)
        assert found is not None and found.blocked_reason == reason
        await come(store, code)
        hand = await hand.reclaimed()


async def test_captured_lines_are_stored_with_their_place(store: Store) -> None:
    from polos.core.model import LogLine

    hand = await begun(store)
    lines = (LogLine(at=1, level="INFO", text="one"), LogLine(at=2, level="ERROR", text="two", step_key="a", attempt=1))
    await hand.commit(Logs(lines=lines, workflow_lines=1))
    found = await store.logs(LogFilter(execution_id=hand.execution.id))
    assert [line for _, _, line in found] == list(lines)
    assert [line.text for _, _, line in await store.logs(LogFilter(level="warning"))] == ["two"]
    assert [line.text for _, _, line in await store.logs(LogFilter(step_key="a"))] == ["two"]
    assert (await store.get(hand.execution.id)).log_lines == 1  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="level"):
        await store.logs(LogFilter(level="loud"))


async def test_an_outcome_and_the_event_that_tells_of_it_are_one_transaction(store: Store, place: Place) -> None:
    hand = await begun(store)
    await hand.commit(StepStarted(key="a", kind=Kind.RUN, attempt=1, at=0), record("a"))
    with pytest.raises(place.overwrite_refused):
        await hand.commit(record("b"), record("a"))
    topic = f"workflow/wf/{hand.execution.id}"
    assert [e.type for e in await store.events(EventFilter(topic=topic))] == [
        "workflow_start",
        "step_start",
        "step_finish",
    ]


async def test_one_failing_transaction_of_a_group_leaves_the_others(store: Store, place: Place) -> None:
    one, two, three = await begun(store), await begun(store), await begun(store)
    await two.commit(record("x"))
    done = await asyncio.gather(
        one.commit(record("a")), two.commit(record("b"), record("x")), three.commit(record("a")), start(store),
        return_exceptions=True,
    )  # fmt: skip
    assert isinstance(done[1], place.overwrite_refused)
    assert not any(isinstance(done[i], BaseException) for i in (0, 2, 3))
    assert await keys(store, one) == [("a", 1)]
    assert await keys(store, two) == [("x", 1)]
    assert await keys(store, three) == [("a", 1)]


async def test_a_caller_that_goes_away_does_not_undo_its_transaction(store: Store, place: Place) -> None:
    hand = await begun(store)
    writing = asyncio.ensure_future(store.commit(hand.lease, 1, [record("a")], 0))
    publishing = asyncio.create_task(store.publish([event("t")]))
    await place.until_submitted("commit", "publish")
    writing.cancel()
    publishing.cancel()
    await asyncio.gather(writing, publishing, return_exceptions=True)
    await store.commit(hand.lease, 2, [record("b")], 0)
    assert await keys(store, hand) == [("a", 1), ("b", 2)]
    assert [e.sequence for e in await store.events(EventFilter(topic="t"))] == [1]


async def test_somebody_who_waits_for_a_change_is_told_of_it(store: Store) -> None:
    hand = await begun(store)
    told = asyncio.ensure_future(store.changed(hand.execution.id))
    await hand.commit(Finish(outcome=Outcome.COMPLETED, value=stored(1)))
    await asyncio.wait_for(told, 5)


async def test_the_holder_is_told_of_an_outcome_from_elsewhere(store: Store) -> None:
    hand = await begun(store, worker="wrk_1")
    await hand.commit(wait_event("e", "t"))
    told: list[int] = []
    forget = store.on_outcome("wrk_1", told.append)
    await store.publish([event("t")])
    assert told == [hand.execution.number]
    forget()
    await hand.commit(wait_event("f", "t"))
    await store.publish([event("t")])
    assert told == [hand.execution.number]


async def test_a_repeated_park_is_answered_as_at_first_though_it_was_woken_since(store: Store) -> None:
    """Its worker must not go on in place, beside whoever claims it (S8.1)."""
    hand = await begun(store)
    ops = [wait_event("e", "t"), park("e")]
    first = await store.commit(hand.lease, 1, ops, 0)
    await store.publish([event("t")])
    assert await store.commit(hand.lease, 1, ops, 0) == first
    assert first.parked and first.outcomes == ()
    await hand.reclaimed()
    with pytest.raises(LeaseLost):
        await store.commit(hand.lease, 1, ops, 0)


async def test_a_start_that_is_made_again_is_the_same_start(store: Store) -> None:
    from tests.conformance.acts import new

    one = new()
    first = await store.start([one])
    assert [(s.id, s.number) for s in await store.start([one])] == [(s.id, s.number) for s in first]
    assert sum((await store.counts()).values()) == 1


async def test_an_answer_that_is_given_again_is_the_same_answer(store: Store) -> None:
    from polos.core.codec import encode
    from polos.errors import AlreadyResumed

    hand = await begun(store)
    await store.resume(hand.execution.id, "ask", encode(1), "ans_1")
    await store.resume(hand.execution.id, "ask", encode(1), "ans_1")
    with pytest.raises(AlreadyResumed):
        await store.resume(hand.execution.id, "ask", encode(1), "ans_2")


async def test_entries_tell_which_code_made_them(store: Store) -> None:
    await store.hello(WorkerInfo(id="wrk_1", pid=1, project="p", complete=True, workflow_ids=("wf",), code="c0de"), {})
    hand = await begun(store)
    answer = await hand.commit(record("a"), wait_event("e", "t"))
    assert [entry.code for entry in answer.outcomes] == ["c0de"]
    await store.publish([event("t", 1)])
    made = {entry.key: entry.code for entry in await store.journal(hand.execution.id)}
    assert made == {"a": "c0de", "e": ""}, "the engine completes a wait"
