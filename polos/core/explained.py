"""Why an execution has ended or is blocked, in words: the part of `explain` on those that do not go on by themselves."""

from __future__ import annotations

import json
from typing import Any

from polos.core.durations import show_duration
from polos.core.standing import Explanation, Facts, Why
from polos.core.status import Status
from polos.core.words import ago


def ended(facts: Facts) -> Explanation:
    """Says how it ended, and how to go on with it."""
    execution = facts.execution
    n, when = execution.number, ago(facts, execution.ended_at)
    took = show_duration((execution.ended_at or facts.now) - execution.created_at)
    show = (f"polos show {n}", "its steps, and what came of it")
    if execution.status is Status.COMPLETED:
        return Explanation(why=Why.DONE, headline=f"it completed {when}, after {took}", commands=(show,))
    if execution.status is Status.CANCELLED:
        return Explanation(
            why=Why.CANCELLED, headline=f"it was cancelled {when}, after {took}", details=_told_parent(facts),
            commands=(show, *_retry(facts, "goes on from where it was cancelled")),
        )  # fmt: skip
    failure = execution.failure
    what = f"{failure.type_name}: {failure.message}" if failure else execution.error_type or "an error"
    at, again = "its own code ended it", "runs its code again from its last step on"
    if execution.error_type == "WorkflowTimeoutError":
        at, again = "its run_timeout_seconds were over", "goes on from there, with all of its time again"
    elif execution.cause_key:
        at, again = f"the step {execution.cause_key!r} ended it", "goes on from the step that ended it"
    return Explanation(
        why=Why.FAILED, headline=f"it failed {when}, after {took}: {what}", details=(at, *_told_parent(facts)),
        commands=(show, *_retry(facts, again)),
    )  # fmt: skip


def _told_parent(facts: Facts) -> tuple[str, ...]:
    if facts.parent is None or not facts.has_parent_received:
        return ()
    return (f"its parent, {facts.parent.number}, has received that, and is {facts.parent.status}",)


def _retry(facts: Facts, what: str) -> list[tuple[str, str]]:
    if not facts.has_parent_received:
        return [(f"polos retry {facts.execution.number}", what)]
    if facts.root is None or facts.root.status not in (Status.FAILED, Status.CANCELLED):
        return []
    return [(f"polos retry {facts.root.number}", "its root: reopens this one where it is needed")]


_BLOCKED = {
    "diverged": (Why.DIVERGED, "the code no longer asks for what its history holds"),
    "stored_value_mismatch": (Why.VALUE_MISMATCH, "a stored value does not fit today's types"),
    "crash_loop": (Why.CRASH_LOOP, "it brought its process down again and again"),
    "corrupt_record": (Why.DAMAGED, "a stored record is damaged"),
}


def blocked(facts: Facts) -> Explanation:
    """Says what keeps it from going on, and what removes that."""
    execution = facts.execution
    reason: dict[str, Any] = json.loads(execution.blocked_reason or "{}")
    why, what = _BLOCKED.get(str(reason.get("kind")), (Why.ENGINE_FAULT, "polos could not go on"))
    details = [str(reason.get("message", "no reason was recorded"))]
    if execution.blocked_code:
        details.append(f"it was blocked under the code {execution.blocked_code}; other code gets one try by itself")
    if reason.get("hint"):
        details.append(str(reason["hint"]))
    return Explanation(
        why=why, headline=f"it is blocked: {what}", details=tuple(details),
        commands=(
            (f"polos show {execution.number}", "its history"),
            (f"polos retry {execution.number}", "another try with the code that is here now"),
            (f"polos cancel {execution.number}", "ends it"),
        ),
    )  # fmt: skip
