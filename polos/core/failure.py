"""Exceptions as records and back. Takes exceptions apart; raises none of its own."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from types import TracebackType

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
    WorkflowError,
)

MESSAGE_LIMIT = 16_384
TRACEBACK_LIMIT = 65_536


def describe(error: BaseException) -> str:
    """Returns the error's message, whatever its `__str__` does."""
    try:
        if isinstance(error, WorkflowError) and not isinstance(error, RecordedError):
            text = str(
                getattr(error, "message", None) or error.args
            )  # without the hint: that is for whoever runs into it now
        else:
            text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    except Exception as broken:  # a user's __str__ may raise anything; the failure must be recorded all the same
        text = f"<the message could not be read: {type(broken).__name__}>"
    text = text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MESSAGE_LIMIT else text[:MESSAGE_LIMIT] + " … (cut)"


def _summary(error: BaseException) -> str:
    """Returns the message; of a group, with its members'."""
    text = describe(error)
    if isinstance(error, BaseExceptionGroup):
        members = "; ".join(f"{type(one).__name__}: {_summary(one)}" for one in error.exceptions[:8])
        text = f"{text}: {members}"
    return text[:MESSAGE_LIMIT]


def record(error: BaseException, is_ours: Callable[[str], bool]) -> Failure:
    """Returns the record of an exception, with its traceback less the frames of files that are ours."""
    return Failure(
        type_name=type(error).__name__,
        message=_summary(error),
        traceback_text=_format(error, is_ours),
        non_retryable=isinstance(error, NonRetryableError),
    )


def _user_frames(tb: TracebackType | None, is_ours: Callable[[str], bool]) -> traceback.StackSummary:
    frames = [frame for frame in traceback.extract_tb(tb) if not is_ours(frame.filename)]
    return traceback.StackSummary.from_list(frames)


def _format(error: BaseException, is_ours: Callable[[str], bool]) -> str:
    parts: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and len(parts) < 8:
        seen.add(id(link))
        frames = "".join(_user_frames(link.__traceback__, is_ours).format())
        head = "Traceback (most recent call last):\n" + frames if frames else ""
        if not isinstance(link, RecordedError):
            parts.append(f"{head}{type(link).__name__}: {_summary(link)}")
        elif link.traceback_text:
            parts.append(link.traceback_text)
        if link.__cause__ is not None:
            link = link.__cause__
        elif link.__suppress_context__:
            link = None
        else:
            link = link.__context__
    text = "\n\nwhich led to:\n\n".join(reversed(parts))
    return text if len(text) <= TRACEBACK_LIMIT else "… (cut)\n" + text[-TRACEBACK_LIMIT:]


def to_json(failure: Failure) -> str:
    """Returns the failure as JSON text."""
    fields: dict[str, object] = {"type": failure.type_name, "message": failure.message}
    if failure.traceback_text:
        fields["traceback"] = failure.traceback_text
    if failure.non_retryable:
        fields["non_retryable"] = True
    return json.dumps(fields, ensure_ascii=True)


def from_json(text: str) -> Failure:
    """Returns the failure that `to_json` wrote."""
    fields = json.loads(text)
    return Failure(
        type_name=fields["type"],
        message=fields["message"],
        traceback_text=fields.get("traceback", ""),
        non_retryable=fields.get("non_retryable", False),
    )


def step_error(entry: Entry) -> StepExecutionError:
    """Returns the exception that an entry without a value raises at its step, live and on replay alike (S1.4)."""
    failure = entry.failure or Failure(type_name="TimeoutError", message="")
    cause = RecordedError(failure.type_name, failure.message, failure.traceback_text)
    summary = f"{failure.type_name}: {failure.message}" if failure.message else failure.type_name
    kind: type[StepExecutionError] = StepExecutionError
    if entry.kind is Kind.CHILD:
        kind = {
            Outcome.TIMED_OUT: ChildTimedOut,
            Outcome.CANCELLED: ChildCancelled,
        }.get(entry.outcome, ChildFailed)
        message = f"{entry.key!r} did not complete: {summary}"
    elif entry.outcome is Outcome.TIMED_OUT:
        kind = StepTimeoutError
        message = f"{entry.key!r} timed out"
    elif failure.type_name == "UnserializableResult":
        kind = UnserializableResult
        message = f"step {entry.key!r}: {failure.message}"
    else:
        times = "1 attempt" if entry.attempt == 1 else f"{entry.attempt} attempts"
        message = f"step {entry.key!r} failed after {times}: {summary}"
    error = kind(message, step_key=entry.key, attempts=entry.attempt, error_type=failure.type_name)
    error.__cause__ = cause
    return error
