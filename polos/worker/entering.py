"""How a claimed execution begins its pass: its code, its payload, its state. Claims nothing."""

from __future__ import annotations

from collections.abc import Callable

from polos.authoring.context import WorkflowContext
from polos.authoring.hooks import coroutine_of
from polos.authoring.registry import Registry
from polos.calls import RunPort
from polos.core.durations import SECOND
from polos.core.failure import record
from polos.core.model import Outcome
from polos.core.ops import Block, Finish
from polos.errors import InvalidInput
from polos.ports import Claim
from polos.worker import divergence
from polos.worker.frames import is_ours
from polos.worker.session import Session, SessionHost


def session_for(
    host: SessionHost, claim: Claim, registry: Registry, port_of: Callable[[Session], RunPort] = lambda session: session
) -> Session:
    """Returns a session that has started, or has ended an execution whose code cannot be.

    Args:
        port_of: what stands between `ctx.step` and the session: by default the session itself.
    """
    execution = claim.execution
    workflow = registry.get(execution.workflow_id)
    assert workflow is not None, "a worker claims only workflows of its own manifest"
    limit = execution.run_timeout
    if limit is None and workflow.run_timeout_seconds is not None:  # it was started by its id alone
        limit = round(workflow.run_timeout_seconds * SECOND)
    session = Session(host, claim, workflow.encode_result, workflow.state_of(execution.initial_state), limit)
    try:
        payload = workflow.decode_input(execution.input, execution.created_at)
    except Exception as error:  # whatever it is: what one execution holds must not end the worker of all others
        # An input never checked before (S9) is at fault itself; under an execution that has begun, the code has changed.
        if isinstance(error, InvalidInput) and not (claim.entries or claim.pending or claim.attempts):
            session.refuse(Finish(outcome=Outcome.FAILED, failure=record(error, is_ours)))
        else:
            session.refuse(Block(reason=divergence.input_mismatch(error)))
        return session
    session.start(coroutine_of(workflow, WorkflowContext(port_of(session)), payload))
    return session
