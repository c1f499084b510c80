"""Claims: who gets what, in which order, under which epoch (S8.1, S8.2)."""

from __future__ import annotations

import asyncio

import pytest

from polos.core.codec import plain
from polos.core.manifest import WorkerInfo
from polos.core.ops import Release
from polos.core.status import Status
from polos.ports import Store
from tests.conformance.acts import (
    Hand,
    SetClock,
    begun,
    claim,
    event,
    park,
    record,
    request,
    retry,
    start,
    wait_event,
    wait_timer,
)
from tests.conformance.conftest import Place


async def test_claims_come_oldest_first_and_never_more_than_the_limit(store: Store) -> None:
    for _ in range(5):
        await start(store)
    assert [c.execution.number for c in await claim(store, limit=2)] == [1, 2]
    assert [c.execution.number for c in await claim(store, limit=10)] == [3, 4, 5]
    assert await claim(store) == []


async def test_a_worker_gets_only_the_workflows_it_names(store: Store) -> None:
    await start(store, "unknown")
    mine = await start(store, "wf")
    assert [c.execution.id for c in await claim(store, workflows=["wf", "absent"])] == [mine.id]
    assert await claim(store, workflows=[]) == []


async def test_a_worker_that_names_roots_gets_only_their_trees(store: Store) -> None:
    await start(store)
    mine = await start(store)
    assert [c.execution.id for c in await claim(store, root_ids=frozenset({mine.id}))] == [mine.id]


async def test_a_claim_brings_the_input_and_marks_the_execution_running(store: Store, clock: SetClock) -> None:
    await start(store, payload=[1, "two"], session_id="s")
    clock.move(3)
    (claimed,) = await claim(store, "wrk_9")
    assert plain(claimed.execution.input) == [1, "two"]
    assert claimed.execution.status is Status.RUNNING
    assert (claimed.execution.started_at, claimed.execution.worker_id) == (clock.now(), "wrk_9")
    assert (claimed.lease.epoch, claimed.lease.worker_id) == (1, "wrk_9")


async def test_each_claim_raises_the_epoch(store: Store) -> None:
    hand = await begun(store)
    for epoch in (2, 3, 4):
        await hand.commit(Release())
        hand = await hand.reclaimed()
        assert hand.lease.epoch == epoch


async def test_a_claim_brings_the_whole_history_with_waits_and_failed_attempts(store: Store, clock: SetClock) -> None:
    hand = await begun(store)
    await hand.commit(record("a", 1), retry("b", 1, clock.now(), parks=False))
    await hand.commit(wait_event("c", "t"), wait_timer("d", clock.now() + 9))
    await hand.commit(Release())
    (claimed,) = await claim(store)
    assert [(e.key, e.seq) for e in claimed.entries] == [("a", 1)]
    assert [w.key for w in claimed.pending] == ["c", "d"]
    assert [(a.key, a.attempt) for a in claimed.attempts] == [("b", 1)]


