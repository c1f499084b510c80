"""Children and handles as workflow code sees them. Starts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from polos.authoring.registry import REGISTRY
from polos.authoring.workflow import Workflow, id_of
from polos.core import codec
from polos.core.durations import SECOND
from polos.core.model import Execution
from polos.errors import UsageError
from polos.ports import ChildSpec


class HandleClient(Protocol):
    """What a handle needs of the client that made it."""

    async def get(self, execution: Any) -> Execution: ...
    async def result(self, execution: Any, timeout: float | None = None) -> Any: ...
    def execution_events(self, handle: ExecutionHandle) -> AsyncIterator[Any]: ...


@dataclass(frozen=True, slots=True)
class ExecutionHandle:
    """An execution that was started. Serialises to its ids; inside a workflow, await it with ``ctx.step.result``."""

    id: str
    number: int
    workflow_id: str
    root_execution_id: str
    root_workflow_id: str
    client: HandleClient | None = field(default=None, repr=False, compare=False)

    def _bound(self, client: HandleClient | None) -> HandleClient:
        found = client or self.client
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
            ResultTimeout: it had not ended in time.
        """
        return await self._bound(client).result(self, timeout=timeout)

    def events(self, client: HandleClient | None = None) -> AsyncIterator[Any]:
        """Follows the events of the execution's tree until it ends."""
        return self._bound(client).execution_events(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns the ids, as they are stored."""
        return {
            "id": self.id, "number": self.number, "workflow_id": self.workflow_id,
            "root_execution_id": self.root_execution_id, "root_workflow_id": self.root_workflow_id,
        }  # fmt: skip


ExecutionRef: TypeAlias = ExecutionHandle | str


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


def execution_id_of(execution: ExecutionRef | Execution) -> str:
    """Returns the id of an execution given by its handle, its record, or its id."""
    if isinstance(execution, str):
        return execution
    found = getattr(execution, "id", None)
    if isinstance(found, str):
        return found
    raise UsageError(f"{execution!r} is no execution: give a handle or an id")


def child_spec(
    workflow: Workflow | str, payload: Any = None, *, initial_state: Any = None, queue: Any = None,
    concurrency_key: str | None = None, run_timeout_seconds: float | None = None, session_id: str | None = None,
    user_id: str | None = None, idempotency_key: str | None = None,
) -> ChildSpec:  # fmt: skip
    """Returns the child to start, its payload checked where its workflow is known here. Raises `InvalidInput`."""
    known = workflow if isinstance(workflow, Workflow) else REGISTRY.get(id_of(workflow))
    timeout = run_timeout_seconds if run_timeout_seconds is not None else known.run_timeout_seconds if known else None
    return ChildSpec(
        workflow_id=id_of(workflow),
        input=known.encode_input(payload) if known else codec.encode(payload),
        initial_state=codec.encode(initial_state) if initial_state is not None else None,
        queue=queue,
        concurrency_key=concurrency_key,
        run_timeout=None if timeout is None else round(timeout * SECOND),
        session_id=session_id,
        user_id=user_id,
        idempotency_key=idempotency_key,
    )
