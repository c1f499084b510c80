"""What failed while the dev server was up, to be tried again when the code changes. Decides on no reload."""

from __future__ import annotations

from collections.abc import Callable, Collection

from polos.dev.happenings import Told
from polos.errors import PolosError
from polos.ports import Store


class Failures:
    """Executions that failed in this session and were not retried since."""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}

    def heard(self, told: Told) -> None:
        """Takes note of an event."""
        if told.execution is None or told.facts is None:
            return
        if told.event.type == "workflow_failed":
            self._ids[told.execution] = str(told.facts.get("id", ""))
        elif told.event.type in ("workflow_retried", "workflow_finish", "workflow_cancelled"):
            self._ids.pop(told.execution, None)

    async def retry(self, store: Store, names: Collection[str], warn: Callable[[str], None]) -> tuple[int, ...]:
        """Retries those that have no parent, each from its failed step (S9.4); returns their numbers.

        Args:
            names: the workflows that the code has; those of others stay failed, and are remembered.
        """
        retried = []
        failed, self._ids = self._ids, {}
        for number, id_ in sorted(failed.items()):
            found = await store.get(id_)
            if found is None or found.parent_id is not None:
                continue
            if found.workflow_id not in names:
                self._ids[number] = id_
                continue
            try:
                done = await store.retry(id_)
            except PolosError as error:
                warn(f"execution {number} could not be retried: {error.message}")
                continue
            if done.reopened:
                retried.append(number)
        return tuple(retried)
