"""What is told of executions on their topics (S5.4). Stores no values: readers join the journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import orjson

from polos.core.model import Outcome
from polos.store.sql.tx import Appended, Tx


def topic(name: str) -> Tx[int]:
    """Returns the id of a topic, made if it is new."""
    found = yield "topic_id", {"name": name}
    if not found:
        yield "create_topic", {"name": name}
        found = yield "topic_id", {"name": name}
    return int(found[0][0])


def lifecycle(topic_id: int, events: Sequence[tuple[str, dict[str, Any]]], now: int) -> Tx[None]:
    """Appends lifecycle events, which hold no values (S5.4)."""
    if not events:
        return
    rows = yield "advance_topic", {"topic": topic_id, "count": len(events)}
    first = rows[0][0] - len(events) + 1
    params = []
    for offset, (type_, data) in enumerate(events):
        text = orjson.dumps(data)
        params.append(
            {"topic": topic_id, "sequence": first + offset, "type": type_, "data": text.decode(),
             "checksum": crc32(text), "created_at": now}
        )  # fmt: skip
    yield "insert_lifecycle", params
    yield Appended()


def told(
    execution: int, key: str, kind: str, duration: int | None = None, outcome: str | None = None
) -> dict[str, Any]:
    """Returns what a lifecycle event tells of a step."""
    data: dict[str, Any] = {"execution": execution, "key": key, "kind": str(kind)}
    if duration is not None:
        data["duration_ms"] = max(0, duration) // 1000
    if outcome is not None and outcome != Outcome.COMPLETED:
        data["outcome"] = outcome
    return data
