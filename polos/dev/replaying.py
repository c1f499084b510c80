"""Replays recorded executions against today's code, for `polos replay` (S1.7, S1.8). Writes nothing, runs no step's body."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from polos.authoring.registry import Registry
from polos.clock import Clock, SystemRng, TimeOrderedIds
from polos.core import jsontext
from polos.core.codec import plain
from polos.core.model import Execution, Outcome, Stored
from polos.core.status import TERMINAL, Status
from polos.dev.compat import history_of, unfinished
from polos.errors import UsageError
from polos.ports import ReadStore
from polos.worker.replay import Replayer, Verdict, silence

_OUTCOMES = {Status.COMPLETED: Outcome.COMPLETED, Status.FAILED: Outcome.FAILED, Status.CANCELLED: Outcome.CANCELLED}
_A_DAY = 86_400.0
_ALIKE = 0.6
"""How much two keys must have in common to be taken for one that was renamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Where the code left the history.

    Attributes:
        step: the recorded one; `recorded_site` and `site` are the lines then and now, where they are known.
        asked: what the code asks for instead.
        likely: what has probably been changed.
    """

    message: str
    step: str | None = None
    recorded_site: str = ""
    asked: str | None = None
    site: str = ""
    likely: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one replay.

    Attributes:
        kind: ``matches``: the code asks for all that is recorded, in its place (and ends as it ended, if it has);
            ``diverges``; ``differs``: all outcomes match, and the end is another; ``unknown``.
        delivered: how many of the `recorded` outcomes reached the code.
        changed: steps whose arguments are others today, each with its line: a warning, not an error (S1.8).
        codes: the identities of the code that made the history.
        took_ms: how long it took.
    """

    execution: Execution
    kind: Literal["matches", "diverges", "differs", "unknown"]
    message: str = ""
    divergence: Divergence | None = None
    delivered: int = 0
    recorded: int = 0
    changed: tuple[tuple[str, str], ...] = ()
    codes: tuple[str, ...] = ()
    took_ms: float = 0.0


async def replay(
    store: ReadStore, registry: Registry, executions: Sequence[Execution], clock: Clock, timeout: float = 30.0
) -> AsyncIterator[Report]:
    """Yields a report for each; `timeout`: seconds for one. What replayed code prints is not shown."""
    replayer = Replayer(registry, clock=clock, ids=TimeOrderedIds(), rng=SystemRng())
    for execution in executions:
        history = await history_of(store, execution)
        if history is None:
            continue
        began = clock.monotonic()
        with silence():
            verdict = await replayer.replay(history, timeout)
        took = (clock.monotonic() - began) * 1000
        codes = tuple(dict.fromkeys(entry.code for entry in history.entries if entry.code))
        yield _report(history.execution, verdict, codes, took)


async def debug(
    store: ReadStore, registry: Registry, execution: Execution, clock: Clock, step: str | None
) -> Report | None:
    """Replays an execution and stops in the debugger where it asks for `step`, or for its first one; shows what it prints.

    Returns what became of the replay, or None, if the person has left it before its end.

    Raises:
        UsageError: it never asks for that step.
    """
    from polos.dev.debugging import StepDebugger

    history = await history_of(store, execution)
    assert history is not None, "it was found before"
    debugger = StepDebugger(history, step)
    replayer = Replayer(registry, clock=clock, ids=TimeOrderedIds(), rng=SystemRng())
    began = clock.monotonic()
    replaying = asyncio.ensure_future(replayer.replay(history, _A_DAY, debugger.asked))
    leaving = asyncio.ensure_future(debugger.left.wait())
    await asyncio.wait({replaying, leaving}, return_when=asyncio.FIRST_COMPLETED)
    leaving.cancel()
    if debugger.left.is_set():
        replaying.cancel()
        return None
    verdict = replaying.result()
    if not debugger.has_stopped:
        asked = ", ".join(dict.fromkeys(debugger.keys)) or "none"
        raise UsageError(
            f"execution {execution.number} never asks for {step or 'a step'!r}", hint=f"it asks for: {asked}"
        )
    return _report(history.execution, verdict, (), (clock.monotonic() - began) * 1000)


async def all_unfinished(store: ReadStore) -> list[Execution]:
    """Returns every execution that has not ended, newest first."""
    return sorted([one async for one in unfinished(store)], key=lambda one: one.number, reverse=True)


def _report(execution: Execution, verdict: Verdict, codes: tuple[str, ...], took: float) -> Report:
    kind: Literal["matches", "diverges", "differs", "unknown"] = "unknown"
    message, divergence = verdict.message, None
    if verdict.kind == "diverges":
        kind, divergence = "diverges", _divergence(verdict)
    elif verdict.kind == "continues":
        message = _other_end(execution, verdict)
        kind = "differs" if message else "matches"
    return Report(
        execution=execution, kind=kind, message=message, divergence=divergence, delivered=verdict.delivered,
        recorded=verdict.recorded, changed=verdict.changed, codes=codes, took_ms=took,
    )  # fmt: skip


def _other_end(execution: Execution, verdict: Verdict) -> str:
    """Returns how today's end differs from the recorded one; empty: it does not, or there was none yet."""
    if execution.status not in TERMINAL or execution.status is Status.CANCELLED:
        return ""
    if execution.failure is not None and execution.failure.type_name == "WorkflowTimeoutError":
        return ""  # its time is over however the code would go on
    if verdict.ends is None:
        # Its last outcomes may have been those of steps that never ended; a failed one may be cut where it failed.
        return f"it {execution.status.value} then; today's code goes on after what is recorded"
    if verdict.ends is not _OUTCOMES[execution.status]:
        return f"it {execution.status.value} then, and would be {verdict.ends.value} now"
    was, is_now = execution.result, verdict.value
    if execution.status is Status.COMPLETED and was and is_now and _sorted(was) != _sorted(is_now):
        then, now = _short(plain(was)), _short(plain(is_now))
        return f"its result was {then}, and would be {'of other types' if then == now else now} now"
    if execution.failure is not None and verdict.failure is not None:
        then_type, now_type = execution.failure.type_name, verdict.failure.type_name
        if then_type != now_type:
            return f"it failed with {then_type} then, and would with {now_type} now"
    return ""


def _sorted(value: Stored) -> tuple[str, str | None]:
    """Returns a value as text that tells ``1`` from ``true``, whatever the order of its fields, and its types."""
    return json.dumps(plain(value), sort_keys=True), value.shape


def _short(value: object) -> str:
    text = jsontext.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _divergence(verdict: Verdict) -> Divergence:
    told = orjson.loads(verdict.reason)
    step, asked = told.get("step"), told.get("asked")
    return Divergence(
        message=str(told.get("message", "")), step=step, recorded_site=told.get("recorded_site") or "", asked=asked,
        site=told.get("site") or "", hint=told.get("hint") or "", likely=_likely(str(told.get("kind")), step, asked),
    )  # fmt: skip


def _likely(kind: str, step: str | None, asked: str | None) -> str:
    if kind == "stored_value_mismatch":
        return "the type of its value was changed"
    if step is None:
        return ""
    if asked is None:
        return f"the step {step!r} was removed, or comes in another branch now"
    if difflib.SequenceMatcher(None, step, asked).ratio() >= _ALIKE:
        return f"{step!r} was renamed to {asked!r}"
    return f"{asked!r} was put before {step!r}, or {step!r} was removed or renamed"
