"""Ids sort by time, and idempotency keys are told apart by execution, step and life (S1.3, S9.2)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polos.core.ids import encode_id, idempotency_key, short_end, workflow_topic

parts = st.tuples(st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1))


@given(parts, parts)
def test_ids_sort_as_their_time_and_tail(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (encode_id(*one) < encode_id(*other)) == (one < other)
    assert len(encode_id(*one)) == 26


def test_idempotency_keys_differ_by_each_of_their_parts() -> None:
    keys = [
        idempotency_key("e", "k"),
        idempotency_key("e", "k", 1),
        idempotency_key("e2", "k"),
        idempotency_key("e", "k2"),
    ]
    assert len(set(keys)) == 4 and all(len(key) == 32 for key in keys)
    assert idempotency_key("e", "k", 0) == idempotency_key("e", "k")
    assert idempotency_key("e", "\ud800🎈")


def test_short_ends_and_topics() -> None:
    assert short_end("exec_0123456789") == "456789"
    assert workflow_topic("w", "e") == "workflow/w/e"
