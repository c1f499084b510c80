"""Crashes a workflow at each of its steps and waits, and compares what comes of it with an undisturbed run (`polos chaos`).

Each run is a process of its own on a database of its own; time is virtual, the bodies and the crashes are real.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import orjson

from polos.errors import UsageError
from polos.testing.chaos_run import Order

START = 1_893_456_000_000_000
"""2030-01-01 UTC, in microseconds."""
REPLAYS = 20
WAITS = ("sleep", "event", "suspend", "child")
When = Literal["before", "after", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be crashed; as of `Order`. `timeout`: seconds for one process."""

    root: Path
    workflow: str
    payload: Any = None
    events: Sequence[tuple[str, Any]] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)
    mocks: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What became of one run, over all of its processes.

    Attributes:
        executions: the tree, by path: status, result, error, steps.
        bodies: how often the body of each (workflow, step) began; `asked`: those that read their idempotency key.
        replays: what was wrong with replays of its history.
        stuck: why it does not go on by itself; empty: it has ended.
        crashed: the process died where it was told to.
    """

    executions: Mapping[str, Mapping[str, Any]]
    bodies: Counter[tuple[str, str]]
    asked: frozenset[tuple[str, str]]
    replays: Sequence[str] = ()
    stuck: str = ""
    crashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """The run to compare with, and what is wrong with it already.

    Attributes:
        findings: what makes it another one each time, by itself.
        unstable: (path, step) whose values are others in each run, which are not compared.
        crashes: where it will be crashed: (workflow, step, when).
    """

    ran: Ran
    findings: Sequence[str]
    unstable: frozenset[tuple[str, str]]
    crashes: Sequence[tuple[str, str, When]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """What a crash led to.

    Attributes:
        differences: from the undisturbed run: empty, and all is well.
        repeated: (workflow, step, how often its body began, whether it reads its idempotency key).
        reached: False: the run did not come there.
    """

    workflow: str
    step: str
    when: When
    differences: Sequence[str] = ()
    repeated: Sequence[tuple[str, str, int, bool]] = ()
    reached: bool = True


def undisturbed(plan: Plan) -> Undisturbed:
    """Runs it twice with no crash, and replays what was recorded.

    Raises:
        UsageError: it cannot be run, or does not end by itself.
    """
    first, second = _run(plan, None), _run(plan, None, replays=REPLAYS)
    if first.stuck:
        raise UsageError(
            f"undisturbed, it does not come to its end: {first.stuck}",
            hint="give it what it waits for: --event TOPIC=JSON, --answer STEP=JSON",
        )
    unstable = frozenset(
        (path, key)
        for path, one in first.executions.items() for key, step in one["steps"].items()
        if path in second.executions and second.executions[path]["steps"].get(key, step) != step
    )  # fmt: skip
    findings = list(second.replays)
    if not unstable and (found := _differences(first, second, frozenset())):
        findings.append(
            f"two runs with the same outcomes of all steps differ: {found[0]}; what is outside steps is by chance"
        )
    crashes: list[tuple[str, str, When]] = []
    for one in first.executions.values():
        for key, step in one["steps"].items():
            if step["kind"] == "run":
                crashes += [(one["workflow"], key, "before"), (one["workflow"], key, "after")]
            elif step["kind"] in WAITS:
                crashes.append((one["workflow"], key, "waiting"))
    return Undisturbed(ran=first, findings=findings, unstable=unstable, crashes=list(dict.fromkeys(crashes)))


def crashes(plan: Plan, base: Undisturbed) -> Iterator[Crashed]:
    """Yields what each crash led to."""
    for workflow, step, when in base.crashes:
        ran = _run(plan, (workflow, step, when))
        differences = [f"it does not come to its end: {ran.stuck}"] if ran.stuck else []
        if not differences:
            differences = _differences(base.ran, ran, base.unstable)
        repeated = [
            (name, key, times, (name, key) in base.ran.asked | ran.asked)
            for (name, key), times in sorted(ran.bodies.items()) if times > base.ran.bodies[name, key]
        ]  # fmt: skip
        yield Crashed(
            workflow=workflow, step=step, when=when, differences=differences, repeated=repeated, reached=ran.crashed
        )


def _differences(first: Ran, second: Ran, unstable: frozenset[tuple[str, str]]) -> list[str]:
    """Returns how a run differs from another one; values that are others each time, and what came of them, left out."""
    found = []
    for path in sorted({*first.executions, *second.executions}):
        name = path or "the workflow"
        one, other = first.executions.get(path), second.executions.get(path)
        if one is None or other is None:
            found.append(f"{name} was {'not started' if other is None else 'started'} this time")
            continue
        if one["status"] != other["status"]:
            why = f" ({other['error']})" if other["error"] else ""
            found.append(f"{name} is {other['status']}{why}, not {one['status']}")
        for key in dict.fromkeys([*one["steps"], *other["steps"]]):
            before, now = one["steps"].get(key), other["steps"].get(key)
            if before == now or (path, key) in unstable:
                continue
            found.append(f"the step {key!r} {_other(before, now)}")
        if not unstable and one["result"] != other["result"]:
            found.append(f"{name} gives {_short(other['result'])}, not {_short(one['result'])}")
    return found


def _other(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    if before is None:
        return "was run this time"
    if now is None:
        return "was not run this time"
    if before["outcome"] != now["outcome"]:
        return f"is {now['outcome']}, not {before['outcome']}"
    return (
        f"gave {_short([orjson.dumps(now['value']).decode()])}, not {_short([orjson.dumps(before['value']).decode()])}"
    )


def _short(result: Sequence[Any] | None) -> str:
    if result is None:
        return "nothing"
    text = str(result[0])
    return text if len(text) <= 60 else f"{text[:57]}..."


def _run(plan: Plan, crash: tuple[str, str, When] | None, replays: int = 0) -> Ran:
    """Runs it in processes of its own: one, and where that dies, a second that goes on."""
    folder = Path(tempfile.mkdtemp(prefix="polos-chaos-"))
    order = Order(
        root=str(plan.root), workflow=plan.workflow, payload=plan.payload, folder=str(folder), start=START, crash=crash,
        events=plan.events, answers=dict(plan.answers), mocks=dict(plan.mocks), replays=replays,
    )  # fmt: skip
    try:
        _process(order, plan)
        died = [line["died"] for line in _ledger(order) if "died" in line]
        if died:
            _process(replace(order, crash=None, start=died[0]), plan)
        told = orjson.loads(order.outcome.read_bytes())
        lines = _ledger(order)
        return Ran(
            executions={one["path"]: one for one in told["executions"]},
            bodies=Counter((line["body"][0], line["body"][1]) for line in lines if "body" in line),
            asked=frozenset((line["asked"][0], line["asked"][1]) for line in lines if "asked" in line),
            replays=told.get("replays", ()), stuck=told["stuck"], crashed=bool(died),
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ledger(order: Order) -> list[dict[str, Any]]:
    if not order.ledger.exists():
        return []
    return [orjson.loads(line) for line in order.ledger.read_bytes().splitlines()]


def _process(order: Order, plan: Plan) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "polos.testing.chaos_run"], input=orjson.dumps(asdict(order)), cwd=plan.root,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=plan.timeout, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise UsageError(
            f"a run did not end within {plan.timeout:g} s", hint="does a body wait for something? --mock STEP=JSON"
        ) from late
    if not order.outcome.exists() and not any("died" in line for line in _ledger(order)):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(f"it could not be run: {said[-1] if said else f'it ended with {done.returncode}'}")
