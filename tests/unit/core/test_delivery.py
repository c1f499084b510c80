"""Which outcome is delivered next: the rule alone, without a loop (S1.6, S1.7)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polos.core.delivery import NOTHING, Deliver, Delivery, KindChanged, Nothing, Stalled
from polos.core.model import Entry, Kind, Outcome, PendingWait


def entry(key: str, seq: int, after: int, kind: Kind = Kind.RUN) -> Entry:
    return Entry(key=key, kind=kind, outcome=Outcome.COMPLETED, seq=seq, after=after)


def wait(key: str, after: int, kind: Kind = Kind.EVENT) -> PendingWait:
    return PendingWait(key=key, kind=kind, after=after)


def delivered(delivery: Delivery) -> str:
    step = delivery.next()
    assert isinstance(step, Deliver), step
    return step.entry.key


def missing(delivery: Delivery) -> list[str]:
    step = delivery.next()
    assert isinstance(step, Stalled), step
    return [item.key for item in step.missing]


def test_a_new_execution_has_nothing_to_deliver() -> None:
    delivery = Delivery()
    assert delivery.next() is NOTHING and (delivery.after, delivery.seq) == (0, 0)
    assert not delivery.is_replaying and delivery.never_requested() == ()


def test_outcomes_come_in_seq_order_whatever_the_order_of_requests() -> None:
    delivery = Delivery([entry("b", 2, 0), entry("a", 1, 0), entry("c", 3, 0)])
    for key in "cba":
        assert delivery.request(key, Kind.RUN) == entry(key, "abc".index(key) + 1, 0)
    assert [delivered(delivery) for _ in range(3)] == ["a", "b", "c"]
    assert delivery.next() is NOTHING and delivery.after == 3


def test_an_outcome_waits_until_all_that_was_asked_before_it_is_asked() -> None:
    delivery = Delivery([entry("a", 1, 0), entry("b", 2, 0)])
    assert missing(delivery) == ["a", "b"]
    delivery.request("a", Kind.RUN)
    assert missing(delivery) == ["b"]
    delivery.request("b", Kind.RUN)
    assert delivered(delivery) == "a"


def test_what_was_asked_after_an_outcome_does_not_hold_it_up() -> None:
    delivery = Delivery([entry("a", 1, 0), entry("b", 2, 1)])
    delivery.request("a", Kind.RUN)
    assert delivered(delivery) == "a" and delivery.after == 1
    assert missing(delivery) == ["b"]


def test_a_stall_moves_nothing() -> None:
    delivery = Delivery([entry("a", 1, 0), entry("b", 2, 1)])
    delivery.request("a", Kind.RUN)
    assert delivered(delivery) == "a"
    for _ in range(3):
        assert missing(delivery) == ["b"] and delivery.after == 1 and delivery.is_replaying
    delivery.request("b", Kind.RUN)
    assert delivered(delivery) == "b" and not delivery.is_replaying


def test_a_cancelled_outcome_keeps_its_place_and_reaches_nobody() -> None:
    delivery = Delivery([entry("a", 1, 0), entry("b", 2, 0), entry("c", 3, 0)])
    for key in "abc":
        delivery.request(key, Kind.RUN)
    delivery.cancel("b")
    assert [delivered(delivery), delivered(delivery)] == ["a", "c"]
    assert delivery.is_delivered("b") and delivery.after == 3


def test_a_last_outcome_for_nobody_counts_for_what_is_asked_next() -> None:
    delivery = Delivery([entry("a", 1, 0)])
    delivery.request("a", Kind.RUN)
    delivery.cancel("a")
    assert delivery.next() is NOTHING and delivery.after == 1


def test_another_kind_under_a_recorded_key_is_told_at_the_request() -> None:
    delivery = Delivery([entry("a", 1, 0)], [wait("w", 0)])
    assert delivery.request("a", Kind.VALUE) == KindChanged(entry("a", 1, 0))
    assert delivery.request("w", Kind.SLEEP) == KindChanged(wait("w", 0))


def test_a_pending_wait_must_be_asked_for_in_its_place() -> None:
    delivery = Delivery([entry("a", 1, 0)], [wait("w", 0), wait("v", 1)])
    delivery.request("a", Kind.RUN)
    assert missing(delivery) == ["w"]
    assert delivery.request("w", Kind.EVENT) == wait("w", 0)
    assert delivered(delivery) == "a"
    assert missing(delivery) == ["v"]
    delivery.request("v", Kind.EVENT)
    assert delivery.next() is NOTHING


def test_a_delayed_retry_is_no_history() -> None:
    delivery = Delivery([], [wait("r", 0, Kind.RETRY)])
    assert delivery.next() is NOTHING and delivery.never_requested() == ()
    assert delivery.request("r", Kind.RUN) is None


def test_never_requested_names_all_that_is_left_in_order() -> None:
    delivery = Delivery([entry("a", 1, 0), entry("b", 2, 1), entry("c", 3, 2)], [wait("w", 1)])
    delivery.request("a", Kind.RUN)
    assert [item.key for item in delivery.never_requested()] == ["b", "w", "c"]


def test_requested_but_undelivered_is_not_never_requested() -> None:
    delivery = Delivery([entry("a", 1, 0)])
    delivery.request("a", Kind.RUN)
    assert delivery.never_requested() == () and not delivery.is_delivered("a")


def test_asked_earlier_than_recorded_is_a_note() -> None:
    delivery = Delivery([entry("a", 1, 0), entry("b", 2, 1)])
    delivery.request("a", Kind.RUN)
    delivery.request("b", Kind.RUN)
    assert delivery.early == [("b", 0, 1)]
    assert [delivered(delivery), delivered(delivery)] == ["a", "b"]


def test_new_outcomes_follow_and_known_ones_are_passed_over() -> None:
    delivery = Delivery([entry("a", 1, 0)])
    delivery.request("a", Kind.RUN)
    assert delivered(delivery) == "a"
    delivery.request("b", Kind.RUN)
    delivery.add([entry("a", 1, 0), entry("b", 2, 1)])
    delivery.add([entry("b", 2, 1)])
    assert delivery.seq == 2 and delivered(delivery) == "b"
    assert isinstance(delivery.next(), Nothing)


def test_live_outcomes_do_not_make_a_replay() -> None:
    delivery = Delivery()
    delivery.request("a", Kind.RUN)
    delivery.add([entry("a", 1, 0)])
    assert not delivery.is_replaying
    assert delivered(delivery) == "a"


def test_superseded_entries_leave_holes_that_do_not_matter() -> None:
    delivery = Delivery([entry("a", 2, 0), entry("b", 7, 2)])
    delivery.request("a", Kind.RUN)
    assert delivered(delivery) == "a" and delivery.after == 2
    delivery.request("b", Kind.RUN)
    assert delivered(delivery) == "b" and delivery.after == 7


@given(st.lists(st.integers(0, 100), min_size=1, max_size=30), st.randoms())
def test_a_faithful_code_gets_everything_in_order(lags: list[int], dice: object) -> None:
    entries = [entry(f"k{n}", n + 1, min(n, lag)) for n, lag in enumerate(lags)]
    delivery = Delivery(list(reversed(entries)))
    for expected in entries:
        for known in entries:
            if known.after == delivery.after:
                delivery.request(known.key, Kind.RUN)
        assert delivered(delivery) == expected.key
    assert delivery.next() is NOTHING and delivery.early == [] and delivery.never_requested() == ()
