"""Folds lifecycle events into the view, one after the other. Pure: the same events give the same view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from polos.core.model import Event
from polos_cli.view.model import ViewExecution, ViewStep, ViewTree

_ENDS = {
    "workflow_finish": "completed",
    "workflow_failed": "failed",
    "workflow_cancelled": "cancelled",
    "workflow_blocked": "blocked",
}


def fold(tree: ViewTree, event: Event) -> None:
    """Brings one event of the tree's topic into the view; others are passed over."""
    tree.position = max(tree.position, event.position)
    if event.type is None:
        return
    data = orjson.loads(event.data.text)
    if not isinstance(data, dict) or "execution" not in data:
        return
    execution = _execution(tree, data["execution"])
    if event.type == "workflow_start":
        _start(tree, execution, event, data)
    elif event.type in _ENDS:
        execution.state = _ENDS[event.type]
        execution.ended_at = event.created_at
        execution.error_type = data.get("error_type") or data.get("reason") or ""
        if execution.state != "blocked":
            _close_open(execution, event.created_at)
    elif event.type == "workflow_unblocked":
        _unblock(execution)
    elif event.type == "workflow_retried":
        _retry(execution, data.get("cause"), data.get("superseded", ()))
    elif event.type == "workflow_forked":
        for kept in data["kept"]:
            execution.steps[kept["key"]] = ViewStep(
                key=kept["key"], kind=kept["kind"], state=kept["outcome"], started_at=event.created_at,
                ended_at=event.created_at, is_kept=True,
            )  # fmt: skip
    elif "key" in data and event.type != "resume":  # an answer may come before its question
        _step(execution, event, data)


def _execution(tree: ViewTree, number: int) -> ViewExecution:
    found = tree.executions.get(number)
    if found is None:
        found = tree.executions[number] = ViewExecution(number=number)
    return found


def _start(tree: ViewTree, execution: ViewExecution, event: Event, data: dict[str, Any]) -> None:
    execution.id = data["id"]
    execution.workflow_id = data["workflow_id"]
    execution.started_at = event.created_at
    execution.parent = data.get("parent")
    execution.parent_key = data.get("parent_key") or ""
    if execution.parent is not None:
        _execution(tree, execution.parent).children.append(execution)


def _unblock(execution: ViewExecution) -> None:
    execution.state, execution.ended_at, execution.error_type = "queued", None, ""


def _retry(execution: ViewExecution, cause: str | None, superseded: Sequence[str]) -> None:
    """Takes back what the retry took back, and the waits that its end had cut short; they begin again."""
    _unblock(execution)
    for key in (*superseded, *execution.cut_short):
        execution.steps.pop(key, None)
    gone = {key for key in superseded if key != cause}
    execution.children = [child for child in execution.children if child.parent_key not in gone]
    execution.cut_short.clear()


def _step(execution: ViewExecution, event: Event, data: dict[str, Any]) -> None:
    key, at = data["key"], event.created_at
    step = execution.steps.get(key)
    if step is None:
        step = execution.steps[key] = ViewStep(
            key=key, kind=data["kind"], started_at=at - data.get("duration_ms", 0) * 1000
        )
    step.attempt = data.get("attempt", step.attempt)
    if "duration_ms" in data and step.attempt == 1:
        step.started_at = at - data["duration_ms"] * 1000
    execution.state = "running" if execution.state in ("queued", "waiting", "blocked") else execution.state
    match event.type:
        case "step_start":
            step.state, step.until, step.ended_at = "running", None, None
            step.started_at = min(step.started_at, data.get("at", at))
        case "step_finish":
            step.state, step.ended_at, step.until = "completed", at, None
        case "step_failed":
            step.state, step.ended_at, step.error_type = "failed", at, data.get("error_type") or ""
        case "step_retry":
            step.failures.append((at - data.get("duration_ms", 0) * 1000, at, data.get("until") or at))
            step.state, step.until, step.error_type = "retrying", data.get("until"), data.get("error_type") or ""
        case "wait_start":
            step.state, step.until, step.on = "waiting", data.get("until"), data.get("on") or ""
        case "wait_finish":
            outcome = data.get("outcome", "completed")
            step.state, step.ended_at = outcome, at
        case _:
            pass


def _close_open(execution: ViewExecution, at: int) -> None:
    for step in execution.steps.values():
        if step.ended_at is None:
            step.state, step.ended_at = "cancelled", at
            execution.cut_short.append(step.key)
