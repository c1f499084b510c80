"""Which recorded outcome reaches the code next (S1.6), and when the code has left its history (S1.7).

One `Delivery` follows one pass of one execution. It is told of requests, cancellations and new outcomes, and
answers `next` whenever the code is at rest. The loop that finds the rest is `polos.worker.loop`; the rule itself
compares *sets* of requests by `after` (the `seq` of the last outcome delivered at the request), not their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from polos.core.model import Entry, Kind, PendingWait


@dataclass(frozen=True, slots=True)
class Deliver:
    """This outcome reaches the code now."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Stalled:
    """The next outcome must wait: these recorded entries came before it, and the code has not asked for them."""

    missing: tuple[Entry | PendingWait, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """No outcome is left: what is new may start."""


NOTHING = Nothing()
Next: TypeAlias = Deliver | Stalled | Nothing


@dataclass(frozen=True, slots=True)
class KindChanged:
    """The history holds another kind of step under the requested key."""

    recorded: Entry | PendingWait


Requested: TypeAlias = Entry | PendingWait | KindChanged | None


class Delivery:
    """The order of outcomes for one pass, live and on replay alike.

    Attributes:
        after: the `seq` of the last outcome delivered; what a request made now records.
        seq: up to which all outcomes are known. After a retry the last of them may be superseded (S9.4).

    Args:
        up_to: the counter of the execution when `entries` were read: they are all that it has up to there.
    """

    def __init__(self, entries: Sequence[Entry] = (), pending: Iterable[PendingWait] = (), up_to: int = 0) -> None:
        self._entries = sorted(entries, key=lambda entry: entry.seq)
        self._by_key: dict[str, Entry | PendingWait] = {entry.key: entry for entry in self._entries}
        # The stop of an execution comes from outside: its code never asks for it.
        known: list[Entry | PendingWait] = [entry for entry in self._entries if entry.kind is not Kind.STOP]
        for wait in pending:
            # A delayed retry is no entry: its step has no outcome yet and may be gone from the code.
            if wait.kind is not Kind.RETRY:
                self._by_key[wait.key] = wait
                known.append(wait)
        self._expected = sorted(known, key=lambda item: item.after)
        self._lowest = 0
        self._recorded = len(self._entries)
        self._next = 0
        self._requested: set[str] = set()
        self._cancelled: set[str] = set()
        self._delivered: set[str] = set()
        self.after = 0
        self.seq = max(up_to, self._entries[-1].seq) if self._entries else up_to
        self.early: list[tuple[str, int, int]] = []

    @property
    def is_replaying(self) -> bool:
        """True while a recorded outcome is still to be delivered."""
        return self._next < self._recorded

    def request(self, key: str, kind: Kind) -> Requested:
        """Notes that the code asks for `key`, and returns what the history has of it (None: nothing)."""
        self._requested.add(key)
        known = self._by_key.get(key)
        if known is None:
            return None
        if known.kind is not kind:
            return KindChanged(known)
        if self.after < known.after:
            self.early.append((key, self.after, known.after))
        return known

    def is_past(self, key: str) -> bool:
        """Tells whether the code was past here before, without `key`: it has still to ask for what is recorded.

        It is so again at this point in each later pass, since a history only grows at its end.
        """
        return key not in self._by_key and self._lowest_missing() < float("inf")

    def cancel(self, key: str) -> None:
        """Notes that nobody awaits `key` any more; its outcome keeps its place and reaches nobody."""
        self._cancelled.add(key)

    def add(self, entries: Iterable[Entry]) -> None:
        """Takes outcomes recorded since, in `seq` order; ones already known are passed over."""
        for entry in entries:
            if entry.seq > self.seq:
                self._entries.append(entry)
                self.seq = entry.seq

    def seq_of(self, key: str) -> int:
        """Returns the `seq` of a step's outcome; one that has none comes behind all others."""
        return next((entry.seq for entry in self._entries if entry.key == key), self.seq + 1)

    def knows(self, seq: int) -> None:
        """Notes that all outcomes up to `seq` have been given."""
        self.seq = max(self.seq, seq)

    def next(self) -> Next:
        """Returns what to do at this rest. Delivered outcomes and ones for nobody are passed for good."""
        while self._next < len(self._entries):
            entry = self._entries[self._next]
            if self._lowest_missing() < entry.seq:
                return Stalled(self._missing_before(entry.seq))
            self._next += 1
            self.after = entry.seq
            self._delivered.add(entry.key)
            if entry.key in self._cancelled:
                continue
            return Deliver(entry)
        if self._lowest_missing() <= self.after:
            return Stalled(self._missing_before(self.after + 1))
        return NOTHING

    def never_requested(self) -> tuple[Entry | PendingWait, ...]:
        """Returns what the history holds and the code, now at its end, never asked for."""
        return tuple(item for item in self._expected if item.key not in self._requested)

    def is_delivered(self, key: str) -> bool:
        """Tells whether the outcome of `key` has reached the code (or nobody, after a cancel)."""
        return key in self._delivered

    def _lowest_missing(self) -> float:
        """Returns the lowest `after` of recorded entries not yet requested; a pointer makes it O(1) amortised."""
        while self._lowest < len(self._expected) and self._expected[self._lowest].key in self._requested:
            self._lowest += 1
        return self._expected[self._lowest].after if self._lowest < len(self._expected) else float("inf")

    def _missing_before(self, seq: int) -> tuple[Entry | PendingWait, ...]:
        rest = self._expected[self._lowest :]
        return tuple(item for item in rest if item.after < seq and item.key not in self._requested)
