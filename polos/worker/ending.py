"""How a pass ends once its function has: what is recorded, or why it cannot be (S2.6, S1.7). Writes nothing."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from polos.core.delivery import Delivery
from polos.core.failure import record
from polos.core.model import Failure, Outcome, Stored
from polos.core.ops import Block, Finish
from polos.errors import PayloadTooLarge, StepExecutionError, UsageError
from polos.worker import divergence
from polos.worker.frames import is_ours
from polos.worker.request import Request


def end_of(
    main: asyncio.Task[Any],
    delivery: Delivery,
    requests: Iterable[Request],
    created: Mapping[str, Any],
    encode_output: Callable[[Any], Stored],
) -> Finish | Block:
    """Returns the last operation of a pass whose main task is done, at the rest after it.

    Args:
        created: the step calls that were made and not yet awaited, by key.
    """
    error: BaseException | None
    error = asyncio.CancelledError("the workflow cancelled itself") if main.cancelled() else main.exception()
    unrequested = delivery.never_requested()
    if unrequested:
        return Block(reason=divergence.ended_early(unrequested, error))
    if error is not None:
        return Finish(outcome=Outcome.FAILED, failure=record(error, is_ours), cause_key=_cause(error, delivery.seq_of))
    left = _left_open(delivery, requests, created)
    if left is not None:
        return Finish(outcome=Outcome.FAILED, failure=left)
    try:
        return Finish(outcome=Outcome.COMPLETED, value=encode_output(main.result()))
    except PayloadTooLarge as refused:
        failure = Failure(type_name="PayloadTooLarge", message=f"the workflow's result: {refused.message}")
        return Finish(outcome=Outcome.FAILED, failure=failure)
    except UsageError as refused:
        failure = Failure(type_name="UnserializableResult", message=f"the workflow's result: {refused.message}")
        return Finish(outcome=Outcome.FAILED, failure=failure)
    except Exception as broken:  # what the value's own code raises: no fault of the engine
        said = record(broken, is_ours)
        message = f"the workflow's result could not be read: {said.type_name}: {said.message}"
        return Finish(outcome=Outcome.FAILED, failure=replace(said, type_name="UnserializableResult", message=message))


def _left_open(delivery: Delivery, requests: Iterable[Request], created: Mapping[str, Any]) -> Failure | None:
    for key, coroutine in created.items():
        if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
            return divergence.unawaited(key, "its call was never awaited")
    for request in requests:
        if not (request.is_wait or request.cancelled or delivery.is_delivered(request.key)):
            return divergence.unawaited(request.key, f"its outcome was not awaited ({request.site})")
    return None


def _cause(error: BaseException, seq_of: Callable[[str], int]) -> str | None:
    """Returns the key of the step whose error is in the chain that ended the run (S9.4): of several, the one that failed
    first, by which a retry takes back the others, too."""
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        link = todo.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        if isinstance(link, StepExecutionError):
            return link.step_key or None
        if isinstance(link, BaseExceptionGroup):
            steps = [step for one in link.exceptions if (step := _cause(one, seq_of)) is not None]
            if steps:
                return min(steps, key=seq_of)
        todo.append(link.__cause__ or link.__context__)
    return None
