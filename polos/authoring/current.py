"""The step whose body is running, as the body sees it."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo:
    """What a body may know of its own attempt.

    Attributes:
        attempt: from 1; counts failed attempts and deaths of the process (S1.3).
        idempotency_key: the same for every attempt; pass it to services that accept one.
    """

    execution_id: str
    step_key: str
    attempt: int
    idempotency_key: str


CURRENT_STEP: contextvars.ContextVar[StepInfo | None] = contextvars.ContextVar("polos_step", default=None)


def current_step() -> StepInfo | None:
    """Returns the step whose body is running here, or None outside any."""
    return CURRENT_STEP.get()
