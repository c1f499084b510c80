"""Events match by JSON's equality, and channels do not run into each other (S4.2)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from polos.core.waits import children_channel, execution_channel, json_equal, matches, resume_channel, topic_channel


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (True, 1), (False, 0), (None, False), (None, 0), ("1", 1), ([], {}), ([1], [True]), ({"a": 1}, {"a": True}),
        ([1, 2], [2, 1]), ([1], [1, 1]), ({"a": 1}, {"a": 1, "b": 2}), ({"a": None}, {}), ("", None), (0, "0"),
        (2**70, 2**70 + 1), ({"a": {"b": [0]}}, {"a": {"b": [False]}}),
    ],
    ids=repr,
)  # fmt: skip
def test_values_that_json_tells_apart_are_not_equal(left: Any, right: Any) -> None:
    assert not json_equal(left, right) and not json_equal(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0), (None, None), (True, True), ("é", "é"), ([1, {"a": [None]}], [1.0, {"a": [None]}]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), (0.0, -0.0), (2**70, 2**70), ([], []), ({}, {}),
    ],
    ids=repr,
)  # fmt: skip
def test_values_that_json_takes_for_the_same_are_equal(left: Any, right: Any) -> None:
    assert json_equal(left, right) and json_equal(right, left)


@pytest.mark.parametrize(
    ("match", "data", "fits"),
    [
        (None, "[]", True), ({}, "{}", True), ({}, "[]", False), ({"a": 1}, '{"a":1,"b":2}', True),
        ({"a": True}, '{"a":1}', False), ({"a": 1}, '{"a":true}', False), ({"a": None}, "{}", False),
        ({"a": None}, '{"a":null}', True), ({"a": {"b": 1}}, '{"a":{"b":1,"c":2}}', False), ({"a": 1}, '"a"', False),
        ({"a": 1}, "null", False), ({"a": 1, "b": 2}, '{"a":1}', False),
    ],
    ids=repr,
)  # fmt: skip
def test_a_match_wants_its_top_level_keys_with_equal_values(match: Any, data: str, fits: bool) -> None:
    assert matches(None if match is None else json.dumps(match), data) is fits


def test_channels_of_different_waits_differ() -> None:
    made = [topic_channel("x"), execution_channel("x"), resume_channel("x", "k"), children_channel(1, "k")]
    assert len({channel.partition(":")[0] for channel in made}) == 4