async def test_a_hot_execution_is_told_only_what_it_does_not_have(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(record("a"), wait_event("b", "t"))
    assert (await hand.commit(park("b"))).parked
    await store.publish([event("t")])
    (claimed,) = await claim(store, held={hand.execution.number: hand.since})
    assert [e.key for e in claimed.entries] == ["b"]


async def test_a_waiting_claim_returns_as_soon_as_there_is_work(store: Store) -> None:
    waiting = asyncio.create_task(store.claim(request(), 30))
    await asyncio.sleep(0)
    started = await start(store)
    assert [c.execution.id for c in await asyncio.wait_for(waiting, 5)] == [started.id]


async def test_a_claim_with_nothing_to_do_answers_empty_after_its_wait(store: Store) -> None:
    assert await store.claim(request(), 0.01) == []


async def test_a_claim_whose_caller_went_away_is_given_back_at_no_ones_fault(store: Store, place: Place) -> None:
    started = await start(store)
    claiming = asyncio.create_task(store.claim(request(), 0))
    await place.until_submitted("claim")
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    claims = await store.claim(request("wrk_2"), 5)
    assert [(c.execution.id, c.lease.epoch, c.execution.deaths) for c in claims] == [(started.id, 2, 0)]


async def test_a_woken_execution_is_offered_first_to_the_worker_that_parked_it(store: Store, clock: SetClock) -> None:
    hand = await begun(store, worker="wrk_1")
    await hand.commit(wait_event("e", "t"), park("e"))
    await store.publish([event("t")])
    assert await claim(store, "wrk_2") == []
    due = await store.fire_due()
    assert due is not None and due <= clock.now() + 1_000_000
    clock.move(1)
    assert len(await claim(store, "wrk_2")) == 1


async def test_a_released_execution_is_free_for_any_worker_at_once(store: Store) -> None:
    hand = await begun(store, worker="wrk_1")
    await hand.commit(Release())
    assert len(await claim(store, "wrk_2")) == 1


async def test_take_over_queues_what_was_held_and_counts_a_death(store: Store) -> None:
    hand = await begun(store)
    done = await begun(store)
    await done.commit(record("x"), wait_event("e", "t"), park())
    await done.commit(park("e"))
    assert await store.take_over() == 1
    (claimed,) = await claim(store)
    assert (claimed.execution.number, claimed.execution.deaths, claimed.lease.epoch) == (hand.execution.number, 1, 2)


async def test_deaths_add_up_until_an_outcome_resets_them(store: Store) -> None:
    hand = await begun(store)
    for deaths in (1, 2):
        await store.take_over()
        hand = await hand.reclaimed()
        assert hand.execution.deaths == deaths
    await hand.commit(retry("a", 3, 0, parks=False))  # a failed attempt is no outcome
    await store.take_over()
    hand = await hand.reclaimed()
    assert hand.execution.deaths == 3
    await hand.commit(record("a"))
    await store.take_over()
    assert (await hand.reclaimed()).execution.deaths == 1


async def test_an_outcome_from_elsewhere_resets_deaths_too(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"))
    await store.take_over()
    await store.publish([event("t")])
    assert (await Hand.reclaimed(hand)).execution.deaths == 0


async def test_a_worker_is_listed_with_its_manifest(store: Store) -> None:
    from polos.core.manifest import WorkerInfo

    info = WorkerInfo(id="wrk_1", pid=7, project="shop", complete=True, workflow_ids=("a", "b"), started_at=5)
    await store.hello(info, {})
    await store.hello(info, {})
    assert await store.workers() == [info]
    await store.goodbye("wrk_1")


async def test_a_worker_that_says_goodbye_leaves_nothing_held(store: Store) -> None:
    """A claim whose answer it did not wait for is free again, at no one's fault, and others hear of it at once."""
    from polos.core.manifest import WorkerInfo

    await store.hello(WorkerInfo(id="wrk_1", pid=7, project="", complete=False, workflow_ids=("wf",)), {})
    await start(store)
    assert len(await claim(store, "wrk_1")) == 1
    assert await claim(store, "wrk_2") == []
    waiting = asyncio.ensure_future(store.claim(request("wrk_2"), 5))
    await store.goodbye("wrk_1")
    (found,) = await waiting
    assert (found.execution.deaths, found.lease.epoch) == (0, 2)


async def test_suspects_that_are_put_back_take_nobodys_place(store: Store) -> None:
    """Two that may bring their worker down are first in line: one is taken, and whoever stands behind the other, too (S8.3)."""
    suspects = [await start(store) for _ in range(2)]
    for _ in range(2):
        await claim(store, "wrk_1", limit=10)
        await store.bury("wrk_1")
        await store.hello(WorkerInfo(id="wrk_1", pid=1, project="p", complete=True, workflow_ids=("wf",)), {})
    other = await start(store)
    claims = await claim(store, "wrk_1", limit=2)
    assert [one.execution.id for one in claims] == [suspects[0].id, other.id]
    behind = await start(store)
    claims = await claim(store, "wrk_1", limit=1, runs_suspect=True)
    assert [one.execution.id for one in claims] == [behind.id]
