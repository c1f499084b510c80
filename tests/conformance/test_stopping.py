"""Cancels go down the tree, end at once what no code can clear up, and are recorded where code is to be told (S8.4, S8.5)."""

from __future__ import annotations

from typing import Any

import pytest

from polos.core.manifest import WorkerInfo
from polos.core.model import Ending, Entry, Failure, Kind, Outcome
from polos.core.ops import Block, Expire, Finish
from polos.core.status import Status
from polos.errors import ExecutionEnded, LeaseLost, UnknownExecution
from polos.ports import ExecutionFilter, Store
from tests.conformance.acts import (
    SECOND,
    Hand,
    SetClock,
    begun,
    children,
    claim,
    new,
    park,
    record,
    start,
    stored,
    value_of,
    wait_event,
    wait_timer,
)  # fmt: skip

ALL = ("wf", "child")


async def works(store: Store, id: str = "wrk_1", *workflows: str) -> None:
    """A worker is there for these workflows."""
    await store.hello(WorkerInfo(id=id, pid=1, project="p", complete=False, workflow_ids=workflows or ALL), {})


async def state(store: Store, hand: Hand) -> Status:
    found = await store.get(hand.execution.id)
    assert found is not None
    return found.status


async def stop_of(store: Store, id: str) -> Entry | None:
    return next((entry for entry in await store.journal(id) if entry.kind is Kind.STOP), None)


async def test_what_never_began_is_cancelled_at_once(store: Store) -> None:
    await works(store)
    started = await start(store)
    assert (await store.cancel(started.id)).ended == (started.number,)
    found = await store.get(started.id)
    assert found is not None and found.status is Status.CANCELLED and found.ended_at is not None
    assert await claim(store) == [] and await store.journal(started.id) == []


async def test_a_running_one_is_told_by_an_outcome_and_ends_with_its_commit(store: Store) -> None:
    await works(store)
    hand = await begun(store)
    await hand.commit(record("a"))
    assert (await store.cancel(hand.execution.id)).ending == (hand.execution.number,)
    assert await state(store, hand) is Status.RUNNING
    answer = await hand.commit()
    (stop,) = answer.outcomes
    assert (stop.kind, stop.outcome, stop.seq) == (Kind.STOP, Outcome.CANCELLED, 2)
    await hand.commit(_after(record("undo"), 2))
    await hand.commit(Finish(outcome=Outcome.COMPLETED, value=stored("whatever it returned")))
    found = await store.get(hand.execution.id)
    assert found is not None and (found.status, found.result, found.ending) == (Status.CANCELLED, None, None)


async def test_between_finish_and_cancel_the_first_commit_wins(store: Store) -> None:
    await works(store)
    hand = await begun(store)
    await hand.commit(Finish(outcome=Outcome.COMPLETED, value=stored(1)))
    with pytest.raises(ExecutionEnded):
        await store.cancel(hand.execution.id)
    assert await state(store, hand) is Status.COMPLETED


async def test_a_waiting_one_is_woken_when_its_code_is_there(store: Store) -> None:
    await works(store)
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"), park("e"))
    await store.cancel(hand.execution.id)
    assert await state(store, hand) is Status.QUEUED
    again = await hand.reclaimed()
    assert again.execution.ending is Ending.CANCEL
    assert [entry.kind for entry in again.claimed.entries] == [Kind.STOP]


async def test_a_waiting_one_whose_code_is_nowhere_is_cancelled_at_once(store: Store) -> None:
    await works(store, "wrk_1", "other")
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"), park("e"))
    await store.cancel(hand.execution.id)
    assert await state(store, hand) is Status.CANCELLED
    assert await store.waits(hand.execution.id) == [] and await store.journal(hand.execution.id) == []


async def test_a_blocked_one_is_cancelled_at_once(store: Store) -> None:
    await works(store)
    hand = await begun(store)
    await hand.commit(Block(reason='{"kind":"diverged"}'))
    await store.cancel(hand.execution.id)
    found = await store.get(hand.execution.id)
    assert found is not None and (found.status, found.blocked_reason) == (Status.CANCELLED, None)


