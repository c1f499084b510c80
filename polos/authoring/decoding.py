"""How the recorded values of steps that run no body become what user code sees. Reads no annotations."""

from __future__ import annotations

import json
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
    shapes: dict[str, dict[str, str]] = {}
    for path, name in json.loads(stored.shape or "{}").items():
        _, index, inner = path.split("/", 2)
        shapes.setdefault(index, {})[inner.removeprefix("result")] = name
    results = []
    for index, fields in enumerate(codec.plain(stored)):
        shape, result = shapes.get(str(index)), fields["result"]
        decode = decoder_of(fields["workflow_id"])
        if fields["success"] and (shape is not None or decode is not codec.decode):
            result = decode(Stored(json.dumps(result, ensure_ascii=False), json.dumps(shape) if shape else None))
        results.append(BatchStepResult(fields["workflow_id"], fields["success"], result, fields["error"]))
    return results


def result_of(handle: ExecutionRef) -> Callable[[Stored], Any]:
    """Returns the decoder of an awaited execution's result."""
    return decoder_of(getattr(handle, "workflow_id", "") or "")


def decoder_of(workflow_id: str) -> Callable[[Stored], Any]:
    """Returns the decoder of a workflow's results: by its return annotation where the workflow is known here."""
    known = REGISTRY.get(workflow_id)
    return known.decode_result if known is not None else codec.decode
