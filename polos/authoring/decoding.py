"""How the recorded values of steps that run no body become what user code sees. Reads no annotations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polos.authoring.children import ExecutionRef
from polos.authoring.handle import handle_from
from polos.authoring.payload import BatchStepResult, EventPayload, event_payload
from polos.authoring.registry import REGISTRY
from polos.core import codec
from polos.core.model import Stored


def nothing(stored: Stored) -> None:
    """Returns None: the step has no value."""
    return


def event(stored: Stored) -> EventPayload:
    """Returns the event of a completed wait."""
    return event_payload(codec.decode(stored))


def handle(stored: Stored) -> Any:
    """Returns the handle of a started child."""
    return handle_from(codec.plain(stored))


def handles(stored: Stored) -> list[Any]:
    """Returns the handles of started children."""
    return [handle_from(fields) for fields in codec.plain(stored)]


def batch_results(stored: Stored) -> list[BatchStepResult]:
    """Returns how each of a batch of children ended."""
    return [BatchStepResult(f["workflow_id"], f["success"], f["result"], f["error"]) for f in codec.decode(stored)]


def result_of(handle: ExecutionRef) -> Callable[[Stored], Any]:
    """Returns the decoder of an awaited execution's result."""
    known = REGISTRY.get(getattr(handle, "workflow_id", "") or "")
    return known.decode_result if known is not None else codec.decode
