"""The retry policy of a step (S2.2). Knows no clock: delays are answered, not waited for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from polos.core.durations import SECOND
from polos.core.model import Failure

_LONGEST = 1e9
PARK_ABOVE = 5 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how soon a step is tried again. Delays in seconds."""

    max_retries: int = 2
    base_delay: float = 1.0
    max_delay: float = 10.0

    def __post_init__(self) -> None:
        if not (isinstance(self.max_retries, int) and self.max_retries >= 0):
            raise ValueError(f"max_retries is a whole number from 0, not {self.max_retries!r}")
        if not (self.base_delay >= 0 and 0 <= self.max_delay < _LONGEST):
            raise ValueError("base_delay and max_delay are seconds from 0; max_delay is finite")

    def delay_after(self, failed: int, failure: Failure, dice: float) -> int | None:
        """Returns the microseconds until the next attempt, or None when there is none.

        Args:
            failed: how many attempts have failed by now (from 1).
            failure: the last one.
            dice: a number in [0, 1) that spreads the delay by a factor of 0.8 to 1.2.
        """
        if failure.non_retryable or failed > self.max_retries:
            return None
        seconds: float = min(self.base_delay * 2.0 ** min(failed - 1, 64), self.max_delay)
        return round(seconds * (0.8 + 0.4 * dice) * SECOND)


@lru_cache(maxsize=256, typed=True)
def retry_policy(max_retries: int, base_delay: float, max_delay: float) -> RetryPolicy:
    """Returns the policy of these numbers, made once. Raises `ValueError`, `TypeError`."""
    return RetryPolicy(max_retries=max_retries, base_delay=base_delay, max_delay=max_delay)
