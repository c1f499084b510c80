"""When and how late a step is tried again (S2.2)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polos.core.durations import SECOND
from polos.core.model import Failure
from polos.core.retry import RetryPolicy

FAILED = Failure(type_name="E", message="")
FINAL = Failure(type_name="E", message="", non_retryable=True)


def test_delays_double_up_to_the_most_and_end_with_the_retries() -> None:
    policy = RetryPolicy(max_retries=5, base_delay=1.0, max_delay=10.0)
    delays = [policy.delay_after(failed, FAILED, 0.5) for failed in range(1, 8)]
    assert delays == [1 * SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND, 10 * SECOND, None, None]


def test_there_is_no_delay_after_the_last_attempt() -> None:
    assert RetryPolicy(max_retries=0).delay_after(1, FAILED, 0.5) is None


def test_a_non_retryable_failure_ends_at_once() -> None:
    assert RetryPolicy(max_retries=9).delay_after(1, FINAL, 0.5) is None


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_spread_is_a_fifth_either_way(failed: int, dice: float) -> None:
    delay = RetryPolicy(max_retries=10_000, base_delay=2.0, max_delay=30.0).delay_after(failed, FAILED, dice)
    exact = min(2 * 2 ** min(failed - 1, 64), 30) * SECOND
    assert delay is not None and 0.8 * exact <= delay <= 1.2 * exact


def test_a_base_delay_of_zero_is_at_once() -> None:
    assert RetryPolicy(base_delay=0).delay_after(1, FAILED, 0.9) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1}, {"max_retries": 1.5}, {"max_retries": "2"}, {"base_delay": -1}, {"max_delay": -0.1},
        {"base_delay": float("nan")}, {"max_delay": float("nan")},
    ],
    ids=str,
)  # fmt: skip
def test_a_policy_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        RetryPolicy(**wrong)


def test_an_endless_delay_is_bounded_by_the_most() -> None:
    assert RetryPolicy(base_delay=float("inf"), max_delay=10.0).delay_after(1, FAILED, 0.5) == 10 * SECOND
