"""What a test looks at: the executions of its environment, as they are now. Drives nothing."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from polos.authoring.registry import Registry
from polos.authoring.workflow import Workflow
from polos.client.client import Client
from polos.client.standing import facts_of
from polos.core.explain import explain
from polos.core.model import Entry, Execution, FailedAttempt, PendingWait
from polos.core.standing import Explanation
from polos.ports import LogFilter
from polos.testing.engine import Engine
from polos.testing.executions import TestedExecution
from polos.testing.loop import VirtualClock

T = TypeVar("T")


class Looks:
    """The looking half of `PolosEnv`."""

    engine: Engine
    client: Client
    _registry: Registry
    _clock: VirtualClock

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        raise NotImplementedError

    def workflow(self, workflow_id: str) -> Workflow | None:
        """Returns the workflow of that id that is run here."""
        return self._registry.get(workflow_id)

    def execution(self, reference: str | int = "last") -> TestedExecution:
        """Returns an execution by its number, its id, ``last`` or ``last:WORKFLOW``."""
        found = self._do(self.client.get(reference))
        return TestedExecution(self, found.id, found.number, found.workflow_id)

    def executions(self, workflow: Workflow | str | None = None) -> list[TestedExecution]:
        """Returns the executions, oldest first."""
        found = self._do(self.client.list(workflow=workflow, limit=100_000))
        return [TestedExecution(self, one.id, one.number, one.workflow_id) for one in reversed(found)]

    def record_of(self, id_: str) -> Execution:
        """Returns an execution's record, by its id."""
        return self._do(self._record(id_))

    async def _record(self, id_: str) -> Execution:
        found = await self.engine.store.get(id_)
        assert found is not None
        return found

    def journal_of(self, id_: str) -> list[Entry]:
        """Returns the recorded outcomes of an execution, by its id."""
        return self._do(self.engine.store.journal(id_))

    def waits_of(self, id_: str) -> list[PendingWait]:
        """Returns what an execution waits for, by its id."""
        return self._do(self.engine.store.waits(id_))

    def attempts_of(self, id_: str) -> list[FailedAttempt]:
        """Returns the failed attempts of an execution, by its id."""
        return self._do(self.engine.store.attempts(id_))

    def logs_of(self, id_: str) -> list[str]:
        """Returns the captured lines of an execution, by its id."""
        found = self._do(self.engine.store.logs(LogFilter(execution_id=id_, limit=10_000)))
        return [line.text for _, _, line in found]

    def explain(self, id_: str) -> str:
        """Returns why an execution is where it is, by its id."""
        told = self._do(self._explained(id_))
        return "\n".join([told.headline, *told.details])

    async def _explained(self, id_: str) -> Explanation:
        return explain(await facts_of(self.client, await self._record(id_), self._clock.now()))
