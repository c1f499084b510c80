"""Two executions are compared along their paths, and values by their structure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polos.core.codec import encode
from polos.core.diff import Difference, ValueChange, difference, values
from polos.core.model import Entry, Execution, Failure, Kind, Outcome
from polos.core.status import Status

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


def execution(number: int = 1, result: Any = None, **facts: Any) -> Execution:
    return Execution(
        number=number, id=f"exec_{number}", workflow_id="wf", status=Status.COMPLETED, created_at=0, ended_at=10,
        result=encode(result), **facts,
    )  # fmt: skip


def entry(key: str, value: Any = None, seq: int = 1, kind: Kind = Kind.RUN) -> Entry:
    return Entry(key=key, kind=kind, outcome=Outcome.COMPLETED, seq=seq, after=0, value=encode(value))


def compared(first: list[Entry], second: list[Entry]) -> Difference:
    return difference(execution(), first, execution(2), second)


@given(JSON)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert list(values(value, value)) == []


@given(JSON, JSON)
def test_what_differs_is_found_and_only_that(first: Any, second: Any) -> None:
    found = list(values(first, second))
    assert bool(found) == (not _same(first, second))
    for change in found:
        if change.sort == "changed":
            assert not _same(change.first, change.second)


def _same(first: Any, second: Any) -> bool:
    """JSON equality, in which true is not 1 and the order of names does not count."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[name], second[name]) for name in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    return type(first) is type(second) and bool(first == second)


def test_the_deepest_places_are_named() -> None:
    first = {"items": [{"price": 1, "name": "a"}], "gone": 1, "same": [1]}
    second = {"items": [{"price": 2, "name": "a"}, 3], "same": [1], "new": None}
    assert list(values(first, second)) == [
        ValueChange(path=".items[0].price", sort="changed", first=1, second=2),
        ValueChange(path=".items[1]", sort="only_second", second=3),
        ValueChange(path=".gone", sort="only_first", first=1),
        ValueChange(path=".new", sort="only_second", second=None),
    ]


@pytest.mark.parametrize(("first", "second"), [(True, 1), (0, False), (1, 1.0), ([True], [1]), ({"a": 1}, {"a": True})])
def test_true_is_not_one(first: Any, second: Any) -> None:
    assert len(list(values(first, second))) == 1


def test_steps_of_one_path_alone_stand_in_their_place() -> None:
    found = compared([entry("a"), entry("b"), entry("c")], [entry("a"), entry("x"), entry("c"), entry("d")])
    assert [(step.key, step.sort) for step in found.steps] == [
        ("a", "same"), ("b", "only_first"), ("x", "only_second"), ("c", "same"), ("d", "only_second"),
    ]  # fmt: skip
    assert not found.is_same


def test_outcomes_are_compared_and_times_are_not() -> None:
    one = entry("a", {"n": 1})
    later = replace(one, seq=9, started_at=5, ended_at=50, attempt=3)
    assert compared([one], [later]).is_same
    (step,) = compared([one], [entry("a", {"n": 2})]).steps
    assert step.sort == "changed" and [change.path for change in step.changes] == [".n"]
    failed = replace(one, outcome=Outcome.FAILED, value=None, failure=Failure(type_name="E", message="m"))
    (step,) = compared([one], [failed]).steps
    assert step.sort == "changed" and step.failures == (None, "E: m")


def test_an_answer_is_compared_by_what_it_says() -> None:
    def answer(id_: str, data: Any) -> Entry:
        return entry("ask", {"id": id_, "sequence_id": 1, "created_at": 1, "topic": "t", "event_type": None, "data": data},
                     kind=Kind.SUSPEND)  # fmt: skip

    assert compared([answer("one", 1)], [answer("two", 1)]).is_same
    (step,) = compared([answer("one", 1)], [answer("two", 2)]).steps
    assert [change.path for change in step.changes] == [".data"]


def test_ends_and_results() -> None:
    failed = replace(execution(2), status=Status.FAILED, failure=Failure(type_name="E", message="m"), result=None)
    found = difference(execution(result=1), [], failed, [])
    assert found.ends == ("completed", "failed (E: m)")
    assert [change.sort for change in found.result] == ["changed"] and not found.is_same
