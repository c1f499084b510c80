"""A stored value that was changed or damaged is reported, never returned as data (S3.4)."""

from __future__ import annotations

import pytest

from polos.core.model import Outcome
from polos.core.ops import Finish, Release
from polos.core.status import Status
from polos.errors import CorruptRecord
from polos.ports import EventFilter, Store
from tests.conformance.acts import Hand, begun, children, claim, event, record, start, stored, wait_answer
from tests.conformance.conftest import Place


async def test_a_damaged_outcome_is_reported_on_read(store: Store, place: Place) -> None:
    hand = await begun(store)
    await hand.commit(record("a", "genuine"), record("b"))
    place.damage("journal", "value", key="a")
    with pytest.raises(CorruptRecord, match="'a'"):
        await store.journal(hand.execution.id)
    with pytest.raises(CorruptRecord):
        await store.commit(hand.lease, 9, [], 0)


async def test_a_damaged_event_is_reported_on_read(store: Store, place: Place) -> None:
    await store.publish([event("t", "genuine")])
    place.damage("event", "data")
    with pytest.raises(CorruptRecord):
        await store.events(EventFilter(topic="t"))


async def test_a_damaged_input_and_result_are_reported_on_read(store: Store, place: Place) -> None:
    hand = await begun(store, payload="genuine")
    place.damage("input", "value", execution=hand.execution.number)
    with pytest.raises(CorruptRecord):
        await store.get(hand.execution.id)
    other = await begun(store)
    await other.commit(Finish(outcome=Outcome.COMPLETED, value=stored("genuine")))
    place.damage("result", "value", execution=other.execution.number)
    with pytest.raises(CorruptRecord):
        await store.get(other.execution.id)


async def test_a_damaged_answer_is_not_given_to_its_suspend(store: Store, place: Place) -> None:
    hand = await begun(store)
    await store.resume(hand.execution.id, "ask", stored("genuine"), "ans_1")
    place.damage("answer", "value", key="ask")
    with pytest.raises(CorruptRecord):
        await hand.commit(wait_answer(hand, "ask"))
    assert await store.journal(hand.execution.id) == []


async def test_a_damaged_result_of_a_child_is_not_given_to_its_parent(store: Store, place: Place) -> None:
    hand = await begun(store)
    await hand.commit(children("c", 2))
    one, two = [Hand(store, c) for c in await claim(store, workflows=["child"])]
    await one.commit(Finish(outcome=Outcome.COMPLETED, value=stored("genuine")))
    place.damage("result", "value", execution=one.execution.number)
    with pytest.raises(CorruptRecord):
        await two.commit(Finish(outcome=Outcome.COMPLETED, value=stored(2)))
    assert await store.journal(hand.execution.id) == []


@pytest.mark.parametrize("what", ["input", "journal"])
async def test_one_damaged_execution_is_blocked_at_its_claim_and_holds_up_no_other(
    store: Store, place: Place, what: str
) -> None:
    hand = await begun(store, payload="genuine" if what == "input" else None)
    await hand.commit(record("a", "genuine"))
    await hand.commit(Release())
    other = await start(store)
    place.damage(what, "value", execution=hand.execution.number)
    assert [c.execution.id for c in await claim(store)] == [other.id]
    assert (await store.counts())[Status.BLOCKED] == 1
    assert await claim(store) == []
