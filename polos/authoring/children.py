"""Children as workflow code starts them. Starts nothing."""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

from polos.authoring.handle import ExecutionHandle
from polos.authoring.queues import QueueRef, name_of
from polos.authoring.registry import REGISTRY
from polos.authoring.workflow import Workflow, id_of
from polos.calls import ChildSpec
from polos.core import codec
from polos.core.durations import SECOND
from polos.core.model import Execution
from polos.errors import UsageError

ExecutionRef: TypeAlias = ExecutionHandle | str


class ChildOptions(TypedDict, total=False):
    """What a child may be started with, beside its payload."""

    initial_state: Any
    queue: QueueRef
    concurrency_key: str | None
    run_timeout_seconds: float | None
    session_id: str | None
    user_id: str | None
    idempotency_key: str | None


def execution_id_of(execution: ExecutionRef | Execution) -> str:
    """Returns the id of an execution given by its handle, its record, or its id."""
    if isinstance(execution, str):
        return execution
    found = getattr(execution, "id", None)
    if isinstance(found, str):
        return found
    raise UsageError(f"{execution!r} is no execution: give a handle or an id")


def child_spec(workflow: Workflow | str, payload: Any, options: ChildOptions) -> ChildSpec:
    """Returns the child to start, its payload checked where its workflow is known here.

    Raises:
        InvalidInput: the payload does not fit.
        UsageError: an option is unknown.
    """
    unknown = options.keys() - ChildOptions.__annotations__.keys()
    if unknown:
        raise UsageError(
            f"a child has no option {sorted(unknown)[0]!r}", hint="one of " + ", ".join(ChildOptions.__annotations__)
        )
    known = workflow if isinstance(workflow, Workflow) else REGISTRY.get(id_of(workflow))
    timeout = options.get("run_timeout_seconds")
    if timeout is None and known is not None:
        timeout = known.run_timeout_seconds
    state = options.get("initial_state")
    return ChildSpec(
        workflow_id=known.id if known else id_of(workflow),
        input=known.encode_input(payload) if known else codec.encode(payload),
        initial_state=known.encode_state(state) if known else codec.encode(state) if state is not None else None,
        queue=name_of(options.get("queue")) or (known.queue if known else None),
        concurrency_key=options.get("concurrency_key"),
        run_timeout=None if timeout is None else round(timeout * SECOND),
        session_id=options.get("session_id"),
        user_id=options.get("user_id"),
        idempotency_key=options.get("idempotency_key"),
    )