async def test_one_that_blocks_on_its_way_out_is_cancelled(store: Store) -> None:
    await works(store)
    hand = await begun(store)
    await store.cancel(hand.execution.id)
    await hand.commit()
    await hand.commit(Block(reason='{"kind":"diverged"}'))
    assert await state(store, hand) is Status.CANCELLED


async def test_cancelling_again_changes_nothing(store: Store) -> None:
    await works(store)
    hand = await begun(store)
    await store.cancel(hand.execution.id)
    assert (await store.cancel(hand.execution.id)).ending == (hand.execution.number,)
    assert len(await store.journal(hand.execution.id)) == 1
    await hand.commit()
    await hand.commit(Finish(outcome=Outcome.CANCELLED))
    assert (await store.cancel(hand.execution.id)).ended == ()
    with pytest.raises(UnknownExecution):
        await store.cancel("exec_absent")


async def test_a_delayed_one_that_has_begun_before_is_told_now(store: Store, clock: SetClock) -> None:
    await works(store)
    hand = await begun(store)
    await hand.commit(wait_timer("s", clock.now() + 1000 * SECOND), park("s"))
    clock.move(5)
    await store.cancel(hand.execution.id)
    again = await hand.reclaimed()
    stop = again.claimed.entries[0]
    assert stop.request == '{"ran_for":0}' and stop.ended_at == clock.now()


async def test_it_goes_down_the_tree_and_never_up(store: Store) -> None:
    await works(store)
    parent = await begun(store)
    await parent.commit(children("c", 2), record("a"))
    first = Hand(store, (await claim(store, limit=1, workflows=ALL))[0])
    await first.commit(children("g", 1, batch=False))
    (grandchild,) = [one.execution for one in await claim(store, workflows=ALL) if one.execution.parent_key == "g"]
    await store.cancel(first.execution.id)
    assert await stop_of(store, grandchild.id) is not None
    assert await stop_of(store, first.execution.id) is not None
    assert await stop_of(store, parent.execution.id) is None
    await store.cancel(parent.execution.id)
    assert await stop_of(store, parent.execution.id) is not None


async def test_a_cancelled_childs_end_reaches_its_parent(store: Store) -> None:
    await works(store)
    parent = await begun(store)
    await parent.commit(children("c", 1, batch=False))
    (waiting,) = await store.waits(parent.execution.id)
    assert waiting.channel is not None
    await store.cancel(waiting.channel.partition(":")[2])
    answer = await parent.commit()
    assert [(entry.key, entry.outcome) for entry in answer.outcomes] == [("c", Outcome.CANCELLED)]


async def test_the_end_of_the_running_time_is_a_stop_of_another_name(store: Store) -> None:
    await works(store)
    parent = await begun(store, run_timeout=7 * SECOND)
    await parent.commit(children("c", 1, batch=False))
    answer = await parent.commit(Expire())
    assert [(e.kind, e.outcome) for e in answer.outcomes if e.kind is Kind.STOP] == [(Kind.STOP, Outcome.TIMED_OUT)]
    await parent.commit(Expire())
    await parent.commit(Finish(outcome=Outcome.CANCELLED))
    found = await store.get(parent.execution.id)
    assert found is not None and found.failure is not None
    assert (found.status, found.error_type) == (Status.FAILED, "WorkflowTimeoutError")
    assert "7.0 s" in found.failure.message
    (child,) = await store.search(_of("child"))
    assert child.status is Status.CANCELLED


def _of(workflow: str) -> Any:
    from polos.ports import ExecutionFilter

    return ExecutionFilter(workflow_id=workflow)


async def test_running_time_is_counted_from_commit_to_commit_and_not_while_it_waits(
    store: Store, clock: SetClock
) -> None:
    await works(store)
    hand = await begun(store)
    clock.move(3)
    await hand.commit(wait_event("e", "t"), park("e"))
    clock.move(100)
    await store.publish([_event()])
    again = await hand.reclaimed()
    assert again.execution.ran_for == 3 * SECOND
    clock.move(2)
    await again.commit(record("a"))
    found = await store.get(hand.execution.id)
    assert found is not None and found.ran_for == 5 * SECOND


