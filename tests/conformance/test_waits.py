"""Timers, answers, timeouts, retries that park, children's ends: all by one way (S4, S6, S8.1)."""

from __future__ import annotations

import pytest

from polos.core.model import Failure, Kind, Outcome
from polos.core.ops import Answer, CloseWait, Finish
from polos.core.status import Status
from polos.errors import AlreadyResumed, ExecutionEnded, UnknownExecution, UsageError
from polos.ports import EventFilter, ExecutionFilter, Store
from tests.conformance.acts import (
    SECOND,
    Hand,
    SetClock,
    begun,
    children,
    claim,
    data_of,
    event,
    new_id,
    park,
    record,
    retry,
    start,
    stored,
    value_of,
    wait_answer,
    wait_end,
    wait_event,
    wait_timer,
)


async def status(store: Store, hand: Hand) -> Status:
    found = await store.get(hand.execution.id)
    assert found is not None
    return found.status


async def only_entry(store: Store, hand: Hand):
    (entry,) = await store.journal(hand.execution.id)
    return entry


# ── timers ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_timer_fires_once_at_its_instant_and_never_before(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    due = clock.now() + 10 * SECOND
    await hand.commit(wait_timer("s", due), park("s"))
    clock.move(9.999999)
    assert await store.fire_due() == due
    assert await status(store, hand) is Status.WAITING
    clock.move(0.000001)
    await store.fire_due()
    assert await status(store, hand) is Status.QUEUED
    entry = await only_entry(store, hand)
    assert (entry.kind, entry.outcome, entry.ended_at) == (Kind.SLEEP, Outcome.COMPLETED, clock.now())
    await store.fire_due()
    assert await only_entry(store, hand) == entry


