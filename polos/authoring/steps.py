"""`ctx.step`: the calls that are recorded. Builds each call and hands it to the run; decides no outcome."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar, overload
from zlib import crc32

import orjson

from polos.authoring import typed
from polos.authoring.children import ExecutionRef, child_spec, execution_id_of
from polos.authoring.payload import (
    BatchStepResult,
    BatchWorkflowInput,
    EventPayload,
    event_payload,
    microseconds,
)
from polos.authoring.workflow import Workflow
from polos.core import codec
from polos.core.durations import SECOND, to_microseconds
from polos.core.model import Kind, Stored
from polos.core.retry import RetryPolicy
from polos.errors import UsageError
from polos.ports import (
    AnswerCall,
    AnyCall,
    ChildrenCall,
    EventCall,
    PublishCall,
    ResultCall,
    RunCall,
    RunPort,
    SleepCall,
    SuspendCall,
    ValueCall,
)

T = TypeVar("T")
KEY_LIMIT = 512
_OPTIONS = frozenset({"key", "fn", "max_retries", "base_delay", "max_delay", "timeout"})


class Steps:
    """The steps of one execution. Every call is identified by its key, unique within the execution (S1.5)."""

    __slots__ = ("_run",)

    def __init__(self, run: RunPort) -> None:
        self._run = run

    # ── bodies ───────────────────────────────────────────────────────────────────────────────────────

    @overload
    def run(
        self, key: str, fn: Callable[..., Awaitable[T]], *args: Any, max_retries: int = 2, base_delay: float = 1.0,
        max_delay: float = 10.0, timeout: float | None = None, **kwargs: Any,
    ) -> Coroutine[Any, Any, T]: ...  # fmt: skip
    @overload
    def run(
        self, key: str, fn: Callable[..., T], *args: Any, max_retries: int = 2, base_delay: float = 1.0,
        max_delay: float = 10.0, timeout: float | None = None, **kwargs: Any,
    ) -> Coroutine[Any, Any, T]: ...  # fmt: skip
    def run(
        self, key: str, fn: Callable[..., Any], *args: Any, max_retries: int = 2, base_delay: float = 1.0,
        max_delay: float = 10.0, timeout: float | None = None, **kwargs: Any,
    ) -> Coroutine[Any, Any, Any]:  # fmt: skip
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
        _check_callable(key, fn)
        if isinstance(fn, Workflow):
            raise UsageError(
                f"step {key!r} was given a workflow",
                hint=f"ctx.step.invoke_and_wait({key!r}, {fn.__name__}, payload)",
            )
        _refuse_option_names(fn, key)
        try:
            policy = RetryPolicy(max_retries=max_retries, base_delay=base_delay, max_delay=max_delay)
            if timeout is not None and not timeout > 0:
                raise ValueError("timeout is seconds above 0")
        except (ValueError, TypeError) as error:
            raise UsageError(f"step {key!r}: {error}") from None
        annotation = typed.return_annotation(fn)
        call = RunCall(
            key=_key(key), kind=Kind.RUN, site=_site(), decode=lambda stored: typed.decode(stored, annotation), fn=fn,
            args=args, kwargs=kwargs, policy=policy, timeout=timeout,
            encode=lambda value: typed.encode(value, annotation), arguments=_digest(args, kwargs),
        )  # fmt: skip
        return self._call(call)

    # ── values ───────────────────────────────────────────────────────────────────────────────────────

    def uuid(self, key: str) -> Coroutine[Any, Any, str]:
        """Returns a new UUID, the same on every replay."""
        return self._value(key, lambda clock, ids, rng: _uuid(rng.random(), rng.random(), rng.random(), rng.random()))

    def now(self, key: str) -> Coroutine[Any, Any, int]:
        """Returns milliseconds since the epoch, the same on every replay."""
        return self._value(key, lambda clock, ids, rng: clock.now() // 1000)

    def random(self, key: str) -> Coroutine[Any, Any, float]:
        """Returns a float in [0, 1), the same on every replay."""
        return self._value(key, lambda clock, ids, rng: rng.random())

    def _value(self, key: str, make: Callable[[Any, Any, Any], Any]) -> Coroutine[Any, Any, Any]:
        return self._call(ValueCall(key=_key(key), kind=Kind.VALUE, site=_site(3), decode=codec.decode, make=make))

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
    ) -> Coroutine[Any, Any, None]:
        """Waits durably for a span of time; costs nothing while it waits. Raises `UsageError` for zero or less."""
        try:
            span = to_microseconds(seconds, minutes, hours, days, weeks)
        except (ValueError, TypeError) as error:
            raise UsageError(f"wait {key!r}: {error}") from None
        return self._call(SleepCall(key=_key(key), kind=Kind.SLEEP, site=_site(), decode=codec.decode, span=span))

    def wait_until(self, key: str, moment: datetime) -> Coroutine[Any, Any, None]:
        """Waits durably until an instant (naive: UTC); past due, it goes on at once."""
        if not isinstance(moment, datetime):
            raise UsageError(f"wait {key!r}: a datetime is needed, not {type(moment).__name__}")
        until = microseconds(moment)
        return self._call(SleepCall(key=_key(key), kind=Kind.SLEEP, site=_site(), decode=codec.decode, until=until))

    def wait_for_event(
        self, key: str, topic: str, timeout: float | None = None, match: dict[str, Any] | None = None,
        since: Literal["start", "now"] = "start",
    ) -> Coroutine[Any, Any, EventPayload]:  # fmt: skip
        """Waits for the lowest unseen event on `topic` (S4.2).

        Args:
            timeout: seconds.
            match: top-level keys that the event's data must have, with equal values.
            since: ``start``: events since the execution was created count; ``now``: only later ones.

        Raises:
            StepTimeoutError: no event came in time.
        """
        if not topic or not isinstance(topic, str):
            raise UsageError(f"wait {key!r}: a topic is needed")
        if since not in ("start", "now"):
            raise UsageError(f"wait {key!r}: since is 'start' or 'now', not {since!r}")
        wanted = None
        if match is not None:
            if not isinstance(match, dict):
                raise UsageError(f"wait {key!r}: match is a dict of top-level keys, not {type(match).__name__}")
            wanted = codec.encode(match).text
        return self._call(
            EventCall(key=_key(key), kind=Kind.EVENT, site=_site(), decode=_decode_event, topic=topic,
                      timeout=_span(key, timeout), match=wanted, since=since)
        )  # fmt: skip

    def suspend(self, key: str, data: Any = None, timeout: float | None = None) -> Coroutine[Any, Any, EventPayload]:
        """Asks a person (or a program) and waits for the answer; `timeout` in seconds.

        Raises:
            StepTimeoutError: no answer came in time.
        """
        return self._call(
            SuspendCall(key=_key(key), kind=Kind.SUSPEND, site=_site(), decode=_decode_event, data=codec.encode(data),
                        timeout=_span(key, timeout))
        )  # fmt: skip

    def resume(self, key: str, execution: ExecutionRef, step_key: str, data: Any = None) -> Coroutine[Any, Any, None]:
        """Answers the suspend of another execution. A second answer fails with ``AlreadyResumed``."""
        return self._call(
            AnswerCall(key=_key(key), kind=Kind.RESUME, site=_site(), decode=codec.decode,
                       execution_id=execution_id_of(execution), step_key=step_key, data=codec.encode(data))
        )  # fmt: skip

    # ── events ───────────────────────────────────────────────────────────────────────────────────────

    def publish_event(
        self, key: str, topic: str, data: Any = None, event_type: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Publishes an event, once, whatever crashes."""
        if topic.startswith("workflow/"):
            raise UsageError(f"topics under 'workflow/' are polos's own ({topic!r})", hint="use publish_workflow_event")
        return self._publish(key, topic, data, event_type)

    def publish_workflow_event(
        self, key: str, data: Any = None, event_type: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Publishes an event on the execution tree's own topic."""
        return self._publish(key, None, data, event_type)

    def _publish(self, key: str, topic: str | None, data: Any, event_type: str | None) -> Coroutine[Any, Any, None]:
        return self._call(
            PublishCall(key=_key(key), kind=Kind.PUBLISH, site=_site(3), decode=_nothing, topic=topic, type=event_type,
                        data=codec.encode(data))
        )  # fmt: skip

    # ── children ─────────────────────────────────────────────────────────────────────────────────────

    def invoke(
        self, key: str, workflow: Workflow | str, payload: Any = None, **options: Any
    ) -> Coroutine[Any, Any, Any]:
        """Starts a child and returns its `ExecutionHandle`; await it with `result`."""
        specs = (child_spec(workflow, payload, **options),)
        return self._call(
            ChildrenCall(key=_key(key), kind=Kind.INVOKE, site=_site(), decode=_decode_handle, children=specs, waits=False,
                         batch=False)
        )  # fmt: skip

    def invoke_and_wait(
        self, key: str, workflow: Workflow | str, payload: Any = None, **options: Any
    ) -> Coroutine[Any, Any, Any]:
        """Starts a child, waits for its end and returns its result.

        Raises:
            ChildFailed, ChildCancelled, ChildTimedOut: it did not complete.
        """
        specs = (child_spec(workflow, payload, **options),)
        decode = workflow.decode_result if isinstance(workflow, Workflow) else codec.decode
        return self._call(
            ChildrenCall(
                key=_key(key),
                kind=Kind.CHILD,
                site=_site(),
                decode=decode,
                children=specs,
                waits=True,
                batch=False,
            )
        )

    def batch_invoke(self, key: str, inputs: Sequence[BatchWorkflowInput]) -> Coroutine[Any, Any, list[Any]]:
        """Starts many children at once and returns their handles, in order."""
        return self._call(
            ChildrenCall(key=_key(key), kind=Kind.INVOKE, site=_site(), decode=_decode_handles, children=_specs(inputs),
                         waits=False, batch=True)
        )  # fmt: skip

    def batch_invoke_and_wait(
        self, key: str, inputs: Sequence[BatchWorkflowInput]
    ) -> Coroutine[Any, Any, list[BatchStepResult]]:
        """Starts many children, waits for all, and returns how each ended, in order; raises for none of them."""
        return self._call(
            ChildrenCall(key=_key(key), kind=Kind.CHILD, site=_site(), decode=_decode_batch, children=_specs(inputs),
                         waits=True, batch=True)
        )  # fmt: skip

    def result(self, key: str, handle: ExecutionRef) -> Coroutine[Any, Any, Any]:
        """Waits for the end of an execution started with `invoke`, and returns its result."""
        return self._call(
            ResultCall(key=_key(key), kind=Kind.CHILD, site=_site(), decode=_decode_result_of(handle),
                       execution_id=execution_id_of(handle))
        )  # fmt: skip

    # ── the call ─────────────────────────────────────────────────────────────────────────────────────

    def _call(self, call: AnyCall) -> Coroutine[Any, Any, Any]:
        coroutine = self._outcome(call)
        self._run.created(call.key, coroutine)
        return coroutine

    async def _outcome(self, call: AnyCall) -> Any:
        delivered = await self._run.request(call)
        if delivered.error is not None:
            raise delivered.error
        return delivered.value


def _key(key: str) -> str:
    if not isinstance(key, str) or not key:
        raise UsageError(f"a step's key is non-empty text, not {key!r}")
    if len(key) > KEY_LIMIT:
        raise UsageError(f"a step's key has at most {KEY_LIMIT} characters; this one has {len(key)}: {key[:60]!r}…")
    if key.startswith("polos:"):
        raise UsageError(f"keys that start with 'polos:' are polos's own ({key!r})")
    return key


_sites: dict[str, str] = {}


def _site(depth: int = 2) -> str:
    """Returns ``file:line`` of the caller's caller; files under the working folder by their relative name."""
    frame = sys._getframe(depth)
    name = frame.f_code.co_filename
    short = _sites.get(name)
    if short is None:
        try:
            short = str(Path(name).resolve().relative_to(Path.cwd()))
        except (ValueError, OSError):
            short = "/".join(Path(name).parts[-2:])
        _sites[name] = short
    return f"{short}:{frame.f_lineno}"


def _digest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Returns a digest of a step's arguments, to be compared, never decoded (S1.8)."""
    try:
        data = orjson.dumps([args, kwargs] if kwargs else args, default=_named, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return ""
    return f"{crc32(data):08x}"


def _named(value: Any) -> Any:
    dump = getattr(value, "__pydantic_serializer__", None)
    if dump is not None and not isinstance(value, type):
        try:
            return dump.to_python(value, mode="json")
        except Exception:  # a model that cannot be dumped is told by its type alone
            return type(value).__qualname__
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return getattr(value, "__qualname__", None) or type(value).__qualname__


def _check_callable(key: str, fn: object) -> None:
    if callable(fn):
        return
    what = "a coroutine" if inspect.iscoroutine(fn) else type(fn).__name__
    if inspect.iscoroutine(fn):
        fn.close()
    raise UsageError(
        f"step {key!r} was given {what}, not a function",
        hint=f"ctx.step.run({key!r}, fn, arg): pass fn without calling it",
    )


def _refuse_option_names(fn: Callable[..., Any], key: str) -> None:
    code = getattr(typed.unwrap(fn), "__code__", None)
    if code is None or hasattr(fn, "func"):
        return
    clash = _OPTIONS.intersection(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) - {
        "key",
        "fn",
    }
    if clash:
        name = sorted(clash)[0]
        raise UsageError(
            f"step {key!r}: the function has a parameter {name!r}, which is an option of ctx.step.run",
            hint=f"bind it first: functools.partial({getattr(fn, '__name__', 'fn')}, {name}=...)",
        )


def _uuid(*dice: float) -> str:
    import uuid

    number = 0
    for die in dice:
        number = (number << 32) | int(die * 2**32)
    return str(uuid.UUID(int=number, version=4))


def _span(key: str, timeout: float | None) -> int | None:
    if timeout is None:
        return None
    if not timeout > 0:
        raise UsageError(f"wait {key!r}: a timeout is seconds above 0, not {timeout!r}")
    return max(1, round(timeout * SECOND))


def _nothing(stored: Stored) -> None:
    return None


def _decode_event(stored: Stored) -> EventPayload:
    return event_payload(codec.decode(stored))


def _decode_handle(stored: Stored) -> Any:
    from polos.authoring.children import handle_from

    return handle_from(codec.plain(stored))


def _decode_handles(stored: Stored) -> list[Any]:
    from polos.authoring.children import handle_from

    return [handle_from(fields) for fields in codec.plain(stored)]


def _decode_batch(stored: Stored) -> list[BatchStepResult]:
    return [BatchStepResult(f["workflow_id"], f["success"], f["result"], f["error"]) for f in codec.decode(stored)]


def _decode_result_of(handle: ExecutionRef) -> Callable[[Stored], Any]:
    from polos.authoring.registry import REGISTRY

    known = REGISTRY.get(getattr(handle, "workflow_id", "") or "")
    return known.decode_result if known is not None else codec.decode


def _specs(inputs: Sequence[BatchWorkflowInput]) -> tuple[Any, ...]:
    return tuple(
        child_spec(i.id, i.payload, initial_state=i.initial_state, queue=i.queue, concurrency_key=i.concurrency_key,
                   run_timeout_seconds=i.run_timeout_seconds, session_id=i.session_id, user_id=i.user_id,
                   idempotency_key=i.idempotency_key)
        for i in inputs
    )  # fmt: skip