def _event() -> Any:
    from tests.conformance.acts import event

    return event("t")


async def test_nothing_is_written_after_a_cancel_at_once(store: Store) -> None:
    await works(store, "wrk_1", "other")
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"), park("e"))
    await store.cancel(hand.execution.id)
    with pytest.raises(LeaseLost):
        await hand.commit(record("late"))


# ── crash loops (S8.3) ───────────────────────────────────────────────────────────────────────────────────


async def die(store: Store, hand: Hand) -> None:
    await store.bury(hand.lease.worker_id)


async def test_five_deaths_without_an_outcome_block(store: Store) -> None:
    started = await start(store)
    for n in range(5):
        await works(store, f"wrk_{n}")
        (claimed,) = await claim(store, f"wrk_{n}")
        assert claimed.execution.deaths == n
        await die(store, Hand(store, claimed))
    found = await store.get(started.id)
    assert found is not None and found.status is Status.BLOCKED
    assert found.blocked_reason is not None and "crash_loop" in found.blocked_reason
    await store.retry(started.id)
    (claimed,) = await claim(store)
    assert claimed.execution.deaths == 0


async def test_an_outcome_between_clears(store: Store) -> None:
    hand = await begun(store)
    for n in range(4):
        await die(store, hand)
        hand = await hand.reclaimed()
    await hand.commit(record("a"))
    await die(store, hand)
    hand = await hand.reclaimed()
    assert hand.execution.deaths == 1


async def test_suspects_are_taken_one_at_a_time(store: Store) -> None:
    for _ in range(3):
        await start(store)
    for _ in range(2):
        for claimed in await claim(store):
            assert claimed.execution.deaths < 2
        await store.bury("wrk_1")
    innocent = await start(store)
    got = await claim(store)
    assert sorted(one.execution.deaths for one in got) == [0, 2]
    assert innocent.number in [one.execution.number for one in got]
    assert await claim(store, runs_suspect=True) == []
    (second,) = await claim(store)
    assert second.execution.deaths == 2


async def test_one_try_with_other_code_after_a_crash_loop(store: Store) -> None:
    started = await start(store)
    for n in range(5):
        await store.hello(
            WorkerInfo(id=f"w{n}", pid=1, project="p", complete=False, workflow_ids=("wf",), code="x"), {}
        )
        assert len(await claim(store, f"w{n}")) == 1
        await store.bury(f"w{n}")
    await store.hello(WorkerInfo(id="w9", pid=1, project="p", complete=False, workflow_ids=("wf",), code="x"), {})
    assert await claim(store, "w9") == []
    await store.hello(WorkerInfo(id="w9", pid=1, project="p", complete=False, workflow_ids=("wf",), code="y"), {})
    assert len(await claim(store, "w9")) == 1
    await store.bury("w9")
    found = await store.get(started.id)
    assert found is not None and (found.status, found.blocked_code) == (Status.BLOCKED, "y")


# ── retry (S9.4) ─────────────────────────────────────────────────────────────────────────────────────────


async def failed(store: Store, hand: Hand, cause: str | None) -> None:
    failure = Failure(type_name="Boom", message="no")
    await hand.commit(Finish(outcome=Outcome.FAILED, failure=failure, cause_key=cause))


def failure(key: str, after: int = 0) -> Any:
    from polos.core.ops import Record

    return Record(
        key=key, kind=Kind.RUN, outcome=Outcome.FAILED, after=after, failure=Failure(type_name="Boom", message="no")
    )