async def test_a_timer_past_due_fires_at_once(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    await hand.commit(wait_timer("s", clock.now() - SECOND))
    await store.fire_due()
    assert (await only_entry(store, hand)).key == "s"


async def test_timers_fire_in_the_order_of_their_instants(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    await hand.commit(wait_timer("later", clock.now() + 2), wait_timer("sooner", clock.now() + 1))
    clock.move(1)
    await store.fire_due()
    assert [(e.key, e.seq) for e in await store.journal(hand.execution.id)] == [("sooner", 1), ("later", 2)]


async def test_more_due_timers_than_one_round_takes_all_fire(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    await hand.commit(*(wait_timer(f"s{n}", clock.now()) for n in range(1100)))
    while (due := await store.fire_due()) is not None and due <= clock.now():
        pass
    assert len(await store.journal(hand.execution.id)) == 1100


async def test_whoever_keeps_time_is_told_of_new_instants(store: Store, clock: SetClock) -> None:
    told: list[int] = []
    forget = store.on_due(told.append)
    hand = await begun(store)
    told.clear()  # a worker that comes lets everybody look
    await hand.commit(wait_timer("s", clock.now() + 5))
    assert told == [clock.now() + 5]
    forget()


# ── timeouts ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_waits_timeout_is_recorded_and_a_later_event_changes_nothing(
    store: Store, clock: SetClock
) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("e", "t", deadline=clock.now() + SECOND), park("e"))
    clock.move(1)
    await store.fire_due()
    entry = await only_entry(store, hand)
    assert (entry.outcome, entry.value) == (Outcome.TIMED_OUT, None)
    assert (await store.publish([event("t")]))[0].woken == ()
    assert await only_entry(store, hand) == entry


async def test_a_suspends_timeout_is_recorded_and_a_later_answer_does_not_replace_it(
    store: Store, clock: SetClock
) -> None:
    hand = await begun(store)
    await hand.commit(wait_answer(hand, "ask", deadline=clock.now() + SECOND))
    clock.move(1)
    await store.fire_due()
    entry = await only_entry(store, hand)
    assert entry.outcome is Outcome.TIMED_OUT
    with pytest.raises(UsageError, match="too late"):
        await store.resume(hand.execution.id, "ask", stored(1), "ans_1")
    assert await only_entry(store, hand) == entry


async def test_only_a_suspend_can_be_answered(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    await hand.commit(wait_timer("nap", clock.now() + SECOND), wait_event("e", "t"), record("done"))
    for key in ("nap", "e", "done"):
        with pytest.raises(UsageError, match="only a suspend"):
            await store.resume(hand.execution.id, key, stored(1), f"ans_{key}")
    assert [wait.key for wait in await store.waits(hand.execution.id)] == ["nap", "e"]


async def test_an_event_that_went_to_a_wait_given_up_goes_to_the_next(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("first", "t"))
    await store.publish([event("t", 1)])
    await hand.commit(CloseWait(key="first"), wait_event("second", "t"))
    journal = {entry.key: entry.event for entry in await store.journal(hand.execution.id)}
    assert journal["second"] == journal["first"]
    await store.publish([event("t", 2)])
    await hand.commit(wait_event("third", "t"))
    assert len({entry.event for entry in await store.journal(hand.execution.id)}) == 2


async def test_an_event_that_went_to_a_wait_given_up_is_offered_to_one_that_is_there(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("first", "t"), wait_event("second", "t"))
    await store.publish([event("t", 1)])
    answer = await hand.commit(CloseWait(key="first"))
    assert "second" in {entry.key for entry in answer.outcomes}


async def test_an_event_before_the_deadline_wins(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("e", "t", deadline=clock.now() + SECOND))
    await store.publish([event("t", 1)])
    clock.move(2)
    await store.fire_due()
    assert (await only_entry(store, hand)).outcome is Outcome.COMPLETED


# ── retries ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_long_retry_delay_parks_and_wakes_without_an_outcome(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    assert (await hand.commit(retry("a", 1, clock.now() + SECOND, parks=True), park("a"))).parked
    clock.move(1)
    await store.fire_due()
    again = await hand.reclaimed()
    assert (again.claimed.entries, [a.attempt for a in again.claimed.attempts]) == ((), [1])
    await again.commit(record("a", 1, attempt=2))
    assert (await only_entry(store, hand)).attempt == 2


async def test_failed_attempts_are_kept_in_order(store: Store) -> None:
    hand = await begun(store)
    for n in (1, 2, 3):
        await hand.commit(retry("a", n, n, parks=False))
    assert [a.attempt for a in await store.attempts(hand.execution.id)] == [1, 2, 3]
    assert await store.journal(hand.execution.id) == []


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_answer_after_the_suspend_completes_it_and_wakes(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_answer(hand, "ask", request='{"q": 1}'), park("ask"))
    await store.resume(hand.execution.id, "ask", stored({"ok": True}), "ans_1")
    entry = await only_entry(store, hand)
    assert (data_of(entry), entry.request) == ({"ok": True}, '{"q": 1}')
    assert await status(store, hand) is Status.QUEUED


async def test_an_answer_before_the_suspend_is_kept_and_used(store: Store) -> None:
    hand = await begun(store)
    await store.resume(hand.execution.id, "ask", stored(7), "ans_1")
    answer = await hand.commit(wait_answer(hand, "ask"))
    assert [data_of(e) for e in answer.outcomes] == [7]


@pytest.mark.parametrize("suspended", [True, False])
async def test_the_first_answer_wins(store: Store, suspended: bool) -> None:
    hand = await begun(store)
    if suspended:
        await hand.commit(wait_answer(hand, "ask"))
    await store.resume(hand.execution.id, "ask", stored(1), "ans_1")
    with pytest.raises(AlreadyResumed, match="ask"):
        await store.resume(hand.execution.id, "ask", stored(2), "ans_2")
    if not suspended:
        await hand.commit(wait_answer(hand, "ask"))
    assert data_of(await only_entry(store, hand)) == 1


async def test_answers_go_by_step_key(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_answer(hand, "a"), wait_answer(hand, "b"))
    await store.resume(hand.execution.id, "b", stored("for b"), "ans_1")
    assert [(e.key, data_of(e)) for e in await store.journal(hand.execution.id)] == [("b", "for b")]


async def test_an_execution_that_is_over_or_unknown_takes_no_answer(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(Finish(outcome=Outcome.COMPLETED, value=stored(None)))
    with pytest.raises(ExecutionEnded):
        await store.resume(hand.execution.id, "ask", stored(1), "ans_1")
    with pytest.raises(UnknownExecution):
        await store.resume("exec_absent", "ask", stored(1), "ans_1")


async def test_a_workflow_answers_another_once_and_a_second_time_is_its_steps_failure(store: Store) -> None:
    asking, answering = await begun(store), await begun(store)
    await asking.commit(wait_answer(asking, "ask"), park("ask"))

    def answer(key: str, value: object) -> Answer:
        return Answer(key=key, execution_id=asking.execution.id, step_key="ask", data=stored(value),
                      answer_id=new_id("ans"), after=0)  # fmt: skip

    first = await answering.commit(answer("one", "yes"))
    second = await answering.commit(answer("two", "no"))
    assert [e.outcome for e in first.outcomes] == [Outcome.COMPLETED]
    assert [e.failure.type_name for e in second.outcomes if e.failure] == ["AlreadyResumed"]
    assert data_of(await only_entry(store, asking)) == "yes"


# ── children ─────────────────────────────────────────────────────────────────────────────────────────────


async def take_children(store: Store) -> list[Hand]:
    return [Hand(store, c) for c in await claim(store, "wrk_c", workflows=["child"])]


def done(value: object) -> Finish:
    return Finish(outcome=Outcome.COMPLETED, value=stored(value))


async def test_a_child_hangs_under_its_parent_and_inherits_the_root(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(children("c", 1, batch=False))
    (child,) = await take_children(store)
    assert (child.execution.parent_id, child.execution.parent_key) == (hand.execution.id, "c")
    assert (child.execution.root_id, child.execution.root_workflow_id) == (hand.execution.id, "wf")
    assert [e.number for e in await store.search(ExecutionFilter(parent_id=hand.execution.id))] == [2]
    assert [e.number for e in await store.search(ExecutionFilter(root_id=hand.execution.id))] == [2, 1]


async def test_a_childs_life_is_told_on_the_topic_of_its_root(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(children("c", 1, batch=False))
    (child,) = await take_children(store)
    await child.commit(done(1))
    types = [e.type for e in await store.events(EventFilter(topic=f"workflow/wf/{hand.execution.id}"))]
    assert types == ["workflow_start", "workflow_start", "wait_start", "workflow_finish", "wait_finish"]


async def test_a_childs_end_completes_the_parents_wait_and_wakes_it(store: Store) -> None:
    hand = await begun(store)
    assert (await hand.commit(children("c", 1, batch=False), park("c"))).parked
    (child,) = await take_children(store)
    await child.commit(done({"r": 5}))
    assert value_of(await only_entry(store, hand)) == {"r": 5}
    assert await status(store, hand) is Status.QUEUED


@pytest.mark.parametrize(
    ("finish", "outcome", "type_name"),
    [
        (Finish(outcome=Outcome.FAILED, failure=Failure(type_name="Boom", message="x")), Outcome.FAILED, "Boom"),
        (
            Finish(outcome=Outcome.FAILED, failure=Failure(type_name="WorkflowTimeoutError", message="x")),
            Outcome.TIMED_OUT, "WorkflowTimeoutError",
        ),
        (Finish(outcome=Outcome.CANCELLED), Outcome.CANCELLED, "ExecutionCancelled"),
    ],
)  # fmt: skip
async def test_a_childs_bad_end_reaches_the_parent_as_what_it_was(
    store: Store, finish: Finish, outcome: Outcome, type_name: str
) -> None:
    hand = await begun(store)
    await hand.commit(children("c", 1, batch=False))
    (child,) = await take_children(store)
    await child.commit(finish)
    entry = await only_entry(store, hand)
    assert entry.failure is not None
    assert (entry.kind, entry.outcome, entry.failure.type_name) == (Kind.CHILD, outcome, type_name)


async def test_a_child_is_created_once_per_parent_and_key(store: Store) -> None:
    hand = await begun(store)
    op = children("c", 1, batch=False)
    await store.commit(hand.lease, 1, [op], 0)
    await store.commit(hand.lease, 1, [op], 0)
    assert len(await store.search(ExecutionFilter())) == 2
    await store.commit(hand.lease, 2, [CloseWait(key="c")], 0)
    await store.commit(hand.lease, 3, [children("c", 1, batch=False)], 0)  # asked for again after it was given up
    assert len(await store.search(ExecutionFilter())) == 2
    assert len(await store.waits(hand.execution.id)) == 1


async def test_a_batch_is_counted_and_completed_once_in_order(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(children("c", 3), park("c"))
    one, two, three = await take_children(store)
    await three.commit(done("third"))
    await one.commit(Finish(outcome=Outcome.FAILED, failure=Failure(type_name="Boom", message="first")))
    assert await store.journal(hand.execution.id) == []
    assert await status(store, hand) is Status.WAITING
    await two.commit(done("second"))
    results = value_of(await only_entry(store, hand))
    assert [(r["success"], r["result"], r["error"]) for r in results] == [
        (False, None, "Boom: first"), (True, "second", None), (True, "third", None),
    ]  # fmt: skip
    assert await status(store, hand) is Status.QUEUED


async def test_a_batch_of_none_is_complete_at_once(store: Store) -> None:
    hand = await begun(store)
    answer = await hand.commit(children("c", 0))
    assert [value_of(e) for e in answer.outcomes] == [[]]


async def test_children_that_are_not_awaited_answer_their_handles(store: Store) -> None:
    hand = await begun(store)
    answer = await hand.commit(children("c", 2, waits=False), children("d", 1, batch=False, waits=False))
    many, one = (value_of(e) for e in answer.outcomes)
    assert [h["number"] for h in many] == [2, 3]
    assert (one["number"], one["root_execution_id"]) == (4, hand.execution.id)


async def test_the_end_of_an_execution_is_awaited_before_or_after_it(store: Store) -> None:
    hand, other = await begun(store), await begun(store)
    await hand.commit(wait_end("before", other.execution.id))
    await other.commit(done(9))
    answer = await hand.commit(wait_end("after", other.execution.id), wait_end("absent", "exec_none"))
    assert [(e.key, e.value and value_of(e)) for e in answer.outcomes][:2] == [("before", 9), ("after", 9)]
    assert answer.outcomes[2].failure is not None and answer.outcomes[2].failure.type_name == "UnknownExecution"


async def test_a_child_that_ends_after_its_parent_changes_nothing_there(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(children("c", 1, batch=False))
    await hand.commit(done("end"))
    before = await store.get(hand.execution.id)
    (child,) = await take_children(store)
    await child.commit(done(1))
    assert await store.get(hand.execution.id) == before
    assert await store.journal(hand.execution.id) == []


async def test_a_child_with_a_known_idempotency_key_is_that_execution(store: Store) -> None:
    from dataclasses import replace

    earlier = await start(store, "child", 0, idempotency_key="k")
    (running,) = await take_children(store)
    await running.commit(done("earlier"))
    hand = await begun(store)
    op = children("c", 1, batch=False)
    op = replace(op, children=(replace(op.children[0], idempotency_key="k"),))
    answer = await hand.commit(op)
    assert [value_of(e) for e in answer.outcomes] == ["earlier"]
    assert len(await store.search(ExecutionFilter(workflow_id="child"))) == 1
    assert earlier.number == 1


@pytest.mark.parametrize(
    ("known", "payloads", "type_name"),
    [
        (0, (5, 0), "UsageError"),  # awaited together with an execution that is not the batch's own
        (1, (5, 0), "IdempotencyConflict"),
        (None, (0, 0), "UsageError"),
        (None, (1, 0), "IdempotencyConflict"),
    ],
)
async def test_a_batch_with_a_refused_child_is_that_steps_failure_and_starts_none(
    store: Store, known: int | None, payloads: tuple[int, int], type_name: str
) -> None:
    from dataclasses import replace

    if known is not None:
        await start(store, "child", known, idempotency_key="k")
    hand = await begun(store)
    batch = children("c", 2)
    new = tuple(
        replace(child, input=stored(payload), idempotency_key="k" if known is None or index else None)
        for index, (child, payload) in enumerate(zip(batch.children, payloads, strict=True))
    )
    answer = await hand.commit(replace(batch, children=new), record("after"))
    failed = next(e for e in answer.outcomes if e.key == "c")
    assert failed.failure is not None and (failed.kind, failed.failure.type_name) == (Kind.CHILD, type_name)
    assert len(await store.search(ExecutionFilter(workflow_id="child"))) == (0 if known is None else 1)
    assert [e.seq for e in await store.journal(hand.execution.id)] == [1, 2]
