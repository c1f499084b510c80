"""Starting executions: all or none, once per idempotency key (S9.1, S9.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from polos.core.codec import plain
from polos.core.forks import ForkRequest
from polos.core.status import Status
from polos.errors import IdempotencyConflict, UnknownExecution, UsageError
from polos.ports import EventFilter, ExecutionFilter, Store
from tests.conformance.acts import SetClock, begun, claim, new, new_id, record, start, stored


async def test_a_start_answers_ids_and_growing_numbers_in_order(store: Store) -> None:
    wanted = [new(), new("other"), new()]
    started = await store.start(wanted)
    assert [s.id for s in started] == [w.id for w in wanted]
    assert [s.number for s in started] == [1, 2, 3]
    assert all(s.created and s.root_id == s.id and s.root_workflow_id == s.workflow_id for s in started)


async def test_a_started_execution_is_queued_with_its_input_and_facts(store: Store) -> None:
    started = await start(store, payload={"a": [1, None]}, session_id="s", user_id="u", run_timeout=7)
    found = await store.get(started.id)
    assert found is not None
    assert (found.status, found.session_id, found.user_id, found.run_timeout) == (Status.QUEUED, "s", "u", 7)
    assert plain(found.input) == {"a": [1, None]}
    assert (found.epoch, found.seq, found.deaths) == (0, 0, 0)


async def test_the_start_is_told_on_the_executions_own_topic(store: Store) -> None:
    started = await start(store)
    events = await store.events(EventFilter(topic=f"workflow/wf/{started.id}"))
    assert [e.type for e in events] == ["workflow_start"]


async def test_a_batch_with_one_conflict_starts_nothing(store: Store) -> None:
    await start(store, payload=1, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await store.start([new(payload=5), new(payload=2, idempotency_key="k"), new(payload=6)])
    assert len(await store.search(ExecutionFilter())) == 1
    assert len(await store.events(EventFilter())) == 1
    assert (await start(store)).number == 2


async def test_a_repeated_key_with_the_same_payload_gives_back_the_same_execution(store: Store) -> None:
    first = await start(store, payload={"x": 1}, idempotency_key="k")
    again = await start(store, payload={"x": 1}, idempotency_key="k")
    assert (again.id, again.number, again.created) == (first.id, first.number, False)
    assert len(await store.search(ExecutionFilter())) == 1


async def test_a_key_used_twice_in_one_batch_starts_one_execution(store: Store) -> None:
    one, two = await store.start([new(payload=1, idempotency_key="k"), new(payload=1, idempotency_key="k")])
    assert (one.id, one.created, two.created) == (two.id, True, False)


async def test_a_repeated_key_with_another_payload_is_a_conflict_that_names_the_execution(store: Store) -> None:
    await start(store, payload={"x": 1}, idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match="execution 1"):
        await start(store, payload={"x": 2}, idempotency_key="k")


async def test_an_idempotency_key_belongs_to_one_workflow(store: Store) -> None:
    first = await start(store, "wf", 1, idempotency_key="k")
    other = await start(store, "other", 2, idempotency_key="k")
    assert other.created and other.id != first.id


async def test_a_delayed_execution_cannot_be_claimed_before_its_time(store: Store, clock: SetClock) -> None:
    await start(store, delay=5_000_000)
    assert await claim(store) == []
    assert await store.fire_due() == clock.now() + 5_000_000
    clock.move(5)
    assert len(await claim(store)) == 1


async def test_an_execution_is_found_by_number_id_unique_end_and_last(store: Store) -> None:
    first = await start(store)
    second = await start(store, "other")
    for reference, number in (
        (str(first.number), 1), (first.id, 1), (first.id[-24:], 1), ("last", 2), ("last:wf", 1), ("last:other", 2),
    ):  # fmt: skip
        assert [e.number for e in await store.find(reference)] == [number], reference
    assert second.number == 2
    assert {e.number for e in await store.find("999")} == set()
    assert await store.find("%") == []


async def test_an_end_shared_by_several_ids_finds_them_all(store: Store) -> None:
    from dataclasses import replace

    one, two = replace(new(), id="exec_aaaaaaxyz"), replace(new(), id="exec_bbbbbbxyz")
    await store.start([one, two])
    assert {e.id for e in await store.find("xyz")} == {one.id, two.id}
    assert [e.id for e in await store.find("axyz")] == [one.id]


async def test_listings_filter_and_go_newest_first(store: Store, clock: SetClock) -> None:
    await start(store)
    clock.move(10)
    later = clock.now()
    await start(store, "other")
    await start(store)
    await claim(store, limit=1)

    async def numbers(**facts: object) -> list[int]:
        return [e.number for e in await store.search(ExecutionFilter(**facts))]  # type: ignore[arg-type]

    assert await numbers() == [3, 2, 1]
    assert await numbers(limit=2) == [3, 2]
    assert await numbers(before=3) == [2, 1]
    assert await numbers(workflow_id="wf") == [3, 1]
    assert await numbers(statuses=frozenset({Status.RUNNING})) == [1]
    assert await numbers(since=later) == [3, 2]
    assert await numbers(until=later) == [1]
    assert await store.counts() == {Status.RUNNING: 1, Status.QUEUED: 2}


async def test_a_fork_that_is_asked_for_again_is_the_same_one(store: Store) -> None:
    hand = await begun(store, payload={"n": 1}, session_id="s", user_id="u", queue="q", concurrency_key="k")
    await hand.commit(record("a", 1), replace(record("b", 2), after=1))
    request = ForkRequest(id=new_id(), source_id=hand.execution.id, at="b", edits={"a": stored(5)})
    made = await store.fork(request)
    assert await store.fork(request) == made
    found = await store.get(made.id)
    assert found is not None and (found.session_id, found.user_id, found.queue, found.concurrency_key) == (
        "s", "u", "q", "k"
    )  # fmt: skip
    assert (found.parent_id, found.root_id, found.input) == (None, made.id, stored({"n": 1}))
    (entry,) = await store.journal(made.id)
    assert (entry.key, entry.seq, entry.value) == ("a", 1, stored(5))
    origin = await store.provenance(made.id)
    assert origin is not None and (origin.source_id, origin.at, origin.kept) == (hand.execution.id, "b", 1)
    assert [(edit.key, edit.value) for edit in origin.edits] == [("a", stored(1))]
    assert await store.provenance(hand.execution.id) is None
    with pytest.raises(UnknownExecution):
        await store.fork(replace(request, id=new_id(), source_id="exec_absent"))
    with pytest.raises(UsageError):
        await store.fork(replace(request, id=new_id(), at="nix"))
    assert len(await store.search(ExecutionFilter())) == 2, "what was refused has started nothing"