async def test_a_retry_takes_back_the_cause_and_what_came_of_it(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(record("a"), failure("b"), record("beside"), _after(record("undo"), 2), failure("late"))
    await failed(store, hand, "b")
    done = await store.retry(hand.execution.id)
    assert done.superseded == ("b", "undo", "late") and done.life == 1 and done.reopened == (hand.execution.number,)
    assert [entry.key for entry in await store.journal(hand.execution.id)] == ["a", "beside"]
    assert [(life, entry.key) for life, entry in await store.superseded(hand.execution.id)] == [
        (1, "b"), (1, "undo"), (1, "late")
    ]  # fmt: skip
    (life,) = await store.lives(hand.execution.id)
    assert (life.outcome, life.error_type, life.cause_key) == (Outcome.FAILED, "Boom", "b")
    again = await hand.reclaimed()
    assert (again.execution.life, again.execution.status, again.execution.seq) == (1, Status.RUNNING, 5)
    assert dict(again.execution.lives) == {"undo": 1, "late": 1}, "the cause keeps its idempotency key"
    await again.commit(record("b"), record("undo"))
    await again.commit(Finish(outcome=Outcome.COMPLETED, value=stored(1)))
    found = await store.get(hand.execution.id)
    assert found is not None and (found.status, found.failure, found.cause_key) == (Status.COMPLETED, None, None)


async def test_with_no_cause_nothing_is_taken_back(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(record("a"), record("b"))
    await failed(store, hand, None)
    assert (await store.retry(hand.execution.id)).superseded == ()


async def test_a_retry_that_is_asked_again_is_the_same_one(store: Store) -> None:
    hand = await begun(store)
    await failed(store, hand, None)
    assert (await store.retry(hand.execution.id)).life == 1
    assert (await store.retry(hand.execution.id)).reopened == ()
    assert (await hand.reclaimed()).execution.life == 1


async def test_a_cancelled_one_goes_on_before_its_cancel(store: Store) -> None:
    await works(store)
    hand = await begun(store)
    await hand.commit(record("a"))
    await store.cancel(hand.execution.id)
    await hand.commit()
    await hand.commit(_after(record("undo"), 2))
    await hand.commit(Finish(outcome=Outcome.CANCELLED))
    done = await store.retry(hand.execution.id)
    assert done.superseded == ("polos:stop", "undo")
    assert [entry.key for entry in await store.journal(hand.execution.id)] == ["a"]
    again = await hand.reclaimed()
    assert again.execution.ending is None
    await store.cancel(hand.execution.id)
    assert [entry.kind for entry in (await again.commit()).outcomes] == [Kind.STOP]


async def test_failed_attempts_are_counted_anew(store: Store, clock: SetClock) -> None:
    from tests.conformance.acts import retry

    hand = await begun(store)
    await hand.commit(retry("b", 1, clock.now(), parks=False))
    await hand.commit(failure("b"))
    await failed(store, hand, "b")
    assert len(await store.attempts(hand.execution.id)) == 1
    await store.retry(hand.execution.id)
    assert (await hand.reclaimed()).claimed.attempts == ()


async def test_an_event_that_was_seen_after_the_cause_is_unseen_again(store: Store) -> None:
    from tests.conformance.acts import data_of, event

    hand = await begun(store)
    await store.publish([event("t", 1), event("t", 2)])
    await hand.commit(wait_event("e1", "t"))
    await hand.commit(failure("b"))
    answer = await hand.commit(wait_event("e2", "t", since="start"))
    assert data_of(answer.outcomes[-1]) == 2
    journal = await store.journal(hand.execution.id)
    assert [entry.key for entry in journal] == ["e1", "b", "e2"]
    await failed(store, hand, "e1")
    await store.retry(hand.execution.id)
    again = await hand.reclaimed()
    answer = await again.commit(wait_event("e1", "t"))
    assert data_of(answer.outcomes[-1]) == 1


async def test_a_failed_child_is_reopened_as_the_same_child_by_its_root(store: Store) -> None:
    parent = await begun(store)
    await parent.commit(children("c", 1, batch=False))
    child = Hand(store, (await claim(store, workflows=ALL))[0])
    await child.commit(record("done"), failure("bad"))
    await failed(store, child, "bad")
    await parent.commit()
    with pytest.raises(Exception, match=r"polos retry 1"):
        await store.retry(child.execution.id)
    await failed(store, parent, "c")
    done = await store.retry(parent.execution.id)
    assert done.reopened == (parent.execution.number, child.execution.number)
    again = await parent.reclaimed(workflows=("wf",))
    await again.commit(children("c", 1, batch=False))
    second = await child.reclaimed(workflows=ALL)
    assert [entry.key for entry in second.claimed.entries] == ["done"]
    await second.commit(Finish(outcome=Outcome.COMPLETED, value=stored("child")))
    answer = await again.commit()
    assert [(entry.key, entry.outcome) for entry in answer.outcomes] == [("c", Outcome.COMPLETED)]
    assert len(await store.search(_of("child"))) == 1


async def test_a_child_of_a_superseded_step_is_started_anew(store: Store) -> None:
    parent = await begun(store)
    await parent.commit(failure("b"))
    op = children("undo", 1, batch=False)
    await parent.commit(_after(op, 1))
    child = Hand(store, (await claim(store, workflows=ALL))[0])
    await child.commit(Finish(outcome=Outcome.COMPLETED, value=stored(1)))
    await parent.commit()
    await failed(store, parent, "b")
    assert (await store.retry(parent.execution.id)).superseded == ("b", "undo")
    again = await parent.reclaimed()
    await again.commit(record("b"), children("undo", 1, batch=False))
    assert len(await store.search(_of("child"))) == 2
    assert [wait.key for wait in await store.waits(parent.execution.id)] == ["undo"]


def _after(op: Any, after: int) -> Any:
    from dataclasses import replace

    return replace(op, after=after)


async def test_what_has_not_ended_or_completed_is_not_retried(store: Store) -> None:
    hand = await begun(store)
    assert (await store.retry(hand.execution.id)).reopened == ()
    await hand.commit(Finish(outcome=Outcome.COMPLETED, value=stored(1)))
    with pytest.raises(ExecutionEnded):
        await store.retry(hand.execution.id)
    with pytest.raises(UnknownExecution):
        await store.retry(new().id)


@pytest.mark.parametrize("waits", [True, False])
async def test_a_child_that_was_asked_for_before_its_parent_was_told_is_stopped_too(store: Store, waits: bool) -> None:
    await works(store)
    hand = await begun(store)
    await hand.commit(record("a"))
    await store.cancel(hand.execution.id)
    answer = await hand.commit(children("c", 2, waits=waits))
    stop, other = answer.outcomes
    assert stop.kind is Kind.STOP and other.key == "c"
    found = await store.search(ExecutionFilter(workflow_id="child"))
    assert [one.status for one in found] == [Status.CANCELLED] * 2
    await hand.commit(_after(children("undo", 1, waits=waits), 2))
    assert len(await claim(store, workflows=["child"])) == 1, "what it asks for once it is told does run"


async def test_a_child_of_an_open_batch_that_is_retried_is_awaited_again(store: Store) -> None:
    await works(store)
    hand = await begun(store)
    await hand.commit(children("c", 2), park("c"))
    first, second = (Hand(store, one) for one in await claim(store, workflows=["child"]))
    broken = Failure(type_name="E", message="m")
    for _ in range(3):
        await first.commit(Finish(outcome=Outcome.FAILED, failure=broken))
        await store.retry(first.execution.id)
        first = await first.reclaimed(workflows=["child"])
    await first.commit(Finish(outcome=Outcome.COMPLETED, value=stored("first")))
    assert await state(store, hand) is Status.WAITING
    await second.commit(Finish(outcome=Outcome.COMPLETED, value=stored("second")))
    (entry,) = (await hand.reclaimed()).claimed.entries
    assert [one["result"] for one in value_of(entry)] == ["first", "second"]


async def test_a_retry_of_a_cancelled_one_takes_back_the_cancel_of_all_that_it_stopped(
    store: Store, clock: SetClock
) -> None:
    await works(store)
    hand = await begun(store)
    await hand.commit(children("started", 2, waits=False))
    await hand.commit(wait_event("e", "t"), park("e"))
    gone, begun_ = (Hand(store, one) for one in await claim(store, workflows=["child"]))
    await store.cancel(gone.execution.id)
    await gone.commit(Finish(outcome=Outcome.CANCELLED))
    clock.move(1)
    await store.cancel(hand.execution.id)
    await begun_.commit(Finish(outcome=Outcome.CANCELLED))
    hand = await hand.reclaimed()
    await hand.commit(Finish(outcome=Outcome.CANCELLED))
    numbers = (hand.execution.number, begun_.execution.number)
    assert (await store.retry(hand.execution.id)).reopened == numbers, "and of no other"
