"""What a client sends to start an execution: checked, encoded, with what the workflow declares. Sends nothing."""

from __future__ import annotations

from polos.authoring.checks import check_text
from polos.authoring.payload import BatchWorkflowInput
from polos.authoring.queues import name_of
from polos.authoring.workflow import Workflow
from polos.core import codec
from polos.core.durations import SECOND
from polos.core.model import NewExecution
from polos.errors import UsageError


def new_execution(
    request: BatchWorkflowInput, workflow: Workflow | None, id_: str, delay: float, origin: str | None
) -> NewExecution:
    """Returns the execution to be started; without its `workflow` the payload is checked by whoever runs it (S9).

    Raises:
        InvalidInput: the payload or the state does not fit.
        UsageError: a text, a time or the queue cannot be.
    """
    for what, text in (
        ("an idempotency key", request.idempotency_key), ("a concurrency key", request.concurrency_key),
        ("a session id", request.session_id), ("a user id", request.user_id),
    ):  # fmt: skip
        if text is not None:
            check_text(text, what)
    timeout = request.run_timeout_seconds
    if timeout is None and workflow is not None:
        timeout = workflow.run_timeout_seconds
    if timeout is not None and not 0 < timeout < 1e9:
        raise UsageError(f"run_timeout_seconds is seconds above 0, not {timeout!r}")
    state = request.initial_state
    unchecked = None if state is None else codec.encode(state)
    return NewExecution(
        id=id_,
        workflow_id=request.id if workflow is None else workflow.id,
        input=codec.encode(request.payload) if workflow is None else workflow.encode_input(request.payload),
        initial_state=unchecked if workflow is None else workflow.encode_state(state),
        session_id=request.session_id,
        user_id=request.user_id,
        queue=name_of(request.queue) or (None if workflow is None else workflow.queue),
        concurrency_key=request.concurrency_key,
        idempotency_key=request.idempotency_key,
        run_timeout=None if timeout is None else round(timeout * SECOND),
        delay=round(delay * SECOND),
        origin=origin,
    )
