"""Spans of time as people write and read them (S4.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polos.core.durations import SECOND, parse_duration, show_duration, to_microseconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30), ("5m", 300), ("2h", 7200), ("1h30m", 5400), (" 1h 30m ", 5400), ("250ms", 0.25), ("1.5s", 1.5),
        ("3d", 259200), ("1w", 604800), ("90", 90), ("0.5", 0.5), ("1m500ms", 60.5), ("0s", 0),
    ],
)  # fmt: skip
def test_spans_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds * SECOND


@pytest.mark.parametrize(
    "text", ["", "  ", "m", "5x", "-5s", "5s!", "1e3s", "s5", "5 5s x", "١s!", "1h30", "nan", "inf"]
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0 ms"), (-5, "0 ms"), (999, "0 ms"), (3000, "3 ms"), (999_999, "999 ms"), (1_400_000, "1.4 s"),
        (59_900_000, "59.9 s"), (59_960_000, "1m 00s"), (125 * SECOND, "2m 05s"), (11_400 * SECOND, "3h 10m"),
        (187_200 * SECOND, "2d 4h"), (3599 * SECOND, "59m 59s"), (3600 * SECOND, "1h 00m"), (86400 * SECOND, "1d 0h"),
    ],
)  # fmt: skip
def test_spans_are_shown_in_at_most_two_units(microseconds: int, text: str) -> None:
    assert show_duration(microseconds) == text


def test_spans_add_up() -> None:
    assert to_microseconds(1, 1, 1, 1, 1) == (1 + 60 + 3600 + 86400 + 604800) * SECOND
    assert to_microseconds(1e-9) == 1


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), -float("inf"), 1e12])
def test_a_wait_of_no_or_endless_length_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError):
        to_microseconds(seconds)


@given(st.integers(0, 10**9))
def test_whole_seconds_come_back(seconds: int) -> None:
    assert parse_duration(f"{seconds}s") == parse_duration(str(seconds)) == seconds * SECOND
