"""Whom an owner asks whether a payload fits: the workers that are there, by what their manifests have. Stores nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from polos.core.model import Stored
from polos.errors import LeaseLost
from polos.ports import Checker

ANSWERED_WITHIN = 2.0
"""Seconds for which a worker is waited for; then the payload is stored unchecked, and checked by whoever runs it."""


class Questions:
    """The workers of one store that can be asked, the newest first."""

    def __init__(self) -> None:
        self._manifests: dict[str, frozenset[str]] = {}
        self._checkers: dict[str, Checker] = {}

    def introduced(self, worker_id: str, workflow_ids: Iterable[str]) -> None:
        """A worker has said what it can run."""
        self._manifests.pop(worker_id, None)
        self._manifests[worker_id] = frozenset(workflow_ids)

    def left(self, worker_id: str) -> None:
        """A worker takes nothing more."""
        self._manifests.pop(worker_id, None)

    def add(self, worker_id: str, checker: Checker) -> Callable[[], None]:
        """A worker can be asked; returns the way to stop."""
        self._checkers[worker_id] = checker

        def forget() -> None:
            if self._checkers.get(worker_id) is checker:  # else it has come back on another connection
                del self._checkers[worker_id]

        return forget

    async def check(self, workflow_id: str, payload: Stored) -> Stored | None:
        """Returns what a worker says; None: nobody is there, or says anything. Raises `InvalidInput`."""
        for worker_id in reversed(self._manifests):
            checker = self._checkers.get(worker_id)
            if checker is None or workflow_id not in self._manifests[worker_id]:
                continue
            try:
                async with asyncio.timeout(ANSWERED_WITHIN):
                    return await checker(workflow_id, payload)
            except (TimeoutError, LeaseLost):
                return None
        return None
