"""An execution's life as one table of transitions. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """Where an execution is."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Change(StrEnum):
    """What can happen to an execution."""

    CLAIM = "claim"
    PARK = "park"
    WAKE = "wake"
    RELEASE = "release"
    TAKE_OVER = "take_over"
    BLOCK = "block"
    UNBLOCK = "unblock"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    RETRY = "retry"


TRANSITIONS: Mapping[tuple[Status, Change], Status] = {
    (Status.QUEUED, Change.CLAIM): Status.RUNNING,
    (Status.RUNNING, Change.PARK): Status.WAITING,
    (Status.WAITING, Change.WAKE): Status.QUEUED,
    (Status.RUNNING, Change.RELEASE): Status.QUEUED,
    (Status.RUNNING, Change.TAKE_OVER): Status.QUEUED,
    (Status.RUNNING, Change.BLOCK): Status.BLOCKED,
    (Status.QUEUED, Change.BLOCK): Status.BLOCKED,  # by the check of new code, before anybody has claimed it
    (Status.WAITING, Change.BLOCK): Status.BLOCKED,
    (Status.BLOCKED, Change.UNBLOCK): Status.QUEUED,
    (Status.RUNNING, Change.COMPLETE): Status.COMPLETED,
    (Status.RUNNING, Change.FAIL): Status.FAILED,
    (Status.RUNNING, Change.CANCEL): Status.CANCELLED,
    (Status.QUEUED, Change.CANCEL): Status.CANCELLED,
    (Status.WAITING, Change.CANCEL): Status.CANCELLED,
    (Status.BLOCKED, Change.CANCEL): Status.CANCELLED,
    (Status.BLOCKED, Change.FAIL): Status.FAILED,
    (Status.BLOCKED, Change.RETRY): Status.QUEUED,
    (Status.FAILED, Change.RETRY): Status.QUEUED,
    (Status.CANCELLED, Change.RETRY): Status.QUEUED,
}

SUSPECT = 2
"""Deaths from which an execution may be what brings its process down: a worker runs one of these at a time (S8.3)."""

TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


def after(status: Status, change: Change) -> Status | None:
    """Returns the status that `change` leads to, or None where it cannot happen."""
    return TRANSITIONS.get((status, change))
