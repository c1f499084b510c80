"""Where a fork cuts, and what may be edited there."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from polos.core.codec import encode, plain
from polos.core.forks import cut, edited
from polos.core.model import Entry, Failure, Kind, Outcome, PendingWait, Stored
from polos.errors import UsageError


def entry(key: str, seq: int, after: int, kind: Kind = Kind.RUN, value: Any = 1, **facts: Any) -> Entry:
    return Entry(**{"key": key, "kind": kind, "outcome": Outcome.COMPLETED, "seq": seq, "after": after,
                    "value": encode(value), **facts})  # fmt: skip


CHAIN = [entry("a", 1, 0), entry("b", 2, 1), entry("c", 3, 2)]
# left and right are asked for together; right ends first; `then` is asked for when that has been delivered.
GATHER = [entry("a", 1, 0), entry("right", 2, 1), entry("then", 3, 2), entry("left", 4, 1), entry("end", 5, 4)]


def kept(history: list[Entry], at: str | None, waits: tuple[PendingWait, ...] = ()) -> list[str]:
    return [one.key for one in cut(history, waits, at).kept]


def test_a_chain_keeps_what_came_before() -> None:
    assert [kept(CHAIN, at) for at in (None, "a", "b", "c")] == [[], [], ["a"], ["a", "b"]]


def test_the_cut_is_causal() -> None:
    assert kept(GATHER, "left") == ["a"], "its sibling had not been delivered when it was asked for"
    assert kept(GATHER, "right") == ["a"]
    assert kept(GATHER, "then") == ["a", "right"]
    assert kept(GATHER, "end") == ["a", "right", "then", "left"]


def test_an_open_wait_can_be_cut_at() -> None:
    wait = PendingWait(key="paid", kind=Kind.EVENT, after=2)
    assert kept(CHAIN, "paid", (wait,)) == ["a", "b"]


def test_after_a_stop_there_is_nothing_to_fork() -> None:
    history = [*CHAIN, entry("polos:stop", 4, 3, Kind.STOP), entry("undo", 5, 4)]
    assert kept(history, "c") == ["a", "b"]
    with pytest.raises(UsageError, match="being stopped"):
        cut(history, (), "undo")
    with pytest.raises(UsageError, match="no recorded step"):
        cut(history, (), "polos:stop")


def test_an_unknown_step_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError) as refused:
        cut(CHAIN, (), "d")
    assert "a, b, c" in refused.value.hint


def test_an_edit_has_before_and_after() -> None:
    failed = entry("a", 1, 0, outcome=Outcome.FAILED, value=None, failure=Failure(type_name="E", message="m"))
    ((now, before),) = edited(cut([failed, *CHAIN[1:]], (), "b"), {"a": encode({"total": 1})})
    assert (now.outcome, now.failure, plain(now.value or Stored("null"))) == (Outcome.COMPLETED, None, {"total": 1})
    assert (before.outcome, before.failure) == (Outcome.FAILED, Failure(type_name="E", message="m"))


def test_of_an_event_the_data_is_edited() -> None:
    value = {"id": "evt_1", "sequence_id": 4, "topic": "t", "data": {"n": 1}, "created_at": 7}
    event = entry("paid", 1, 0, Kind.EVENT, value)
    ((now, _),) = edited(cut([event, *CHAIN[1:]], (), "b"), {"paid": encode({"n": 2})})
    assert plain(now.value or Stored("null")) == {**value, "data": {"n": 2}}
    late = entry("paid", 1, 0, Kind.EVENT, outcome=Outcome.TIMED_OUT, value=None, request='{"topic":"t"}')
    late.value = None
    ((now, before),) = edited(cut([late, *CHAIN[1:]], (), "b"), {"paid": encode(3)})
    made = plain(now.value or Stored("null"))
    assert (made["topic"], made["data"], before.outcome) == ("t", 3, Outcome.TIMED_OUT), "as if it had come in time"


def test_types_that_json_has_not_stay() -> None:
    from decimal import Decimal

    event = entry("paid", 1, 0, Kind.EVENT, {"topic": "t", "data": None})
    ((now, _),) = edited(cut([event, *CHAIN[1:]], (), "b"), {"paid": encode({"sum": Decimal("1.10")})})
    assert now.value is not None and orjson.loads(now.value.shape or "{}").keys() == {"/data/sum"}


@pytest.mark.parametrize(("key", "said"), [("c", "runs again"), ("b", "runs again"), ("nix", "no such step")])
def test_only_what_is_kept_is_edited(key: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        edited(cut(CHAIN, (), "b"), {key: encode(1)})


def test_what_has_no_value_is_not_edited() -> None:
    with pytest.raises(UsageError, match="no value of its own"):
        edited(cut([entry("a", 1, 0, Kind.SLEEP), *CHAIN[1:]], (), "b"), {"a": encode(1)})
