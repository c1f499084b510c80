"""The payloads of workflows that events start: what is stored of an event, and what the workflow gets. Starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polos.authoring.payload import BatchEventPayload, EventPayload, event_payload, microseconds
from polos.authoring.typed import MISSING
from polos.core import codec
from polos.core.durations import SECOND
from polos.core.manifest import EventTrigger
from polos.core.model import Stored
from polos.errors import InvalidInput, UsageError

_FIELDS = ("id", "sequence_id", "topic", "event_type", "created_at", "data")
_DEFAULTS: Mapping[str, Any] = {"id": "", "sequence_id": 0, "topic": "", "event_type": None, "created_at": 0}
BATCH_LIMIT = 1_000
"""The most events of one batch, where only its age is bounded."""


def trigger_of(
    workflow_id: str, topic: object, batch_size: int, batch_timeout_seconds: float | None
) -> EventTrigger | None:
    """Returns what starts a workflow from events, checked; None: nothing does. Raises `UsageError`."""
    if topic is None:
        if batch_size != 1 or batch_timeout_seconds is not None:
            raise UsageError(
                f"the workflow {workflow_id!r} has a batch and no topic", hint="name it: trigger_on_event="
            )
        return None
    if not isinstance(topic, str) or not topic or "*" in topic[:-1] or len(topic) > 512:
        raise UsageError(
            f"{topic!r} cannot start the workflow {workflow_id!r}",
            hint='trigger_on_event is a topic such as "user.signup", or the start of topics: "user.*"',
        )
    if topic.startswith("workflow/"):
        raise UsageError(
            f"topics under 'workflow/' start no workflow ({topic!r})", hint="publish on a topic of your own"
        )
    if not isinstance(batch_size, int) or not 1 <= batch_size <= BATCH_LIMIT:
        raise UsageError(f"batch_size is a whole number from 1 to {BATCH_LIMIT}, not {batch_size!r}")
    if batch_timeout_seconds is not None and not 0 < batch_timeout_seconds < 1e9:
        raise UsageError(f"batch_timeout_seconds is above 0, not {batch_timeout_seconds!r}")
    by_age_alone = batch_timeout_seconds is not None and batch_size == 1
    return EventTrigger(
        workflow_id=workflow_id, topic=topic, batch_size=BATCH_LIMIT if by_age_alone else batch_size,
        batch_timeout=None if batch_timeout_seconds is None else max(1, round(batch_timeout_seconds * SECOND)),
    )  # fmt: skip


def takes_event(annotation: Any) -> bool:
    """Tells whether a parameter is annotated as what events start with."""
    return annotation is EventPayload or annotation is BatchEventPayload


def encode_event(payload: Any, annotation: Any, workflow_id: str) -> Stored:
    """Returns an event, or a batch, that a caller makes up, as events are stored. Raises `InvalidInput`."""
    if annotation is EventPayload:
        return codec.encode(_fields_of(payload, workflow_id))
    events = payload.get("events") if isinstance(payload, Mapping) else getattr(payload, "events", None)
    if not isinstance(events, (list, tuple)):
        raise _wrong(workflow_id, 'a batch is {"events": [...]}')
    return codec.encode({"events": [_fields_of(event, workflow_id) for event in events]})


def _fields_of(event: Any, workflow_id: str) -> dict[str, Any]:
    if isinstance(event, EventPayload):
        return {name: microseconds(event.created_at) if name == "created_at" else event[name] for name in _FIELDS}
    if not isinstance(event, Mapping) or "data" not in event or not set(event) <= set(_FIELDS):
        raise _wrong(workflow_id, 'an event is {"data": ...}, with any of ' + ", ".join(_DEFAULTS))
    fields = {**_DEFAULTS, **event}
    if not isinstance(fields["created_at"], int) or not isinstance(fields["sequence_id"], int):
        raise _wrong(workflow_id, "created_at (microseconds) and sequence_id are whole numbers")
    return fields


def _wrong(workflow_id: str, what: str) -> InvalidInput:
    return InvalidInput(
        f"the payload for {workflow_id!r} is no event: {what}", hint="events start it: polos send-event TOPIC DATA",
        errors=(("payload", what),),
    )  # fmt: skip


def decode_event(stored: Stored, annotation: Any) -> Any:
    """Returns what a workflow gets that events start: by its annotation; without one, an event where it is one."""
    value = codec.decode(stored)
    if annotation is BatchEventPayload or (_is_open(annotation) and _is_batch(value)):
        return BatchEventPayload([event_payload(fields) for fields in value["events"]])
    if annotation is EventPayload or (_is_open(annotation) and _is_event(value)):
        return event_payload(value)
    return value


def _is_open(annotation: Any) -> bool:
    return annotation is MISSING or annotation is Any or annotation is object


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == set(_FIELDS)


def _is_batch(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"events"}
        and isinstance(value["events"], list)
        and all(map(_is_event, value["events"]))
    )
