"""Polos: durable workflows in plain Python. The public names, loaded when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from polos import events as events
    from polos import schedules as schedules
    from polos.authoring.agents import Agent as Agent
    from polos.authoring.agents import batch_agent_invoke as batch_agent_invoke
    from polos.authoring.context import WorkflowContext as WorkflowContext
    from polos.authoring.current import StepInfo as StepInfo
    from polos.authoring.current import current_step as current_step
    from polos.authoring.handle import ExecutionHandle as ExecutionHandle
    from polos.authoring.hooks import HookContext as HookContext
    from polos.authoring.hooks import HookResult as HookResult
    from polos.authoring.hooks import hook as hook
    from polos.authoring.payload import BatchEventPayload as BatchEventPayload
    from polos.authoring.payload import BatchStepResult as BatchStepResult
    from polos.authoring.payload import BatchWorkflowInput as BatchWorkflowInput
    from polos.authoring.payload import EventPayload as EventPayload
    from polos.authoring.payload import SchedulePayload as SchedulePayload
    from polos.authoring.queues import Queue as Queue
    from polos.authoring.queues import queue as queue
    from polos.authoring.state import WorkflowState as WorkflowState
    from polos.authoring.workflow import Workflow as Workflow
    from polos.authoring.workflow import workflow as workflow
    from polos.client.client import PolosClient as PolosClient
    from polos.client.client import batch_invoke as batch_invoke
    from polos.errors import AlreadyResumed as AlreadyResumed
    from polos.errors import ChildCancelled as ChildCancelled
    from polos.errors import ChildFailed as ChildFailed
    from polos.errors import ChildTimedOut as ChildTimedOut
    from polos.errors import CorruptRecord as CorruptRecord
    from polos.errors import DatabaseInUse as DatabaseInUse
    from polos.errors import Diverged as Diverged
    from polos.errors import DuplicateStepKey as DuplicateStepKey
    from polos.errors import DuplicateWorkflow as DuplicateWorkflow
    from polos.errors import EngineError as EngineError
    from polos.errors import ExecutionCancelled as ExecutionCancelled
    from polos.errors import ExecutionEnded as ExecutionEnded
    from polos.errors import ExecutionFailed as ExecutionFailed
    from polos.errors import HookFailed as HookFailed
    from polos.errors import IdempotencyConflict as IdempotencyConflict
    from polos.errors import InvalidInput as InvalidInput
    from polos.errors import LeaseLost as LeaseLost
    from polos.errors import NoEngine as NoEngine
    from polos.errors import NonRetryableError as NonRetryableError
    from polos.errors import NoProject as NoProject
    from polos.errors import PayloadTooLarge as PayloadTooLarge
    from polos.errors import PolosError as PolosError
    from polos.errors import RecordedError as RecordedError
    from polos.errors import ResultTimeout as ResultTimeout
    from polos.errors import StepExecutionError as StepExecutionError
    from polos.errors import StepTimeoutError as StepTimeoutError
    from polos.errors import StoredValueMismatch as StoredValueMismatch
    from polos.errors import StoreUnavailable as StoreUnavailable
    from polos.errors import UnawaitedStep as UnawaitedStep
    from polos.errors import UnknownExecution as UnknownExecution
    from polos.errors import UnknownWorkflow as UnknownWorkflow
    from polos.errors import UnserializableResult as UnserializableResult
    from polos.errors import UnserializableValue as UnserializableValue
    from polos.errors import UsageError as UsageError
    from polos.errors import WorkflowError as WorkflowError
    from polos.errors import WorkflowTimeoutError as WorkflowTimeoutError
    from polos.local.polos import Polos as Polos
    from polos.local.polos import Worker as Worker

_ROOMS = {
    "polos.authoring.workflow": ("workflow", "Workflow"),
    "polos.authoring.agents": ("Agent", "batch_agent_invoke"),
    "polos.authoring.context": ("WorkflowContext",),
    "polos.authoring.handle": ("ExecutionHandle",),
    "polos.authoring.current": ("current_step", "StepInfo"),
    "polos.authoring.payload": (
        "EventPayload", "BatchEventPayload", "SchedulePayload", "BatchWorkflowInput", "BatchStepResult",
    ),
    "polos.authoring.hooks": ("hook", "HookContext", "HookResult"),
    "polos.authoring.queues": ("queue", "Queue"),
    "polos.authoring.state": ("WorkflowState",),
    "polos.client.client": ("PolosClient", "batch_invoke"),
    "polos.local.polos": ("Polos", "Worker"),
    "polos.errors": (
        "PolosError", "UsageError", "WorkflowError", "EngineError",
        "DuplicateStepKey", "DuplicateWorkflow", "UnknownWorkflow", "UnknownExecution", "InvalidInput",
        "IdempotencyConflict", "AlreadyResumed", "ExecutionEnded", "NoProject", "PayloadTooLarge", "UnserializableValue",
        "StepExecutionError", "StepTimeoutError", "ChildFailed", "ChildCancelled", "ChildTimedOut",
        "UnserializableResult", "NonRetryableError", "UnawaitedStep", "WorkflowTimeoutError", "ExecutionFailed",
        "ExecutionCancelled", "HookFailed", "RecordedError",
        "Diverged", "StoredValueMismatch", "CorruptRecord", "LeaseLost", "NoEngine", "StoreUnavailable",
        "DatabaseInUse", "ResultTimeout",
    ),
}  # fmt: skip
_PLACE = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = ["events", "schedules", *_PLACE]  # noqa: PLE0604  # the names are text: one table says where each is


def __getattr__(name: str) -> Any:
    if name in ("events", "schedules"):
        return import_module(f"polos.{name}")
    room = _PLACE.get(name)
    if room is None:
        raise AttributeError(f"module 'polos' has no attribute {name!r}")
    value = getattr(import_module(room), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
