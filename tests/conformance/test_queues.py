"""A queue admits no more than its limit, first come first served per key; whoever is woken keeps its place (S7.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from polos.core.manifest import Declared, QueueRule, WorkerInfo
from polos.core.model import Outcome
from polos.core.ops import Finish
from polos.ports import Store
from tests.conformance.acts import Hand, SetClock, claim, event, park, record, start, wait_event


async def works(store: Store, limit: int | None = 1, id: str = "wrk_1", **facts: Any) -> None:
    fields = {"pid": 1, "project": "p", "complete": False, "workflow_ids": ("wf",)}
    rules = (QueueRule(name="q", concurrency_limit=limit),)
    await store.hello(WorkerInfo(**{"id": id, "queues": rules, **fields, **facts}), {})


async def taken(store: Store, worker: str = "wrk_1", **facts: Any) -> list[int]:
    return [one.execution.number for one in await claim(store, worker, **facts)]


async def ends(store: Store, hand: Hand) -> None:
    await hand.commit(Finish(outcome=Outcome.COMPLETED))


async def test_no_more_run_than_the_limit_and_the_first_come_first(store: Store) -> None:
    await works(store, 2)
    for _ in range(5):
        await start(store, queue="q")
    first = await claim(store)
    assert [one.execution.number for one in first] == [1, 2]
    assert await taken(store) == []
    await ends(store, Hand(store, first[0]))
    assert await taken(store) == [3]


async def test_each_key_has_a_line_of_its_own(store: Store) -> None:
    await works(store, 1)
    for key in ("a", "a", "b", None, None, "b"):
        await start(store, queue="q", concurrency_key=key)
    assert await taken(store) == [1, 3, 4]
    states = {one.concurrency_key: one for one in await store.queues()}
    assert {key: (one.running, one.queued) for key, one in states.items()} == {
        "": ((4,), 1), "a": ((1,), 1), "b": ((3,), 1)
    }  # fmt: skip
    assert states["a"].concurrency_limit == 1


async def test_a_waiting_one_holds_no_place_and_a_woken_one_keeps_its_own(store: Store, clock: SetClock) -> None:
    await works(store, 1)
    for _ in range(3):
        await start(store, queue="q")
    (first,) = await claim(store)
    hand = Hand(store, first)
    await hand.commit(wait_event("e", "t"), park("e"))
    (second,) = await claim(store)
    assert second.execution.number == 2
    await store.publish([event("t")])
    clock.move(5)
    await ends(store, Hand(store, second))
    assert await taken(store) == [1], "woken, it comes before those who came later"


async def test_a_place_that_is_offered_to_another_worker_is_passed_by_nobody(store: Store, clock: SetClock) -> None:
    await works(store, 1)
    await works(store, 1, id="wrk_2")
    await start(store, queue="q")
    (first,) = await claim(store)
    await Hand(store, first).commit(wait_event("e", "t"), park("e"))
    await start(store, queue="q")
    await store.publish([event("t")])
    assert await taken(store, "wrk_2") == []
    clock.move(2)
    assert await taken(store, "wrk_2") == [1]


async def test_one_that_nobody_can_run_holds_up_nobody(store: Store) -> None:
    await works(store, 1)
    await start(store, "gone", queue="q")
    await start(store, queue="q")
    assert await taken(store) == [2]


async def test_a_limit_that_is_changed_in_code_takes_effect(store: Store) -> None:
    await works(store, 1)
    for _ in range(4):
        await start(store, queue="q")
    assert await taken(store) == [1]
    await works(store, 3, id="wrk_2")
    assert await taken(store) == [2, 3]
    await works(store, 1, id="wrk_3")
    assert await taken(store) == []
    await works(store, None, id="wrk_4")
    assert await taken(store) == [4]


async def test_the_place_of_a_dead_holder_is_free_again(store: Store) -> None:
    await works(store, 1)
    await works(store, 1, id="wrk_2")
    for _ in range(2):
        await start(store, queue="q")
    assert await taken(store) == [1]
    assert await taken(store, "wrk_2") == []
    await store.bury("wrk_1")
    assert await taken(store, "wrk_2") == [1]


async def test_a_workflows_own_queue_holds_for_what_is_started_by_its_id(store: Store) -> None:
    await works(store, 1, declared=(Declared(workflow_id="wf", queue="q"),))
    for _ in range(2):
        await start(store)
    assert await taken(store) == [1]
    found = await store.get((await store.find("2"))[0].id)
    assert found is not None and found.queue == "q"
    assert await store.place_in_line(found.id) == 0


async def test_a_limit_is_one_across_workflows(store: Store) -> None:
    await works(store, 1, workflow_ids=("wf", "other"))
    await start(store, "other", queue="q")
    await start(store, queue="q")
    assert await taken(store, workflows=("wf", "other")) == [1]
    assert await taken(store, workflows=("wf", "other")) == []


async def test_others_are_served_beside_a_full_queue_oldest_first(store: Store, clock: SetClock) -> None:
    await works(store, 1)
    for queue in ("q", "q", None, "free", None):
        await start(store, queue=queue)
        clock.move(0.1)
    assert await taken(store, limit=3) == [1, 3, 4]
    assert await taken(store) == [5]


async def test_every_line_has_its_turn_however_many_there_are(store: Store) -> None:
    await works(store, 1)
    for n in range(450):
        await start(store, queue="q", concurrency_key=f"key-{n:04d}")
    got: list[int] = []
    for _ in range(60):
        got += await taken(store, limit=10)
    assert sorted(got) == list(range(1, 451))


@pytest.mark.parametrize("limit", [5, None])
async def test_those_of_another_worker_at_the_front_keep_none_from_a_free_place(
    store: Store, limit: int | None
) -> None:
    await works(store, limit)
    await works(store, limit, id="wrk_2", workflow_ids=("other",))
    await start(store, queue="q")
    await start(store, "other", queue="q")
    assert await taken(store, "wrk_2", limit=1, workflows=["other"]) == [2]


async def test_a_retried_one_may_wait_again_and_its_place_is_free(store: Store) -> None:
    await works(store, 1)
    await start(store, queue="q")
    (claimed,) = await claim(store)
    hand = Hand(store, claimed)
    await hand.commit(wait_event("e", "t"), park("e"))
    await store.cancel(hand.execution.id)
    hand = await hand.reclaimed()
    await hand.commit(replace(record("undo"), after=1))
    await hand.commit(Finish(outcome=Outcome.CANCELLED))
    await store.retry(hand.execution.id)
    hand = await hand.reclaimed()
    assert (await hand.commit(wait_event("e", "t"), park("e"))).parked
    await start(store, queue="q")
    assert await taken(store) == [2]
