"""Which recorded outcomes a retry takes back, and whether it may (S9.4). Touches no store."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from polos.core.model import Entry, Kind, Outcome


def superseded_by_retry(entries: Sequence[Entry], cause_key: str | None) -> tuple[Entry, ...]:
    """Returns the live entries of an ended execution that its retry supersedes, in `seq` order.

    They are the cause of its end, whatever the code asked for once that had reached it, and the failures recorded
    later. The cause of a cancelled or timed out execution is its stop; with no cause, nothing is superseded.

    Args:
        entries: the live journal, in any order.
        cause_key: the step whose error ended the run, if one did.
    """
    cause = next((entry for entry in entries if entry.kind is Kind.STOP), None)
    if cause is None and cause_key is not None:
        cause = next((entry for entry in entries if entry.key == cause_key), None)
    if cause is None:
        return ()
    taken = [
        entry for entry in entries
        if entry is cause or entry.after >= cause.seq or (entry.seq > cause.seq and entry.outcome is not Outcome.COMPLETED)
    ]  # fmt: skip
    return tuple(sorted(taken, key=lambda entry: entry.seq))


def has_received(parent: Sequence[Entry], key: str | None, child_id: str) -> bool:
    """Tells whether a parent has received how its child ended: then only the parent, or its root, is retried.

    Args:
        parent: the live journal of the parent.
        key: the step of the parent that started the child.
    """
    return any(one.kind is Kind.CHILD and (one.key == key or awaited(one) == child_id) for one in parent)


def awaited(entry: Entry) -> str:
    """Returns the id of the execution that a step awaited by its handle; empty, if it did not."""
    request = orjson.loads(entry.request or "null")
    return str(request.get("execution_id", "")) if isinstance(request, dict) else ""
