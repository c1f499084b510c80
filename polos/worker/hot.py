"""Waiting executions kept in memory, so that they go on in place when they wake (S1.10). Claims nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from polos.worker.session import Session


class HotSessions(Mapping[int, int]):
    """As a mapping: the last known `seq` of each, by number, looked up only for those that are claimed.

    Args:
        limit: beyond so many the one that has waited longest is dropped; it is replayed when it wakes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sessions: OrderedDict[int, Session] = OrderedDict()

    def put(self, session: Session) -> None:
        """Keeps a session that has parked."""
        self._sessions[session.execution.number] = session
        while len(self._sessions) > self._limit:
            _, oldest = self._sessions.popitem(last=False)
            oldest.drop()

    def take(self, number: int) -> Session | None:
        """Returns a session that goes on, if it is here."""
        return self._sessions.pop(number, None)

    def evict_all(self) -> None:
        """Drops all of them."""
        while self._sessions:
            _, session = self._sessions.popitem()
            session.drop()

    def __getitem__(self, number: int) -> int:
        return self._sessions[number].delivery.seq

    def __contains__(self, number: object) -> bool:
        return number in self._sessions

    def __iter__(self) -> Iterator[int]:
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)
