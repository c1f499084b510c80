"""An execution as a test looks at it: always as it is now. Drives nothing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from polos.authoring.payload import instant
from polos.client.outcome import result_of
from polos.core import codec
from polos.core.model import Entry, Execution, FailedAttempt, PendingWait
from polos.core.status import TERMINAL, Status
from polos.errors import UsageError

if TYPE_CHECKING:
    from polos.testing.looks import Looks


class TestedExecution:
    """An execution in a `PolosEnv`. Every property is looked up when it is asked for."""

    __test__ = False  # no test class, whatever its name

    def __init__(self, env: Looks, id_: str, number: int, workflow_id: str) -> None:
        self._env = env
        self.id = id_
        self.number = number
        self.workflow_id = workflow_id

    def __repr__(self) -> str:
        return f"<execution {self.number} of {self.workflow_id}: {self.status}>"

    @property
    def record(self) -> Execution:
        """The execution's record."""
        return self._env.record_of(self.id)

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``waiting``, ``blocked``, ``completed``, ``failed`` or ``cancelled``."""
        return self.record.status.value

    @property
    def result(self) -> Any:
        """What the workflow returned.

        Raises:
            ExecutionFailed, ExecutionCancelled, Diverged, StoredValueMismatch: it did not.
            UsageError: it has not ended.
        """
        found = self.record
        if found.status not in TERMINAL and found.status is not Status.BLOCKED:
            raise UsageError(
                f"execution {self.number} is {found.status.value} and has no result yet",
                hint="let time pass (env.advance), or send what it waits for (env.publish, env.resume)",
            )
        return result_of(found, self._env.workflow(self.workflow_id))

    @property
    def error(self) -> str | None:
        """``Type: message`` of what ended it, if it failed; why it is blocked, if it is."""
        found = self.record
        if found.status is Status.BLOCKED:
            return found.blocked_reason
        return None if found.failure is None else f"{found.failure.type_name}: {found.failure.message}"

    @property
    def journal(self) -> list[Entry]:
        """The recorded outcomes, in their order."""
        return self._env.journal_of(self.id)

    @property
    def steps(self) -> list[str]:
        """The keys of the steps that have an outcome, in their order; polos's own are left out."""
        return [entry.key for entry in self.journal if not entry.key.startswith("polos:")]

    @property
    def waits(self) -> list[PendingWait]:
        """What it waits for."""
        return self._env.waits_of(self.id)

    @property
    def waiting_for(self) -> list[str]:
        """The keys of the steps that it waits for."""
        return [wait.key for wait in self.waits]

    @property
    def attempts(self) -> list[FailedAttempt]:
        """The failed attempts of its steps."""
        return self._env.attempts_of(self.id)

    @property
    def state(self) -> Any:
        """``ctx.state`` as of its last commit; None where it was never used."""
        stored = self.record.state
        return None if stored is None else codec.decode(stored)

    @property
    def logs(self) -> list[str]:
        """The captured lines."""
        return self._env.logs_of(self.id)

    @property
    def children(self) -> list[TestedExecution]:
        """The executions that it has started."""
        return [one for one in self._env.executions() if one.record.parent_id == self.id]

    @property
    def started_at(self) -> datetime | None:
        """When it was first taken (virtual time)."""
        at = self.record.started_at
        return None if at is None else instant(at)

    @property
    def ended_at(self) -> datetime | None:
        """When it ended (virtual time)."""
        at = self.record.ended_at
        return None if at is None else instant(at)

    def explain(self) -> str:
        """Returns why it is where it is, as `polos why` does."""
        return self._env.explain(self.id)
