"""What a fork keeps, edits and does again, as people see it. Forks nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polos.core import codec
from polos.core.forks import EDITABLE, Cut
from polos.core.model import Entry, Kind, Outcome, PendingWait, Stored

_AGAIN = {Kind.RUN: "runs again", Kind.EVENT: "waits again", Kind.SUSPEND: "asks again", Kind.SLEEP: "waits again",
          Kind.TIMER: "waits again", Kind.CHILD: "starts again", Kind.INVOKE: "starts again",
          Kind.PUBLISH: "sends again", Kind.RESUME: "sends again", Kind.VALUE: "made again", Kind.RETRY: "runs again"}  # fmt: skip
HEADS = ("runs again", "starts again", "sends again", "waits again", "asks again", "made again")
"""How things are done again, in the order in which they are told."""


def edited_part(kind: Kind, value: Stored) -> Any:
    """Returns what is edited of a recorded value: of an event or an answer its data."""
    found = codec.plain(value)
    return found.get("data") if kind in (Kind.EVENT, Kind.SUSPEND) and isinstance(found, dict) else found


def done_again(plan: Cut) -> list[tuple[str, str]]:
    """Returns what is done again, as far as the source tells: (step, how), in order."""
    steps: list[Entry | PendingWait] = [*plan.dropped, *sorted(plan.waits, key=lambda wait: wait.started_at)]
    return list({one.key: _AGAIN[one.kind] for one in steps if one.kind in _AGAIN}.items())


def plan_lines(plan: Cut, edits: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns (head, text) of what is kept, and of what is done again."""
    again = done_again(plan)
    lines = [("keeps", ", ".join(one.key for one in plan.kept if one.key not in edits))]
    lines += [(head, ", ".join(key for key, what in again if what == head)) for head in HEADS]
    return [(head, text) for head, text in lines if text]


def editable(plan: Cut) -> dict[str, Any]:
    """Returns the values at the cut that a fork may have otherwise, by step."""
    return {
        one.key: edited_part(one.kind, one.value)
        for one in plan.kept
        if one.outcome is Outcome.COMPLETED and one.value is not None and one.kind in EDITABLE
    }
