"""One run of a workflow for `polos chaos`, in a process of its own that dies where it is told to. Compares nothing.

Started as ``python -m polos.testing.chaos_run`` with an `Order` as JSON on stdin. What its bodies do is noted in a ledger
file, line by line, which outlives it; where it does not die, it writes what became of the run to a file.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from polos.authoring.current import CURRENT_STEP, StepInfo
from polos.authoring.payload import instant, microseconds
from polos.authoring.registry import REGISTRY
from polos.calls import RunCall, ValueCall
from polos.clock import SystemClock, SystemRng, TimeOrderedIds
from polos.core.model import Entry, Execution, Kind, Outcome, PendingWait
from polos.core.status import TERMINAL, Status
from polos.testing.env import PolosEnv
from polos.testing.executions import TestedExecution
from polos.testing.faults import Faults

LONGEST = 400 * 86_400
"""Seconds of virtual time after which a run is taken for stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a run is to be.

    Attributes:
        workflow: as people name it; `root`: the project's folder; `folder`: where the database and the ledger are.
        start: the virtual instant at which it begins, in microseconds.
        crash: (workflow id, step, ``before``, ``after`` or ``waiting``): where the process dies.
        events: (topic, data), sent when an execution waits on the topic; `answers`: by step; `mocks`: by step.
        replays: how often the history is replayed at the end.
    """

    root: str
    workflow: str
    payload: Any
    folder: str
    start: int
    crash: Sequence[str] | None = None
    events: Sequence[Sequence[Any]] = ()
    answers: dict[str, Any] = field(default_factory=dict)
    mocks: dict[str, Any] = field(default_factory=dict)
    replays: int = 0

    @property
    def ledger(self) -> Path:
        return Path(self.folder) / "ledger.jsonl"

    @property
    def outcome(self) -> Path:
        return Path(self.folder) / "outcome.json"


class _NotedStep(StepInfo):
    """Notes that a body asks for its idempotency key."""

    __slots__ = ("_note",)

    def __init__(self, step: StepInfo, note: Any) -> None:
        super().__init__(step.execution_id, step.step_key, step.attempt, step._life)
        self._note = note

    @property
    def idempotency_key(self) -> str:
        self._note()
        return super().idempotency_key


class _Chaos(Faults):
    """Notes each body, and dies for real."""

    def __init__(self, order: Order) -> None:
        super().__init__(lambda: None)
        self._order = order
        self._ledger = os.open(order.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.now: Callable[[], int] = lambda: order.start
        for key, value in order.mocks.items():
            self.mock(key, value, None)

    def note(self, **line: Any) -> None:
        """Writes a line that outlives the process."""
        os.write(self._ledger, orjson.dumps(line) + b"\n")

    def die(self) -> None:
        """Ends the process as a crash does."""
        self.note(died=self.now())
        os.kill(os.getpid(), signal.SIGKILL)

    def interpose(self, execution: Execution, call: RunCall | ValueCall) -> RunCall | ValueCall:
        """Returns the call with its body watched; values of chance are the same in each run."""
        if isinstance(call, ValueCall):
            make, seed = call.make, f"{execution.workflow_id}/{execution.parent_key}/{call.key}"
            return replace(call, make=lambda clock, ids, rng: make(clock, ids, SystemRng(seed)))
        return replace(call, fn=functools.partial(self._watched, execution, call), args=(), kwargs={})

    async def _watched(self, execution: Execution, call: RunCall) -> Any:
        here = [execution.workflow_id, call.key]
        if self._order.crash and [*here, "before"] == list(self._order.crash):
            self.die()
        self.note(body=here, execution=execution.number)
        step = CURRENT_STEP.get()
        if step is not None:
            CURRENT_STEP.set(_NotedStep(step, lambda: self.note(asked=here)))
        result = await self.run_body(call)
        if self._order.crash and [*here, "after"] == list(self._order.crash):
            self.die()
        return result


def main(order: Order) -> None:
    """Runs to the end, or to the crash."""
    from polos.local.project import load_environment, workflow_named
    from polos.settings import load_settings

    settings = load_settings(Path(order.root))
    load_environment(settings)
    workflow = workflow_named(settings, order.workflow)
    chaos = _Chaos(order)
    with PolosEnv(REGISTRY, start=instant(order.start), folder=Path(order.folder), faults=chaos) as env:
        chaos.now = lambda: microseconds(env.now)
        known = env.executions()
        root = known[0] if known else env.start(workflow, order.payload)
        env.advance(to=env.now, schedules=False)  # one that goes on comes to rest first
        stuck = _drive(env, root, order, chaos)
        tree = _tree(env, root)
    told = {"stuck": stuck, "executions": [_told(path, one, entries) for path, one, entries in tree]}
    if order.replays and not stuck:
        told["replays"] = asyncio.run(_replayed(order, [one for _, one, _ in tree]))
    order.outcome.write_bytes(orjson.dumps(told))


def _drive(env: PolosEnv, root: TestedExecution, order: Order, chaos: _Chaos) -> str:
    """Lets the workflow go on until it ends, gives it what it waits for; returns why it does not go on, if it does not."""
    sent, passed = 0, 1
    while not _is_over(root):
        waits = [(one, wait) for one in env.executions() if not _is_over(one) for wait in one.waits]
        if order.crash and any([one.workflow_id, wait.key, "waiting"] == list(order.crash) for one, wait in waits):
            chaos.die()
        answered = [(one, wait) for one, wait in waits if wait.kind is Kind.SUSPEND and wait.key in order.answers]
        topics = {_topic(wait) for _, wait in waits if wait.kind is Kind.EVENT}
        due = [wait.deadline for _, wait in waits if wait.deadline is not None]
        due += [one.record.available_at for one in env.executions() if one.status == "queued"]
        if answered:
            env.resume(answered[0][0], answered[0][1].key, order.answers[answered[0][1].key])
        elif any(topic in topics for topic, _ in order.events[sent:]):
            sent = next(i for i, (topic, _) in enumerate(order.events) if i >= sent and topic in topics) + 1
            topic, data = order.events[sent - 1]
            env.call(lambda client: client.publish(topic, data, event_id=f"chaos-{sent}"))  # noqa: B023  # it runs now
        elif any(at > chaos.now() for at in due):
            env.advance(to=instant(min(at for at in due if at > chaos.now())), schedules=False)
        elif any(one.status == "running" for one in env.executions()) and passed < LONGEST:
            env.advance(seconds=passed, schedules=False)  # a body sleeps
            passed *= 2
        else:
            return env.explain(root.id)
    return ""


def _is_over(one: TestedExecution) -> bool:
    status = Status(one.status)
    return status in TERMINAL or status is Status.BLOCKED


def _topic(wait: PendingWait) -> str:
    return str((orjson.loads(wait.request or "{}") or {}).get("topic", ""))


def _tree(env: PolosEnv, root: TestedExecution) -> list[tuple[str, Execution, list[Entry]]]:
    """Returns the executions of the tree, each with a path that is the same in each run."""
    found = [("", root)]
    for path, one in found:
        counts: dict[str, int] = {}
        for child in one.children:
            key = child.record.parent_key or ""
            counts[key] = counts.get(key, 0) + 1
            found.append((f"{path}/{key}#{counts[key]}", child))
    return [(path, one.record, one.journal) for path, one in found]


def _told(path: str, one: Execution, entries: Sequence[Entry]) -> dict[str, Any]:
    failure = one.failure
    reason = orjson.loads(one.blocked_reason) if one.blocked_reason else None
    return {
        "path": path, "workflow": one.workflow_id, "status": one.status,
        "result": None if one.result is None else [one.result.text, one.result.shape],
        "error": f"{failure.type_name}: {failure.message}" if failure else reason and reason.get("message"),
        "steps": {
            entry.key: {"kind": entry.kind, "outcome": entry.outcome,
                        "value": None if entry.value is None else _comparable(entry),
                        "error": entry.failure and entry.failure.type_name}
            for entry in entries if not entry.key.startswith("polos:")
        },
    }  # fmt: skip


def _comparable(entry: Entry) -> Any:
    """Returns a value without what is another one in each run: ids of executions and events, and their times."""
    assert entry.value is not None
    value = orjson.loads(entry.value.text)
    if entry.kind in (Kind.EVENT, Kind.SUSPEND) and isinstance(value, dict):
        return value.get("data")
    return None if entry.kind is Kind.INVOKE else value


async def _replayed(order: Order, executions: Sequence[Execution]) -> list[str]:
    """Replays each history some times; returns what was wrong."""
    from polos.store import open_reader
    from polos.worker.replay import History, Replayer, silence

    wrong: dict[str, None] = {}
    reader = open_reader(f"sqlite:///{order.folder}/polos.db")
    replayer = Replayer(REGISTRY, clock=SystemClock(), ids=TimeOrderedIds(), rng=SystemRng())
    try:
        for one in executions:
            history = History(
                execution=one, entries=await reader.journal(one.id), attempts=await reader.attempts(one.id)
            )
            for _ in range(order.replays):
                with silence():
                    verdict = await replayer.replay(history)
                if verdict.kind == "diverges":
                    wrong[f"a replay of {one.workflow_id!r} leaves its history: {verdict.message}"] = None
                elif verdict.ends is Outcome.COMPLETED and one.result is not None and verdict.value != one.result:
                    wrong[f"a replay of {one.workflow_id!r} gives another result than the run"] = None
    finally:
        await reader.close()
    return list(wrong)


if __name__ == "__main__":
    main(Order(**orjson.loads(sys.stdin.buffer.read())))
