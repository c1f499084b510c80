"""Exceptions become records whatever they are, and come back as the errors of their kind of step (S1.4)."""

from __future__ import annotations

from typing import Any

import pytest

from polos.core.failure import MESSAGE_LIMIT, TRACEBACK_LIMIT, describe, from_json, record, step_error, to_json
from polos.core.model import Entry, Failure, Kind, Outcome
from polos.errors import (
    ChildCancelled,
    ChildFailed,
    ChildTimedOut,
    NonRetryableError,
    RecordedError,
    StepExecutionError,
    StepTimeoutError,
    UnserializableResult,
)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


WrongText = type("WrongText", (Exception,), {"__str__": lambda self: 7})


class Fatal(NonRetryableError):
    pass


def caught(raises: Any) -> BaseException:
    try:
        raises()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def never_ours(filename: str) -> bool:
    return False


@pytest.mark.parametrize("error", [Unprintable(), WrongText()], ids=repr)
def test_an_error_that_cannot_be_printed_is_recorded_all_the_same(error: Exception) -> None:
    failure = record(error, never_ours)
    assert failure.type_name == type(error).__name__
    assert "could not be read" in failure.message
    assert from_json(to_json(failure)) == failure


@pytest.mark.parametrize(
    "text", ["\0", "a\0b", "\ud800", "emoji 🎈", "\u2028", "", "x" * 100_000], ids=lambda t: repr(t[:9])
)
def test_any_message_can_be_stored(text: str) -> None:
    failure = record(ValueError(text), never_ours)
    assert "\0" not in failure.message + failure.traceback_text
    (failure.message + failure.traceback_text).encode()
    assert len(failure.message) < MESSAGE_LIMIT + 20
    assert from_json(to_json(failure)) == failure


def test_a_key_error_is_described_by_its_key() -> None:
    assert describe(KeyError("id")) == "id"
    assert describe(KeyError()) == ""
    assert describe(KeyError(3)) == "3"


def test_a_chain_of_errors_is_told_cause_first() -> None:
    def raises() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    text = record(caught(raises), never_ours).traceback_text
    assert text.index("KeyError: inner") < text.index("which led to") < text.index("ValueError: outer")
    assert "test_failure.py" in text


def test_a_context_is_told_and_a_suppressed_one_is_not() -> None:
    def raises(suppressed: bool) -> None:
        try:
            int("inner")
        except ValueError:
            if suppressed:
                raise RuntimeError("outer") from None
            raise RuntimeError("outer")

    told = record(caught(lambda: raises(False)), never_ours).traceback_text
    suppressed = record(caught(lambda: raises(True)), never_ours).traceback_text
    assert "ValueError: invalid" in told and "ValueError: invalid" not in suppressed


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert record(first, never_ours).traceback_text.count("ValueError: first") == 1


def test_an_endless_traceback_is_cut_at_its_start() -> None:
    def raises(depth: int) -> None:
        try:
            raise ValueError("x" * 10_000)
        except ValueError as error:
            if depth:
                try:
                    raises(depth - 1)
                except ValueError as inner:
                    raise ValueError("y" * 10_000) from inner
            raise KeyError("the last") from error

    text = record(caught(lambda: raises(6)), never_ours).traceback_text
    assert len(text) <= TRACEBACK_LIMIT + 20 and text.endswith("KeyError: the last")


def test_frames_that_are_ours_are_left_out() -> None:
    text = record(caught(lambda: int("x")), lambda name: name == __file__).traceback_text
    assert text.startswith("ValueError") and "File" not in text


def test_a_recorded_error_in_the_chain_shows_what_was_recorded() -> None:
    failure = Failure(type_name="KeyError", message="m", traceback_text="as it was")
    error = step_error(Entry(key="k", kind=Kind.RUN, outcome=Outcome.FAILED, seq=1, after=0, failure=failure))
    assert record(error, never_ours).traceback_text.startswith("as it was\n\nwhich led to")


def test_non_retryable_errors_and_their_subclasses_are_marked() -> None:
    assert record(NonRetryableError("x"), never_ours).non_retryable and record(Fatal("x"), never_ours).non_retryable
    assert not record(ValueError("x"), never_ours).non_retryable


def test_exception_groups_and_bare_interrupts_are_recorded() -> None:
    assert record(ExceptionGroup("g", [ValueError("a")]), never_ours).type_name == "ExceptionGroup"
    assert record(KeyboardInterrupt(), never_ours) == Failure(
        type_name="KeyboardInterrupt", message="", traceback_text="KeyboardInterrupt: "
    )


FAILURE = Failure(type_name="KeyError", message="m", traceback_text="tb")


@pytest.mark.parametrize(
    ("kind", "outcome", "failure", "expected"),
    [
        (Kind.RUN, Outcome.FAILED, FAILURE, StepExecutionError),
        (Kind.EVENT, Outcome.TIMED_OUT, None, StepTimeoutError),
        (Kind.SUSPEND, Outcome.TIMED_OUT, None, StepTimeoutError),
        (Kind.CHILD, Outcome.FAILED, FAILURE, ChildFailed),
        (Kind.CHILD, Outcome.CANCELLED, None, ChildCancelled),
        (Kind.CHILD, Outcome.TIMED_OUT, None, ChildTimedOut),
        (Kind.RUN, Outcome.FAILED, Failure(type_name="UnserializableResult", message="m"), UnserializableResult),
    ],
    ids=str,
)  # fmt: skip
def test_each_outcome_raises_the_error_of_its_kind(kind: Kind, outcome: Outcome, failure: Any, expected: type) -> None:
    error = step_error(Entry(key="k", kind=kind, outcome=outcome, seq=3, after=0, attempt=2, failure=failure))
    assert type(error) is expected
    assert (error.step_key, error.attempts) == ("k", 2) and "'k'" in str(error)
    cause = error.__cause__
    assert isinstance(cause, RecordedError)
    if failure is not None:
        assert (cause.type_name, cause.recorded_message) == (failure.type_name, failure.message)
        assert error.error_type == failure.type_name
