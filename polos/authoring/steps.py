"""`ctx.step`: the calls that are recorded. Builds each call and hands it to the run; decides no outcome."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar, Unpack, overload

from polos.authoring import decoding, typed
from polos.authoring.checks import (
    call_site,
    check_callable,
    check_topic,
    checked_key,
    refuse_option_names,
    timeout_span,
    uuid_from,
)
from polos.authoring.children import ChildOptions, ExecutionRef, child_spec, execution_id_of
from polos.authoring.digest import arguments_digest
from polos.authoring.handle import ExecutionHandle
from polos.authoring.payload import (
    BatchStepResult,
    BatchWorkflowInput,
    EventPayload,
    microseconds,
)
from polos.authoring.registry import REGISTRY
from polos.authoring.workflow import Workflow
from polos.calls import (
    AnswerCall,
    AnyCall,
    ChildrenCall,
    ChildSpec,
    EventCall,
    PublishCall,
    ResultCall,
    RunCall,
    RunPort,
    SleepCall,
    SuspendCall,
    ValueCall,
)
from polos.core import codec
from polos.core.durations import to_microseconds
from polos.core.model import Kind
from polos.core.retry import retry_policy
from polos.errors import UsageError

T = TypeVar("T")


class Steps:
    """The steps of one execution. Every call is identified by its key, unique within the execution (S1.5)."""

    __slots__ = ("_run",)

    def __init__(self, run: RunPort) -> None:
        self._run = run

    # ── bodies ───────────────────────────────────────────────────────────────────────────────────────

    @overload
    def run(
        self,
        key: str,
        fn: Callable[..., Awaitable[T]],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Coroutine[None, None, T]: ...
    @overload
    def run(
        self,
        key: str,
        fn: Callable[..., T],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Coroutine[None, None, T]: ...
    def run(
        self,
        key: str,
        fn: Callable[..., Any],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Coroutine[None, None, Any]:
        """Runs `fn` and records its outcome; with a recorded outcome, runs nothing and returns that.

        Args:
            key: identifies the step.
            fn: sync (runs in a thread), async, a lambda, a partial, or an object with an async ``__call__``.
            max_retries: attempts after the first.
            base_delay: seconds before the second attempt; doubles each time.
            max_delay: seconds, at most.
            timeout: seconds for each attempt.

        Raises:
            StepExecutionError: the attempts ran out.
            UsageError: the call is wrong.
        """
        check_callable(key, fn)
        if isinstance(fn, Workflow):
            raise UsageError(
                f"step {key!r} was given a workflow",
                hint=f"ctx.step.invoke_and_wait({key!r}, {fn.__name__}, payload)",
            )
        refuse_option_names(fn, key)
        try:
            policy = retry_policy(max_retries, base_delay, max_delay)
            if timeout is not None and not 0 < timeout < 1e9:
                raise ValueError("timeout is seconds above 0")
        except (ValueError, TypeError) as error:
            raise UsageError(f"step {key!r}: {error}") from None
        annotation = typed.return_annotation(fn)
        call = RunCall(
            key=checked_key(key),
            kind=Kind.RUN,
            site=call_site(),
            decode=lambda stored: typed.decode(stored, annotation),
            fn=fn,
            args=args,
            kwargs=kwargs,
            policy=policy,
            timeout=timeout,
            encode=lambda value: typed.encode(value, annotation),
            arguments=arguments_digest(args, kwargs),
        )
        return self._call(call)

    # ── values ───────────────────────────────────────────────────────────────────────────────────────

    def uuid(self, key: str) -> Coroutine[None, None, str]:
        """Returns a new UUID, the same on every replay."""
        return self._value(
            key, lambda clock, ids, rng: uuid_from(rng.random(), rng.random(), rng.random(), rng.random())
        )

    def now(self, key: str) -> Coroutine[None, None, int]:
        """Returns milliseconds since the epoch, the same on every replay."""
        return self._value(key, lambda clock, ids, rng: clock.now() // 1000)

    def random(self, key: str) -> Coroutine[None, None, float]:
        """Returns a float in [0, 1), the same on every replay."""
        return self._value(key, lambda clock, ids, rng: rng.random())

    def patched(self, key: str) -> Coroutine[None, None, bool]:
        """Tells whether an execution takes the new way: not one whose history goes on behind this point by the old one.

        The recorded answer if there is one; False, recording nothing, while recorded steps have not been asked for yet;
        else True, which is recorded.
        """
        return self._value(key, lambda clock, ids, rng: True, past=False)

    def _value(self, key: str, make: Callable[[Any, Any, Any], Any], past: Any = None) -> Coroutine[None, None, Any]:
        call = ValueCall(
            key=checked_key(key), kind=Kind.VALUE, site=call_site(3), decode=codec.decode, make=make, past=past
        )
        return self._call(call)

    @contextlib.contextmanager
    def trace(self, name: str, attributes: dict[str, Any] | None = None) -> Iterator[None]:
        """Opens a span for telemetry; records nothing."""
        yield

    # ── waits ────────────────────────────────────────────────────────────────────────────────────────

    def wait_for(
        self,
        key: str,
        seconds: float = 0,
        minutes: float = 0,
        hours: float = 0,
        days: float = 0,
        weeks: float = 0,
    ) -> Coroutine[None, None, None]:
        """Waits durably for a span of time; costs nothing while it waits. Raises `UsageError` for zero or less."""
        try:
            span = to_microseconds(seconds, minutes, hours, days, weeks)
        except (ValueError, TypeError) as error:
            raise UsageError(f"wait {key!r}: {error}") from None
        return self._call(
            SleepCall(key=checked_key(key), kind=Kind.SLEEP, site=call_site(), decode=codec.decode, span=span)
        )

    def wait_until(self, key: str, moment: datetime) -> Coroutine[None, None, None]:
        """Waits durably until an instant (naive: UTC); past due, it goes on at once."""
        if not isinstance(moment, datetime):
            raise UsageError(f"wait {key!r}: a datetime is needed, not {type(moment).__name__}")
        until = microseconds(moment)
        return self._call(
            SleepCall(key=checked_key(key), kind=Kind.SLEEP, site=call_site(), decode=codec.decode, until=until)
        )

    def wait_for_event(
        self,
        key: str,
        topic: str,
        timeout: float | None = None,
        match: dict[str, Any] | None = None,
        since: Literal["start", "now"] = "start",
    ) -> Coroutine[None, None, EventPayload]:
        """Waits for the lowest unseen event on `topic` (S4.2).

        Args:
            timeout: seconds.
            match: top-level keys that the event's data must have, with equal values.
            since: ``start``: events since the execution was created count; ``now``: only later ones.

        Raises:
            StepTimeoutError: no event came in time.
        """
        check_topic(key, topic)
        if since not in ("start", "now"):
            raise UsageError(f"wait {key!r}: since is 'start' or 'now', not {since!r}")
        wanted = None
        if match is not None:
            if not isinstance(match, dict):
                raise UsageError(f"wait {key!r}: match is a dict of top-level keys, not {type(match).__name__}")
            wanted = codec.encode(match).text
        return self._call(
            EventCall(
                key=checked_key(key),
                kind=Kind.EVENT,
                site=call_site(),
                decode=decoding.event,
                topic=topic,
                timeout=timeout_span(key, timeout),
                match=wanted,
                since=since,
            )
        )

    def suspend(self, key: str, data: Any = None, timeout: float | None = None) -> Coroutine[None, None, EventPayload]:
        """Asks a person (or a program) and waits for the answer; `timeout` in seconds.

        Raises:
            StepTimeoutError: no answer came in time.
        """
        return self._call(
            SuspendCall(
                key=checked_key(key),
                kind=Kind.SUSPEND,
                site=call_site(),
                decode=decoding.event,
                data=codec.encode(data),
                timeout=timeout_span(key, timeout),
            )
        )

    def resume(self, key: str, execution: ExecutionRef, step_key: str, data: Any = None) -> Coroutine[None, None, None]:
        """Answers the suspend of another execution. A second answer fails with ``AlreadyResumed``."""
        return self._call(
            AnswerCall(
                key=checked_key(key),
                kind=Kind.RESUME,
                site=call_site(),
                decode=codec.decode,
                execution_id=execution_id_of(execution),
                step_key=step_key,
                data=codec.encode(data),
            )
        )

    # ── events ───────────────────────────────────────────────────────────────────────────────────────

    def publish_event(
        self, key: str, topic: str, data: Any = None, event_type: str | None = None
    ) -> Coroutine[None, None, None]:
        """Publishes an event, once, whatever crashes."""
        check_topic(key, topic)
        if topic.startswith("workflow/"):
            raise UsageError(f"topics under 'workflow/' are polos's own ({topic!r})", hint="use publish_workflow_event")
        return self._publish(key, topic, data, event_type)

    def publish_workflow_event(
        self, key: str, data: Any = None, event_type: str | None = None
    ) -> Coroutine[None, None, None]:
        """Publishes an event on the execution tree's own topic."""
        return self._publish(key, None, data, event_type)

    def _publish(self, key: str, topic: str | None, data: Any, event_type: str | None) -> Coroutine[None, None, None]:
        return self._call(
            PublishCall(
                key=checked_key(key),
                kind=Kind.PUBLISH,
                site=call_site(3),
                decode=decoding.nothing,
                topic=topic,
                type=event_type,
                data=codec.encode(data),
            )
        )

    # ── children ─────────────────────────────────────────────────────────────────────────────────────

    def invoke(
        self, key: str, workflow: Workflow | str, payload: Any = None, **options: Unpack[ChildOptions]
    ) -> Coroutine[None, None, ExecutionHandle]:
        """Starts a child and returns its `ExecutionHandle`; await it with `result`."""
        specs = (child_spec(workflow, payload, options),)
        return self._call(
            ChildrenCall(
                key=checked_key(key),
                kind=Kind.INVOKE,
                site=call_site(),
                decode=decoding.handle,
                children=specs,
                waits=False,
                batch=False,
            )
        )

    def invoke_and_wait(
        self, key: str, workflow: Workflow | str, payload: Any = None, **options: Unpack[ChildOptions]
    ) -> Coroutine[None, None, Any]:
        """Starts a child, waits for its end and returns its result.

        Raises:
            ChildFailed, ChildCancelled, ChildTimedOut: it did not complete.
        """
        specs = (child_spec(workflow, payload, options),)
        known = workflow if isinstance(workflow, Workflow) else REGISTRY.get(workflow)
        decode = known.decode_result if known is not None else codec.decode
        return self._call(
            ChildrenCall(
                key=checked_key(key),
                kind=Kind.CHILD,
                site=call_site(),
                decode=decode,
                children=specs,
                waits=True,
                batch=False,
            )
        )

    def batch_invoke(
        self, key: str, inputs: Sequence[BatchWorkflowInput]
    ) -> Coroutine[None, None, list[ExecutionHandle]]:
        """Starts many children at once and returns their handles, in order."""
        return self._call(
            ChildrenCall(
                key=checked_key(key),
                kind=Kind.INVOKE,
                site=call_site(),
                decode=decoding.handles,
                children=_specs(inputs),
                waits=False,
                batch=True,
            )
        )

    def batch_invoke_and_wait(
        self, key: str, inputs: Sequence[BatchWorkflowInput]
    ) -> Coroutine[None, None, list[BatchStepResult]]:
        """Starts many children, waits for all, and returns how each ended, in order; raises for none of them."""
        return self._call(
            ChildrenCall(
                key=checked_key(key),
                kind=Kind.CHILD,
                site=call_site(),
                decode=decoding.batch_results,
                children=_specs(inputs),
                waits=True,
                batch=True,
            )
        )

    def result(self, key: str, handle: ExecutionRef) -> Coroutine[None, None, Any]:
        """Waits for the end of an execution started with `invoke`, and returns its result."""
        return self._call(
            ResultCall(
                key=checked_key(key),
                kind=Kind.CHILD,
                site=call_site(),
                decode=decoding.result_of(handle),
                execution_id=execution_id_of(handle),
            )
        )

    async def own(self, key: str, fn: Callable[..., Awaitable[Any]], *args: Any, result: type[Any]) -> Any:
        """Runs a body of polos's own making around the workflow, such as a hook; its key starts with ``polos:``."""
        call = RunCall(
            key=key, kind=Kind.RUN, site="", decode=lambda stored: typed.decode(stored, result), fn=fn, args=args, kwargs={},
            policy=retry_policy(2, 1.0, 10.0), timeout=None, encode=lambda value: typed.encode(value, result), arguments="",
        )  # fmt: skip
        return await self._outcome(call)

    # ── the call ─────────────────────────────────────────────────────────────────────────────────────

    def _call(self, call: AnyCall) -> Coroutine[None, None, Any]:
        coroutine = self._outcome(call)
        self._run.created(call.key, coroutine)
        return coroutine

    async def _outcome(self, call: AnyCall) -> Any:
        delivered = await self._run.request(call)
        if delivered.error is not None:
            raise delivered.error
        return delivered.value


def _specs(inputs: Sequence[BatchWorkflowInput]) -> tuple[ChildSpec, ...]:
    return tuple(
        child_spec(
            one.id,
            one.payload,
            {
                "initial_state": one.initial_state,
                "queue": one.queue,
                "concurrency_key": one.concurrency_key,
                "run_timeout_seconds": one.run_timeout_seconds,
                "session_id": one.session_id,
                "user_id": one.user_id,
                "idempotency_key": one.idempotency_key,
            },
        )
        for one in inputs
    )
