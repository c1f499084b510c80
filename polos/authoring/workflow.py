"""The `@workflow` decorator and what it returns. Runs nothing."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, overload

from polos.authoring.checks import WORKFLOW_ID, checked_aliases, short_file
from polos.authoring.registry import REGISTRY
from polos.authoring.typed import MISSING
from polos.core.model import Stored
from polos.errors import UsageError

if TYPE_CHECKING:
    from polos.authoring.handle import ExecutionHandle
    from polos.authoring.hooks import Hook
    from polos.authoring.queues import QueueRef
    from polos.authoring.state import StateKeeper


class Invoker(Protocol):
    """Who can start a workflow: a client."""

    @property
    def invoke(self) -> Callable[..., Awaitable[Any]]: ...


class Workflow:
    """A durable function. Start it with `invoke` or `run`; inside another workflow with ``ctx.step.invoke``."""

    def __init__(
        self,
        fn: Callable[..., Awaitable[Any]],
        *,
        id: str | None,
        description: str | None,
        run_timeout_seconds: float | None,
        trigger_on_event: str | None = None,
        batch_size: int = 1,
        batch_timeout_seconds: float | None = None,
        queue: Any = None,
        schedule: Any = None,
        on_start: Any = None,
        on_end: Any = None,
        state_schema: Any = None,
        aliases: Sequence[str] = (),
    ) -> None:
        if not inspect.iscoroutinefunction(fn):
            name = getattr(fn, "__name__", repr(fn))
            raise UsageError(
                f"@workflow is for `async def` functions; {name} is not one",
                hint=f"write `async def {name}(ctx, input):`",
            )
        self.fn = fn
        self.id = id or fn.__name__
        if not WORKFLOW_ID.fullmatch(self.id):
            raise UsageError(
                f"{self.id!r} cannot be a workflow's id",
                hint="letters, digits, _ . and -, starting with a letter or _, at most 128",
            )
        from polos.authoring.hooks import hooks_of
        from polos.authoring.queues import rule_of
        from polos.authoring.scheduled import schedule_of
        from polos.authoring.state import check_schema
        from polos.authoring.triggered import trigger_of

        self.aliases = checked_aliases(self.id, aliases)
        self.trigger = trigger_of(self.id, trigger_on_event, batch_size, batch_timeout_seconds)
        self.schedule = schedule_of(self.id, schedule)
        self.queue_rule = None if queue is None else rule_of(queue)
        self.on_start, self.on_end = hooks_of(self.id, on_start, "on_start"), hooks_of(self.id, on_end, "on_end")
        self.state_schema = check_schema(self.id, state_schema)
        self.description = description or inspect.getdoc(fn)
        self.run_timeout_seconds = run_timeout_seconds
        self._take_parameters(fn)
        if run_timeout_seconds is not None and not 0 < run_timeout_seconds < 1e9:
            raise UsageError(f"run_timeout_seconds of {self.id!r} is seconds above 0, not {run_timeout_seconds!r}")
        self.__name__ = fn.__name__
        self.__doc__ = fn.__doc__
        self.__module__ = fn.__module__
        self.__wrapped__ = fn

    @property
    def site(self) -> str:
        """Where it stands: ``file:line``, as the sites of steps are written."""
        code = self.fn.__code__
        return f"{short_file(code.co_filename)}:{code.co_firstlineno}"

    def _take_parameters(self, fn: Callable[..., Any]) -> None:
        parameters = [
            p for p in inspect.signature(fn).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]  # fmt: skip
        if not 1 <= len(parameters) <= 2:
            raise UsageError(
                f"the workflow {self.id!r} takes {len(parameters)} parameters",
                hint=f"write `async def {fn.__name__}(ctx)` or `async def {fn.__name__}(ctx, input)`",
            )
        self._payload = parameters[1] if len(parameters) == 2 else None
        self._annotations: tuple[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"<workflow {self.id}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise UsageError(
            f"the workflow {self.id!r} was called like a function",
            hint=f"start it: await {self.__name__}.run(client, payload); "
            f'inside a workflow: await ctx.step.invoke_and_wait("key", {self.__name__}, payload)',
        )

    @property
    def queue(self) -> str | None:
        """The name of its queue, if it has one."""
        return None if self.queue_rule is None else self.queue_rule.name

    @property
    def takes_payload(self) -> bool:
        """True if the function has a second parameter."""
        return self._payload is not None

    def annotations(self) -> tuple[Any, Any]:
        """Returns the annotations of the payload and of the result, MISSING where there is none."""
        if self._annotations is None:
            from polos.authoring.typed import hints_of

            hints = hints_of(self.fn)
            payload = hints.get(self._payload.name, MISSING) if self._payload is not None else MISSING
            self._annotations = (payload, hints.get("return", MISSING))
        return self._annotations

    def encode_input(self, payload: Any) -> Stored:
        """Returns the checked payload as stored.

        Raises:
            InvalidInput: it does not fit the parameter.
            UnserializableValue, PayloadTooLarge: it cannot be stored.
        """
        from polos.authoring import typed
        from polos.core import codec

        if self._payload is None:
            if payload not in (None, {}):
                from polos.errors import InvalidInput

                raise InvalidInput(
                    f"the workflow {self.id!r} takes no payload",
                    hint="leave it out, or give the function a second parameter",
                )
            return codec.encode(None)
        from polos.authoring import scheduled, triggered
        from polos.authoring.payload import SchedulePayload

        annotation = self.annotations()[0]
        if triggered.takes_event(annotation):
            return triggered.encode_event(payload, annotation, self.id)
        if annotation is SchedulePayload:
            return scheduled.encode_slot(payload, self.id)
        if payload is None and self._payload.default is not inspect.Parameter.empty:
            payload = self._payload.default
        elif payload is None and annotation is dict:
            payload = {}
        value = typed.validate_input(payload, annotation, self.id)
        return typed.encode(value, annotation)

    def decode_input(self, stored: Stored, created_at: int = 0) -> Any:
        """Returns the stored payload as the function takes it.

        Args:
            created_at: when the execution was started: the slot of a schedule's workflow that was started by hand.

        Raises:
            InvalidInput, StoredValueMismatch: it does not fit.
        """
        from polos.authoring import scheduled, triggered, typed
        from polos.authoring.payload import SchedulePayload

        if self._payload is None:
            return None
        annotation = self.annotations()[0]
        if annotation is SchedulePayload:
            return scheduled.decode_slot(stored, created_at)
        if triggered.takes_event(annotation) or (self.trigger is not None and typed.is_plain(annotation)):
            return triggered.decode_event(stored, annotation)
        if stored.shape is None and annotation is not MISSING:
            from polos.core import codec

            # It may have been started by bare id, unchecked: the same check as at an invoke.
            return typed.validate_input(codec.plain(stored), annotation, self.id)
        return typed.decode(stored, annotation)

    def encode_state(self, initial: Any) -> Stored | None:
        """Returns the state that an execution starts with, as stored. Raises `InvalidInput`."""
        if initial is None:
            return None
        from polos.authoring.state import encode_state

        return encode_state(initial, self.state_schema, self.id)

    def state_of(self, initial: Stored | None) -> StateKeeper:
        """Returns what keeps the state of one pass."""
        from polos.authoring.state import StateKeeper

        return StateKeeper(self.id, self.state_schema, initial)

    def encode_result(self, value: Any) -> Stored:
        """Returns the function's result as stored."""
        from polos.authoring import typed

        return typed.encode(value, self.annotations()[1])

    def decode_result(self, stored: Stored) -> Any:
        """Returns the stored result by the function's return annotation."""
        from polos.authoring import typed

        return typed.decode(stored, self.annotations()[1])

    def input_schema(self) -> dict[str, Any]:
        """Returns the payload's JSON schema; empty where anything goes."""
        from polos.authoring.typed import parameter_schema

        return {"type": "null"} if self._payload is None else parameter_schema(self.annotations()[0], self._payload)

    async def invoke(
        self,
        client: Invoker,
        payload: Any = None,
        *,
        initial_state: Any = None,
        session_id: str | None = None,
        user_id: str | None = None,
        queue: QueueRef = None,
        concurrency_key: str | None = None,
        idempotency_key: str | None = None,
        run_timeout_seconds: float | None = None,
        delay: float | None = None,
    ) -> ExecutionHandle:
        """Starts an execution and returns its `ExecutionHandle`. `delay` in seconds.

        Raises:
            InvalidInput: the payload does not fit; nothing was stored.
            IdempotencyConflict: the key was used with another payload.
        """
        _check_client(client)
        handle: ExecutionHandle = await client.invoke(
            self, payload, initial_state=initial_state, session_id=session_id, user_id=user_id, queue=queue,
            concurrency_key=concurrency_key, idempotency_key=idempotency_key, run_timeout_seconds=run_timeout_seconds,
            delay=delay,
        )  # fmt: skip
        return handle

    async def run(self, client: Invoker, payload: Any = None, *, timeout: float = 600.0, **options: Any) -> Any:
        """Starts an execution and waits for its result; `timeout` in seconds ends the waiting, not the execution.

        Raises:
            ExecutionFailed, ExecutionCancelled: it ended so.
            ResultTimeout: it had not ended in time.
        """
        _check_client(client)
        handle: ExecutionHandle = await client.invoke(self, payload, **options)
        return await handle.result(timeout=timeout)


