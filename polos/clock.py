"""The one place that reads the real clock, makes ids and rolls dice (R8). Decides nothing."""

from __future__ import annotations

import os
import random
import time
from typing import Protocol

from polos.core.ids import encode_id


class Clock(Protocol):
    """Tells the time. Instants are integer microseconds since the epoch, UTC."""

    def now(self) -> int:
        """Returns the wall time in microseconds."""
        ...

    def monotonic(self) -> float:
        """Returns seconds that never go back, from an arbitrary start."""
        ...


class Rng(Protocol):
    """Rolls dice."""

    def random(self) -> float:
        """Returns a float in [0, 1)."""
        ...


class Ids(Protocol):
    """Makes ids that sort by time."""

    def new(self, prefix: str) -> str:
        """Returns a new id, ``prefix_`` and 26 characters; later ids sort after earlier ones."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()


class StoppedClock(SystemClock):
    """A clock whose wall time stands: what is looked at is of that moment, and grows no older."""

    def __init__(self, at: int) -> None:
        self._at = at

    def now(self) -> int:
        return self._at


class SystemRng(random.Random):
    """The machine's dice."""


class TimeOrderedIds:
    """Monotonic ids in the manner of UUIDv7 (RFC 9562, 6.2 method 3): 48 bits of ms, then 80 that only grow within one ms."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._tail = 0

    def new(self, prefix: str) -> str:
        ms = time.time_ns() // 1_000_000
        if ms <= self._last_ms:
            ms = self._last_ms
            self._tail += 1 + int.from_bytes(os.urandom(4), "big")
        else:
            self._last_ms = ms
            self._tail = int.from_bytes(os.urandom(10), "big") >> 1
        return f"{prefix}_{encode_id(ms, self._tail)}"


def secret(count: int) -> bytes:
    """Returns so many bytes that nobody can guess."""
    return os.urandom(count)
