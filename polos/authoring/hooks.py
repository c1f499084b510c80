"""Hooks around a workflow: recorded as steps, they may change its payload or its output, or stop it. Runs no step itself."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from polos.authoring import typed
from polos.authoring.context import WorkflowContext
from polos.errors import HookFailed, UsageError

if TYPE_CHECKING:
    from polos.authoring.workflow import Workflow


@dataclass(frozen=True, slots=True)
class HookContext:
    """What a hook sees. `output` is None before the workflow has run; `payload` is as the hooks before left it."""

    hook: Literal["on_start", "on_end"]
    workflow_id: str
    execution_id: str
    payload: Any
    output: Any
    session_id: str | None
    user_id: str | None


@dataclass(frozen=True, slots=True)
class HookResult:
    """What a hook decides; make it with `continue_with` or `fail`."""

    action: str
    message: str | None = None
    payload: Any = None
    output: Any = None
    has_payload: bool = False
    has_output: bool = False

    @classmethod
    def continue_with(cls, *, modified_payload: Any = None, modified_output: Any = None) -> HookResult:
        """Goes on; with another payload for the workflow (on_start), or another output (on_end), where given."""
        return cls(
            "continue", payload=modified_payload, output=modified_output, has_payload=modified_payload is not None,
            has_output=modified_output is not None,
        )  # fmt: skip

    @classmethod
    def fail(cls, message: str) -> HookResult:
        """Stops the execution: it fails with `HookFailed` and this message."""
        return cls("fail", message=message)


HookFunction: TypeAlias = Callable[[WorkflowContext, HookContext], Awaitable[HookResult]]


class Hook:
    """A hook, made by `hook`."""

    def __init__(self, fn: HookFunction) -> None:
        if not inspect.iscoroutinefunction(fn) or len(inspect.signature(fn).parameters) != 2:
            name = getattr(fn, "__name__", repr(fn))
            raise UsageError(
                f"a hook is an `async def` function of two parameters; {name} is none",
                hint=f"@hook\nasync def {name}(ctx, hook_context): return HookResult.continue_with()",
            )
        self.fn = fn
        self.name = fn.__name__

    def __repr__(self) -> str:
        return f"<hook {self.name}>"


def hook(fn: HookFunction) -> Hook:
    """Makes a hook of an ``async def`` function of ``(ctx, hook_context)`` that returns a `HookResult`.

    It runs as a step's body does: retried, recorded once, without ``ctx.step``.

    Raises:
        UsageError: the function is no such one.
    """
    return Hook(fn)


def hooks_of(workflow_id: str, given: object, name: str) -> tuple[Hook, ...]:
    """Returns the hooks that a workflow declares, one or several, checked. Raises `UsageError`."""
    if given is None:
        return ()
    found = tuple(given) if isinstance(given, Sequence) else (given,)
    for one in found:
        if not isinstance(one, Hook):
            raise UsageError(f"{name} of {workflow_id!r} is {one!r}, not a hook", hint="put @hook above the function")
    twice = {one.name for one in found if [other.name for other in found].count(one.name) > 1}
    if twice:
        raise UsageError(f"{name} of {workflow_id!r} has two hooks named {min(twice)!r}")
    return found


def coroutine_of(workflow: Workflow, context: WorkflowContext, payload: Any) -> Coroutine[Any, Any, Any]:
    """Returns the coroutine of one pass: the workflow's function, with its hooks before and after."""
    if workflow.on_start or workflow.on_end:
        return _with_hooks(workflow, context, payload)
    coroutine: Any = workflow.fn(context, payload) if workflow.takes_payload else workflow.fn(context)
    return coroutine  # type: ignore[no-any-return]  # an async def gives one


async def _with_hooks(workflow: Workflow, context: WorkflowContext, payload: Any) -> Any:
    for one in workflow.on_start:
        decided = await _decided(one, "on_start", context, payload, None)
        if decided.has_payload:
            payload = typed.validate_input(decided.payload, workflow.annotations()[0], workflow.id)
    output = await (workflow.fn(context, payload) if workflow.takes_payload else workflow.fn(context))
    for one in workflow.on_end:
        decided = await _decided(one, "on_end", context, payload, output)
        if decided.has_output:
            output = decided.output
    return output


async def _decided(
    one: Hook, when: Literal["on_start", "on_end"], context: WorkflowContext, payload: Any, output: Any
) -> HookResult:
    told = HookContext(
        when, context.workflow_id, context.execution_id, payload, output, context.session_id, context.user_id
    )
    decided = await context.step.own(f"polos:{when}/{one.name}", one.fn, context, told, result=HookResult)
    if not isinstance(decided, HookResult):
        raise HookFailed(f"the hook {one.name!r} returned {type(decided).__name__}, not a HookResult")
    if decided.action == "fail":
        raise HookFailed(f"the hook {one.name!r} stopped the execution: {decided.message}")
    return decided
