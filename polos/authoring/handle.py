"""The handle of an execution that was started. Starts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import InitVar, dataclass
from typing import Any, Protocol

from polos.authoring.payload import EventPayload
from polos.core.model import Execution, Stopped
from polos.errors import UsageError


class HandleClient(Protocol):
    """What a handle needs of the client that made it."""

    async def get(self, execution: Any) -> Execution: ...
    async def result(self, execution: Any, timeout: float | None = None) -> Any: ...
    async def cancel(self, execution: Any) -> Stopped: ...
    def execution_events(self, handle: ExecutionHandle) -> AsyncIterator[EventPayload]: ...


@dataclass(frozen=True)
class ExecutionHandle:
    """An execution that was started. Serialises to its ids; inside a workflow, await it with ``ctx.step.result``."""

    id: str
    number: int
    workflow_id: str
    root_execution_id: str
    root_workflow_id: str
    client: InitVar[HandleClient | None] = None

    def __post_init__(self, client: HandleClient | None) -> None:
        object.__setattr__(self, "_client", client)  # no field: a value that holds a handle stores its ids

    def _bound(self, client: HandleClient | None) -> HandleClient:
        found: HandleClient | None = client or self.__dict__["_client"]
        if found is None:
            raise UsageError(
                f"this handle of {self.workflow_id!r} is bound to no client",
                hint='inside a workflow: await ctx.step.result("key", handle); outside: handle.get(client)',
            )
        return found

    async def get(self, client: HandleClient | None = None) -> Execution:
        """Returns the execution as it is now."""
        return await self._bound(client).get(self.id)

    async def result(self, timeout: float | None = None, client: HandleClient | None = None) -> Any:
        """Waits for the end and returns the result; `timeout` in seconds ends the waiting only.

        Raises:
            ExecutionFailed, ExecutionCancelled: it ended so.
            Diverged, StoredValueMismatch: it is blocked until new code comes.
            ResultTimeout: it had not ended in time.
        """
        return await self._bound(client).result(self, timeout=timeout)

    async def cancel(self, client: HandleClient | None = None) -> Stopped:
        """Cancels the execution and its children (S8.4). Raises `ExecutionEnded`."""
        return await self._bound(client).cancel(self.id)

    def events(self, client: HandleClient | None = None) -> AsyncIterator[EventPayload]:
        """Follows the events of the execution's tree until it ends."""
        return self._bound(client).execution_events(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns the ids, as they are stored."""
        return {
            "id": self.id,
            "number": self.number,
            "workflow_id": self.workflow_id,
            "root_execution_id": self.root_execution_id,
            "root_workflow_id": self.root_workflow_id,
        }


def handle_from(fields: dict[str, Any], client: HandleClient | None = None) -> ExecutionHandle:
    """Returns the handle that `to_dict` wrote."""
    return ExecutionHandle(
        fields["id"],
        fields["number"],
        fields["workflow_id"],
        fields["root_execution_id"],
        fields["root_workflow_id"],
        client,
    )
