"""The check of new code holds what would diverge, and lets go on what fits; a worker that leaves keeps nobody waiting (S8.3)."""

from __future__ import annotations

import orjson
import pytest

from polos.core.manifest import QueueRule, WorkerInfo
from polos.core.model import Outcome
from polos.core.ops import Finish
from polos.core.status import Status
from polos.ports import EventFilter, Store
from tests.conformance.acts import SetClock, begun, claim, event, park, record, start, wait_event

REASON = orjson.dumps({"kind": "diverged", "message": "it does not fit"}).decode()


async def hello(store: Store, id: str = "wrk_1", code: str = "aaa", is_checked: bool = False) -> None:
    info = WorkerInfo(
        id=id, pid=1, project="p", complete=True, workflow_ids=("wf",), code=code, is_checked=is_checked,
        queues=(QueueRule(name="q", concurrency_limit=1),),
    )  # fmt: skip
    await store.hello(info, {})


async def status(store: Store, id: str) -> Status:
    found = await store.get(id)
    assert found is not None
    return found.status


async def test_a_waiting_and_a_queued_one_are_held_and_released(store: Store) -> None:
    await hello(store)
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"))
    await hand.commit(park("e"))
    queued = await start(store)
    assert await store.hold([(hand.execution.id, REASON), (queued.id, REASON)], "bbb") == [hand.execution.id, queued.id]
    found = await store.get(hand.execution.id)
    assert found is not None
    assert (found.status, found.blocked_reason, found.blocked_code) == (Status.BLOCKED, REASON, "bbb")
    assert await claim(store) == []
    assert await store.release([hand.execution.id, queued.id, "exec_absent"]) == [hand.execution.id, queued.id]
    told = [e.type for e in await store.events(EventFilter()) if str(e.type).endswith("blocked")]
    assert told == ["workflow_blocked", "workflow_blocked", "workflow_unblocked", "workflow_unblocked"]
    assert {c.execution.id for c in await claim(store)} == {hand.execution.id, queued.id}


async def test_what_runs_or_has_ended_is_not_held(store: Store) -> None:
    await hello(store)
    running, ended = await begun(store), await begun(store)
    await ended.commit(Finish(outcome=Outcome.COMPLETED))
    assert (
        await store.hold([(running.execution.id, REASON), (ended.execution.id, REASON), ("exec_absent", REASON)], "b")
        == []
    )
    await running.commit(record("a"))
    assert await status(store, running.execution.id) is Status.RUNNING
    assert await store.release([running.execution.id, ended.execution.id]) == []


async def test_an_event_that_comes_while_it_is_held_is_there_when_it_goes_on(store: Store) -> None:
    await hello(store)
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"))
    await hand.commit(park("e"))
    await store.hold([(hand.execution.id, REASON)], "bbb")
    (published,) = await store.publish([event("t", 1)])
    assert published.woken == (hand.execution.number,)
    assert await status(store, hand.execution.id) is Status.BLOCKED
    await store.release([hand.execution.id])
    (again,) = await claim(store)
    assert [entry.key for entry in again.entries] == ["e"]


async def test_what_is_about_to_be_stopped_is_not_held(store: Store) -> None:
    await hello(store)
    hand = await begun(store)
    await hand.commit(record("a"), wait_event("e", "t"))
    await hand.commit(park("e"))
    await store.cancel(hand.execution.id)
    assert await store.hold([(hand.execution.id, REASON)], "bbb") == []


async def test_a_checked_workers_hello_releases_nothing_by_itself(store: Store) -> None:
    await hello(store)
    started = await start(store)
    await store.hold([(started.id, REASON)], "aaa")
    await hello(store, "wrk_2", code="bbb", is_checked=True)
    assert await status(store, started.id) is Status.BLOCKED
    await hello(store, "wrk_3", code="bbb")
    assert await status(store, started.id) is Status.QUEUED


async def test_what_a_leaving_worker_has_in_memory_is_offered_to_others_at_once(store: Store, clock: SetClock) -> None:
    await hello(store)
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"))
    await hand.commit(park("e"))
    await hello(store, "wrk_2")
    await store.publish([event("t", 1)])
    assert await claim(store, "wrk_2") == [], "it is first offered to the one that has it in memory"
    await store.retire("wrk_1")
    (claimed,) = await claim(store, "wrk_2")
    assert claimed.execution.id == hand.execution.id


async def test_a_leaving_worker_that_says_hello_again_declares_nothing(store: Store) -> None:
    await hello(store, "wrk_2", code="bbb")
    old = WorkerInfo(id="wrk_1", pid=1, project="p", complete=True, workflow_ids=("wf", "gone"), claims="none")
    await store.hello(old, {})
    assert [queue.name for queue in await store.queues()] == ["q"]


@pytest.mark.parametrize("ends", [True, False])
async def test_whoever_follows_the_log_is_told_that_it_has_grown(store: Store, ends: bool) -> None:
    told: list[int] = []
    forget = store.on_appended(lambda: told.append(1))
    if ends:
        forget()
    await store.publish([event("t", 1)])
    assert bool(told) is not ends
