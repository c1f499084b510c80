"""The step whose body is running, as the body sees it."""

from __future__ import annotations

import contextvars

from polos.core.ids import idempotency_key


class StepInfo:
    """What a body may know of its own attempt.

    Attributes:
        attempt: from 1; counts failed attempts and deaths of the process (S1.3).
        idempotency_key: the same for every attempt; pass it to services that accept one.
    """

    __slots__ = ("_life", "attempt", "execution_id", "step_key")

    def __init__(self, execution_id: str, step_key: str, attempt: int, life: int = 0) -> None:
        self.execution_id = execution_id
        self.step_key = step_key
        self.attempt = attempt
        self._life = life

    @property
    def idempotency_key(self) -> str:
        return idempotency_key(self.execution_id, self.step_key, self._life)

    def __repr__(self) -> str:
        return f"StepInfo({self.step_key!r}, attempt={self.attempt}, execution_id={self.execution_id!r})"


CURRENT_STEP: contextvars.ContextVar[StepInfo | None] = contextvars.ContextVar("polos_step", default=None)


def current_step() -> StepInfo | None:
    """Returns the step whose body is running here, or None outside any."""
    return CURRENT_STEP.get()
