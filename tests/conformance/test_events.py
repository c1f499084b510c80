"""The event log and the waits for it (S4.2, S5)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from polos.core.codec import plain
from polos.core.ops import Release
from polos.core.status import Status
from polos.errors import UsageError
from polos.ports import EventFilter, Store
from tests.conformance.acts import Hand, begun, data_of, event, park, publish, record, wait_event


async def sequences(store: Store, topic: str) -> list[int]:
    return [e.sequence for e in await store.events(EventFilter(topic=topic))]


async def received(store: Store, hand: Hand) -> dict[str, object]:
    return {e.key: data_of(e) for e in await store.journal(hand.execution.id) if e.kind == "event"}


async def test_a_topic_is_gapless_and_in_commit_order_under_concurrent_publishers(store: Store) -> None:
    topics = ["a", "b"]
    await asyncio.gather(*(store.publish([event(topics[n % 2], n), event(topics[n % 2], -n)]) for n in range(20)))
    for topic in topics:
        events = await store.events(EventFilter(topic=topic))
        assert [e.sequence for e in events] == list(range(1, 21))
        assert [e.position for e in events] == sorted(e.position for e in events)


async def test_a_cursor_over_all_topics_skips_nothing(store: Store) -> None:
    seen: list[int] = []
    at = 0
    for n in range(6):
        await store.publish([event(f"t{n % 3}", n)])
        found = await store.events(EventFilter(after_position=at, lifecycle=False))
        seen += [plain(e.data) for e in found]
        at = found[-1].position
    assert seen == list(range(6))


async def test_a_refused_publish_leaves_no_gap(store: Store) -> None:
    await store.publish([event("t", 1, "evt_x")])
    with pytest.raises(UsageError):
        await store.publish([event("t", 2), event("t", "other", "evt_x")])
    await store.publish([event("t", 3)])
    assert await sequences(store, "t") == [1, 2]


async def test_a_publish_with_a_known_id_is_stored_once_and_wakes_nobody_again(store: Store) -> None:
    first = (await store.publish([event("t", {"n": 1}, "evt_mine")]))[0]
    hand = await begun(store)
    await hand.commit(wait_event("e", "t", since="now"))
    again = (await store.publish([event("t", {"n": 1}, "evt_mine")]))[0]
    assert (again.id, again.sequence, again.position) == (first.id, first.sequence, first.position)
    assert (again.created, again.woken) == (False, ())
    assert await sequences(store, "t") == [1]


@pytest.mark.parametrize(("topic", "data"), [("t", 2), ("other", 1)])
async def test_a_known_id_with_other_content_is_refused(store: Store, topic: str, data: int) -> None:
    await store.publish([event("t", 1, "evt_mine")])
    with pytest.raises(UsageError, match="evt_mine"):
        await store.publish([event(topic, data, "evt_mine")])


async def test_a_publish_answers_how_many_waits_it_woke(store: Store) -> None:
    hands = [await begun(store) for _ in range(3)]
    for hand in hands:
        await hand.commit(wait_event("e", "t"), park("e"))
    published = (await store.publish([event("t", "x")]))[0]
    assert published.woken == tuple(hand.execution.number for hand in hands)
    assert [await received(store, hand) for hand in hands] == [{"e": "x"}] * 3


async def test_an_event_goes_to_one_wait_of_an_execution_the_earliest_that_matches(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("never", "t", match={"n": 9}), wait_event("first", "t"), wait_event("second", "t"))
    await store.publish([event("t", {"n": 1})])
    assert await received(store, hand) == {"first": {"n": 1}}
    await store.publish([event("t", {"n": 2})])
    assert await received(store, hand) == {"first": {"n": 1}, "second": {"n": 2}}


async def test_a_wait_takes_the_lowest_event_that_the_execution_has_not_seen(store: Store) -> None:
    hand = await begun(store)
    await store.publish([event("t", n) for n in (1, 2, 3)])
    for n in (1, 2, 3):
        await hand.commit(wait_event(f"w{n}", "t"))
    assert await received(store, hand) == {"w1": 1, "w2": 2, "w3": 3}
    assert [w.key for w in await store.waits(hand.execution.id)] == []


async def test_an_event_passed_over_by_one_match_is_still_there_for_another(store: Store) -> None:
    hand = await begun(store)
    await store.publish([event("t", {"n": 1}), event("t", {"n": 2})])
    await hand.commit(wait_event("two", "t", match={"n": 2}))
    await hand.commit(wait_event("any", "t"))
    assert await received(store, hand) == {"two": {"n": 2}, "any": {"n": 1}}


async def test_a_long_past_is_searched_to_its_end(store: Store) -> None:
    hand = await begun(store)
    await store.publish([event("t", {"n": n}) for n in range(450)])
    await hand.commit(wait_event("late", "t", match={"n": 449}))
    assert await received(store, hand) == {"late": {"n": 449}}


async def test_an_event_before_the_wait_is_kept_for_it_but_not_one_before_the_execution(store: Store) -> None:
    await store.publish([event("t", "before the execution")])
    hand = await begun(store)
    await store.publish([event("t", "before the wait")])
    await hand.commit(wait_event("e", "t"))
    assert await received(store, hand) == {"e": "before the wait"}


async def test_since_now_counts_only_what_comes_after_the_wait(store: Store) -> None:
    hand = await begun(store)
    await store.publish([event("t", "old")])
    await hand.commit(wait_event("e", "t", since="now"))
    assert await received(store, hand) == {}
    await store.publish([event("t", "new")])
    assert await received(store, hand) == {"e": "new"}


@pytest.mark.parametrize(
    ("match", "data", "fits"),
    [
        ({"ok": True}, {"ok": True, "more": 1}, True),
        ({"ok": True}, {"ok": 1}, False),
        ({"ok": 1}, {"ok": True}, False),
        ({"n": 1}, {"n": 1.0}, True),
        ({"n": 1}, {"n": "1"}, False),
        ({"a": {"b": [1, None]}}, {"a": {"b": [1, None]}}, True),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, False),
        ({"a": None}, {}, False),
        ({"a": None}, {"a": None}, True),
        ({"n": 2**70}, {"n": 2**70}, True),
        ({}, {"x": 1}, True),
        ({"x": 1}, [1], False),
        ({"x": 1}, None, False),
    ],
)
@pytest.mark.parametrize("first", ["wait", "event"])
async def test_a_match_compares_top_level_keys_by_json_equality(
    store: Store, match: dict[str, object], data: object, fits: bool, first: str
) -> None:
    import json
    from dataclasses import replace

    hand = await begun(store)
    wait = replace(wait_event("e", "t"), match=json.dumps(match))
    if first == "wait":
        await hand.commit(wait)
        await store.publish([event("t", data)])
    else:
        await store.publish([event("t", data)])
        await hand.commit(wait)
    entries = await store.journal(hand.execution.id)
    assert bool(entries) is fits


async def test_topics_are_compared_exactly(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("e", "a.b"), wait_event("f", "A.B"), wait_event("g", "a_b"))
    await store.publish([event("a.b", 1)])
    assert await received(store, hand) == {"e": 1}


async def test_a_wake_requeues_the_parked_execution_in_the_same_transaction(store: Store) -> None:
    hand = await begun(store)
    await hand.commit(wait_event("e", "t"), park("e"))
    with pytest.raises(UsageError):
        await store.publish([event("t", 1), event("workflow/x/y", 2)])
    found = await store.get(hand.execution.id)
    assert found is not None and found.status is Status.WAITING and found.seq == 0
    await store.publish([event("t", 1)])
    found = await store.get(hand.execution.id)
    assert found is not None and (found.status, found.seq) == (Status.QUEUED, 1)


async def test_an_event_published_by_a_step_wakes_others_and_its_own_execution(store: Store) -> None:
    hand, other = await begun(store), await begun(store)
    await other.commit(wait_event("e", "t"), park("e"))
    await hand.commit(wait_event("own", "t"))
    answer = await hand.commit(publish("p", "t", {"from": 1}))
    assert {e.key for e in answer.outcomes} == {"own", "p"}
    assert await received(store, hand) == {"own": {"from": 1}}
    assert await received(store, other) == {"e": {"from": 1}}


async def test_an_event_seen_before_a_crash_is_not_seen_again_after_it(store: Store) -> None:
    hand = await begun(store)
    await store.publish([event("t", n) for n in (1, 2)])
    await hand.commit(wait_event("w1", "t"))
    await hand.commit(Release())
    hand = await hand.reclaimed()
    await hand.commit(wait_event("w2", "t"))
    assert await received(store, hand) == {"w1": 1, "w2": 2}


@pytest.mark.parametrize("topic", ["workflow/", "workflow/wf/exec_1", "workflow/anything"])
async def test_topics_of_lifecycles_cannot_be_published_to(store: Store, topic: str) -> None:
    with pytest.raises(UsageError, match="workflow/"):
        await store.publish([event(topic)])
    hand = await begun(store)
    with pytest.raises(UsageError):
        await hand.commit(publish("p", topic))
    assert await store.events(EventFilter(lifecycle=False)) == []


async def test_lifecycle_events_wake_no_wait_but_a_workflows_own_event_does(store: Store) -> None:
    hand = await begun(store)
    own = f"workflow/wf/{hand.execution.id}"
    await hand.commit(wait_event("before", own))
    await hand.commit(record("a"))
    await hand.commit(wait_event("after", own))
    assert await received(store, hand) == {}
    answer = await hand.commit(publish("p", None, {"progress": 1}))
    assert {e.key for e in answer.outcomes} == {"before", "p"}
    await hand.commit(publish("q", None, {"progress": 2}))
    assert await received(store, hand) == {"before": {"progress": 1}, "after": {"progress": 2}}


async def test_lifecycle_events_hold_no_values(store: Store) -> None:
    hand = await begun(store, payload={"secret": "hidden-input"})
    await hand.commit(record("a", "hidden-value"), wait_event("e", "t"))
    await store.publish([event("t", "hidden-data")])
    events = await store.events(EventFilter(prefix="workflow/"))
    assert [e.type for e in events] == ["workflow_start", "step_finish", "wait_start", "wait_finish"]
    assert not any("hidden" in e.data.text for e in events)


async def test_events_are_listed_by_prefix_time_and_the_newest(store: Store) -> None:
    await store.publish([event("a.x", 1), event("a.y", 2), event("b", 3)])

    async def listed(**facts: object) -> list[object]:
        return [plain(e.data) for e in await store.events(EventFilter(**facts))]  # type: ignore[arg-type]

    assert await listed(prefix="a.") == [1, 2]
    assert await listed(newest=True, limit=2) == [2, 3]
    assert await listed(limit=1) == [1]
    assert await listed(topic="absent") == []


async def test_a_listing_ends_with_its_budget_and_goes_on_behind_it(store: Store) -> None:
    """However large the values are: a reader is given so much at once, and one value at least."""
    for number in range(6):
        await store.publish([event("t", "x" * (10 if number % 2 else 1000))])
    wanted = EventFilter(topic="t", budget=1500)
    assert [e.sequence for e in await store.events(wanted)] == [1, 2, 3]
    assert [e.sequence for e in await store.events(replace(wanted, after_sequence=3))] == [4, 5, 6]
    assert [e.sequence for e in await store.events(replace(wanted, budget=0))] == []
    assert [e.sequence for e in await store.events(replace(wanted, budget=1))] == [1]
    newest = await store.events(replace(wanted, newest=True, budget=1000))
    assert [e.sequence for e in newest] == [5, 6]
    before = await store.events(replace(wanted, newest=True, before_position=newest[0].position, limit=2))
    assert [e.sequence for e in before] == [3, 4]