def _check_client(client: object) -> None:
    if isinstance(client, Workflow) or not callable(getattr(client, "invoke", None)):
        raise UsageError(
            f"a client is needed to start a workflow, not {client!r}",
            hint="async with Polos() as polos: await my_workflow.run(polos, payload); or PolosClient()",
        )


@overload
def workflow(fn: Callable[..., Awaitable[Any]], /) -> Workflow: ...
@overload
def workflow(
    fn: None = None,
    /,
    *,
    id: str | None = None,
    description: str | None = None,
    run_timeout_seconds: float | None = None,
    trigger_on_event: str | None = None,
    batch_size: int = 1,
    batch_timeout_seconds: float | None = None,
    queue: QueueRef = None,
    schedule: str | Mapping[str, str] | bool | None = None,
    on_start: Hook | Sequence[Hook] | None = None,
    on_end: Hook | Sequence[Hook] | None = None,
    state_schema: type[Any] | None = None,
    aliases: Sequence[str] = (),
) -> Callable[[Callable[..., Awaitable[Any]]], Workflow]: ...
def workflow(
    fn: Callable[..., Awaitable[Any]] | None = None,
    /,
    *,
    id: str | None = None,
    description: str | None = None,
    run_timeout_seconds: float | None = None,
    trigger_on_event: str | None = None,
    batch_size: int = 1,
    batch_timeout_seconds: float | None = None,
    queue: QueueRef = None,
    schedule: str | Mapping[str, str] | bool | None = None,
    on_start: Hook | Sequence[Hook] | None = None,
    on_end: Hook | Sequence[Hook] | None = None,
    state_schema: type[Any] | None = None,
    aliases: Sequence[str] = (),
) -> Workflow | Callable[[Callable[..., Awaitable[Any]]], Workflow]:
    """Makes a durable workflow of an ``async def`` function of ``(ctx)`` or ``(ctx, payload)``.

    Args:
        trigger_on_event: a topic, or ``start.*``: each event published there starts one execution, with an
            `EventPayload` (S5.3).
        batch_size: so many events start one execution together, with a `BatchEventPayload`.
        batch_timeout_seconds: an incomplete batch starts its execution when its oldest event is so old; without a
            `batch_size`, that alone makes a batch.
        queue: a name, a `Queue`, or ``{"name":, "concurrency_limit":}``: at most so many run at once (S7.4).
        schedule: a cron expression, or ``{"cron":, "timezone":, "key":, "catchup":, "overlap":}``: the clock starts
            executions, with a `SchedulePayload` (S7.1, S7.2). True: only `polos.schedules` does.
        on_start, on_end: hooks before and after the function, each recorded as a step.
        state_schema: a subclass of `WorkflowState`: what ``ctx.state`` is.
        run_timeout_seconds: seconds of running time, waits not counted, after which the execution is stopped (S8.5).
        aliases: earlier ids: it takes over their executions, triggers and schedules.

    Raises:
        UsageError: the function is not ``async def``, has other parameters, or the id is malformed.
        DuplicateWorkflow: another workflow has the id.
    """

    def declare(target: Callable[..., Awaitable[Any]]) -> Workflow:
        made = Workflow(
            target, id=id, description=description, run_timeout_seconds=run_timeout_seconds,
            trigger_on_event=trigger_on_event, batch_size=batch_size, batch_timeout_seconds=batch_timeout_seconds,
            queue=queue, schedule=schedule, on_start=on_start, on_end=on_end, state_schema=state_schema, aliases=aliases,
        )  # fmt: skip
        REGISTRY.add(made)
        return made

    return declare if fn is None else declare(fn)


def id_of(workflow: Workflow | str) -> str:
    """Returns the id of a workflow given as itself or by its id."""
    if isinstance(workflow, Workflow):
        return workflow.id
    if isinstance(workflow, str) and WORKFLOW_ID.fullmatch(workflow):
        return workflow
    raise UsageError(f"{workflow!r} is neither a workflow nor a workflow's id")
