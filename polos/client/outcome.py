"""What an execution that has ended, or is blocked, gives to whoever waits for it. Waits for nothing itself."""

from __future__ import annotations

import json
from typing import Any

from polos.authoring.workflow import Workflow
from polos.core import codec
from polos.core.model import Execution
from polos.core.status import Status
from polos.errors import (
    Diverged,
    EngineError,
    ExecutionCancelled,
    ExecutionFailed,
    RecordedError,
    StoredValueMismatch,
)


def result_of(found: Execution, workflow: Workflow | None) -> Any:
    """Returns the result of an ended execution as its workflow's annotation has it.

    Raises:
        ExecutionFailed, ExecutionCancelled: it ended so.
        Diverged, StoredValueMismatch, EngineError: it is blocked.
    """
    if found.status is Status.BLOCKED:
        raise blocked_error(found)
    if found.status is Status.CANCELLED:
        raise ExecutionCancelled(f"execution {found.number} of {found.workflow_id!r} was cancelled")
    if found.status is Status.FAILED:
        failure = found.failure
        name = failure.type_name if failure else "error"
        message = failure.message if failure else ""
        error = ExecutionFailed(
            f"execution {found.number} of {found.workflow_id!r} failed: {name}: {message}",
            hint=f"see it: polos show {found.number}", execution_id=found.id, error_type=name,
        )  # fmt: skip
        raise error from RecordedError(name, message, failure.traceback_text if failure else "")
    stored = found.result or codec.encode(None)
    return workflow.decode_result(stored) if workflow else codec.decode(stored)


def blocked_error(found: Execution) -> EngineError:
    """Returns the error that says why an execution is blocked (S8.3)."""
    reason = json.loads(found.blocked_reason or "{}")
    kinds: dict[str, type[EngineError]] = {"diverged": Diverged, "stored_value_mismatch": StoredValueMismatch}
    return kinds.get(reason.get("kind"), EngineError)(
        f"execution {found.number} of {found.workflow_id!r} is blocked: {reason.get('message', 'no reason was recorded')}",
        hint=reason.get("hint", ""),
        execution_id=found.id,
        **{name: reason[name] for name in ("step", "recorded_site", "site") if name in reason},
    )
