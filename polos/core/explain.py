"""Why an execution is where it is, in words and with what to type (`polos why`). Reads nothing: takes the facts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from polos.core import jsontext
from polos.core.completing import command_for
from polos.core.durations import show_duration
from polos.core.explained import blocked, ended
from polos.core.forms import fields_in, shown_of
from polos.core.manifest import QueueState
from polos.core.model import Event, FailedAttempt, Kind, PendingWait
from polos.core.standing import Explanation, Facts, Why
from polos.core.status import SUSPECT, Status
from polos.core.waits import json_equal
from polos.core.words import ago, cancelling, left, process, short

BRIEF = 60  # characters of each text of a question
NEAR_MISSES = 3  # events shown of those that came on the topic and did not match


def explain(facts: Facts) -> Explanation:
    """Returns why the execution is where it is."""
    execution = facts.execution
    match execution.status:
        case Status.COMPLETED | Status.FAILED | Status.CANCELLED:
            return ended(facts)
        case Status.BLOCKED:
            return blocked(facts)
        case Status.QUEUED:
            return _queued(facts)
        case Status.RUNNING:
            return _running(facts)
        case Status.WAITING:
            return _waiting(facts)


# ── queued ───────────────────────────────────────────────────────────────────────────────────────────


def _queued(facts: Facts) -> Explanation:
    execution = facts.execution
    n, now = execution.number, facts.now
    show = (f"polos show {n}", "its steps up to now")
    if execution.available_at > now:
        until_then = show_duration(execution.available_at - now)
        return Explanation(
            why=Why.DELAYED, headline=f"it was started with a delay, and begins in {until_then}", commands=(show,)
        )
    if not facts.is_owned:
        return Explanation(
            why=Why.NO_ENGINE, headline="nothing runs it: no engine is up for this database",
            commands=(("polos worker", "runs whatever is there"), (f"polos run --attach {n}", "runs this one here")),
        )  # fmt: skip
    able = [one for one in facts.workers if execution.workflow_id in one.workflow_ids]
    if not able:
        known = sorted({name for one in facts.workers for name in one.workflow_ids})
        near = difflib.get_close_matches(execution.workflow_id, known, n=1)
        details = [f"{process(one)} has {', '.join(one.workflow_ids) or 'no workflow'}" for one in facts.workers]
        if near:
            details.append(f"was it renamed? there is {near[0]!r}")
        return Explanation(
            why=Why.NO_WORKER, headline=f"no worker has the code of {execution.workflow_id!r}", details=tuple(details),
            commands=((f"polos run --attach {n}", "in its project's folder: runs it there"), cancelling(n)),
        )  # fmt: skip
    line = facts.line
    limit = line.concurrency_limit if line is not None else None
    if line is not None and limit is not None and (facts.before or len(line.running) >= limit):
        return _in_line(facts, line, limit)
    if execution.deaths >= SUSPECT:
        return Explanation(
            why=Why.SUSPECT,
            headline=f"its process died {execution.deaths} times while it ran: such executions are run one at a time",
            details=("it clears itself with the next outcome that it records; after 5 deaths it is blocked",),
            commands=((f"polos logs {n}", "what it said before"), cancelling(n)),
        )  # fmt: skip
    since = show_duration(max(0, now - execution.available_at))
    names = ", ".join(process(one) for one in able[:3])
    return Explanation(
        why=Why.NO_ROOM, headline=f"it can be taken for {since}, and no worker has had room for it yet",
        details=(f"able to run it: {names}",),
        commands=(("polos ps --status running", "what they run"), ("polos worker", "one more worker")),
    )  # fmt: skip


def _in_line(facts: Facts, line: QueueState, limit: int) -> Explanation:
    n = facts.execution.number
    key = f" for the key {line.concurrency_key!r}" if line.concurrency_key else ""
    holders = ", ".join(map(str, line.running[:8])) + (", …" if len(line.running) > 8 else "")
    before = "next in line" if not facts.before else f"{facts.before} before it in line"
    details = [f"{before}, for {show_duration(max(0, facts.now - facts.execution.placed_at))}"]
    if line.running:
        noun = "execution" if len(line.running) == 1 else "executions"
        details.append(f"running now: {noun} {holders}")
    commands = [(f"polos why {line.running[0]}", "why that one takes so long")] if line.running else []
    return Explanation(
        why=Why.IN_QUEUE, headline=f"it waits in the queue {line.name!r}, which runs {limit} at once{key}",
        details=tuple(details), commands=(*commands, ("polos queues", "all queues"), cancelling(n)),
    )  # fmt: skip


# ── running ──────────────────────────────────────────────────────────────────────────────────────────


def _running(facts: Facts) -> Explanation:
    execution = facts.execution
    n = execution.number
    runner = next((one for one in facts.workers if one.id == execution.worker_id), None)
    if runner is None:
        return Explanation(
            why=Why.ORPHANED,
            headline="the process that ran it has gone; it goes on as soon as an engine is up",
            commands=(("polos worker", "goes on with whatever is there"), (f"polos run --attach {n}", "with this one here")),
        )  # fmt: skip
    commands = ((f"polos logs {n} -f", "what it says"), cancelling(n))
    if execution.ending is not None:
        return _stopping(facts, f"it runs in {process(runner)}")
    retrying = _retries(facts)
    bodies = [
        f"the step {key!r} runs for {show_duration(max(0, facts.now - since))}"
        + (f", attempt {attempt}" if attempt > 1 else "")
        for key, attempt, since in facts.bodies if key not in {one.key for one in retrying}
    ]  # fmt: skip
    if retrying and not bodies:
        return _retrying(facts, retrying)
    waits = [line for wait in facts.waits for line in _wait_lines(facts, wait)]
    return Explanation(
        why=Why.RUNNING, headline=f"it runs, in {process(runner)}",
        details=(*bodies, *(_retry_line(facts, one) for one in retrying), *waits), commands=commands,
    )  # fmt: skip


def _stopping(facts: Facts, where: str) -> Explanation:
    n = facts.execution.number
    what = "cancelled" if facts.execution.ending == "cancel" else "stopped, since it has run for too long"
    return Explanation(
        why=Why.STOPPING, headline=f"it is being {what}: its code clears up, for up to 30 s of running time",
        details=(where, *(line for wait in facts.waits for line in _wait_lines(facts, wait))),
        commands=((f"polos show {n} -f", "follow it"),),
    )  # fmt: skip


def _retries(facts: Facts) -> list[FailedAttempt]:
    """Returns the last failed attempt of each step that is to be tried again, soonest first."""
    ended = {entry.key for entry in facts.entries}
    last = {one.key: one for one in facts.attempts if one.key not in ended}
    return sorted((one for one in last.values() if one.due_at > facts.now), key=lambda one: one.due_at)


def _retrying(facts: Facts, retrying: Sequence[FailedAttempt]) -> Explanation:
    n, first = facts.execution.number, retrying[0]
    until_then = show_duration(max(0, first.due_at - facts.now))
    return Explanation(
        why=Why.RETRYING, headline=f"the step {first.key!r} failed, and is tried again in {until_then}",
        details=tuple(_retry_line(facts, one) for one in retrying),
        commands=((f"polos logs {n} --step {first.key}", "what it said"), cancelling(n)),
    )  # fmt: skip


def _retry_line(facts: Facts, one: FailedAttempt) -> str:
    return (
        f"{one.key!r}: attempt {one.attempt} failed {ago(facts, one.ended_at)} with "
        f"{one.failure.type_name}: {one.failure.message}"
    )


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────────

_WAITING = {
    Kind.EVENT: Why.WAITING_FOR_EVENT,
    Kind.SLEEP: Why.WAITING_FOR_TIMER,
    Kind.TIMER: Why.WAITING_FOR_TIMER,
    Kind.SUSPEND: Why.WAITING_FOR_ANSWER,
    Kind.CHILD: Why.WAITING_FOR_CHILD,
}


def _waiting(facts: Facts) -> Explanation:
    n = facts.execution.number
    if facts.execution.ending is not None:
        return _stopping(facts, "it waits")
    retrying = _retries(facts)
    if retrying and all(wait.kind is Kind.RETRY for wait in facts.waits):
        return _retrying(facts, retrying)
    waits = [wait for wait in facts.waits if wait.kind is not Kind.RETRY]
    details = [line for wait in waits for line in _wait_lines(facts, wait)]
    details += [_retry_line(facts, one) for one in retrying]
    commands = [command for wait in waits for command in _wait_commands(facts, wait)][:4]
    if len(waits) == 1:
        head, *rest = details
        return Explanation(
            why=_WAITING[waits[0].kind], headline=f"it waits: {head}", details=tuple(rest),
            commands=(*commands, cancelling(n)),
        )  # fmt: skip
    return Explanation(
        why=Why.WAITING_FOR_SEVERAL, headline=f"it waits for {len(waits)} things, of which one may be enough",
        details=tuple(details), commands=(*commands, cancelling(n)),
    )  # fmt: skip


def _wait_lines(facts: Facts, wait: PendingWait) -> list[str]:
    since = f"for {show_duration(max(0, facts.now - wait.started_at))}"
    until = "" if wait.deadline is None else f", until it times out in {left(facts, wait.deadline)}"
    if wait.deadline is not None and wait.deadline <= facts.now:
        until = ", and its time is over: it goes on as soon as an engine is up"
    match wait.kind:
        case Kind.EVENT:
            return _event_lines(facts, wait, since, until)
        case Kind.SLEEP:
            return [f"the step {wait.key!r} waits {since}, and goes on in {left(facts, wait.deadline)}"]
        case Kind.TIMER:
            return [f"a timer of its own code fires in {left(facts, wait.deadline)}"]
        case Kind.SUSPEND:
            asked = _asked(wait)
            return [f"the step {wait.key!r} asks for an answer {since}{until}{asked}"]
        case Kind.CHILD:
            return _child_lines(facts, wait, since)
        case _:
            return []


def _asked(wait: PendingWait) -> str:
    """Returns what a person is shown, and what the form wants."""
    data = jsontext.loads(wait.request) if wait.request else None
    shown = [(name, " ".join(text.split())) for name, text in shown_of(data)]
    brief = [(name, text if len(text) <= BRIEF else text[:BRIEF] + "…") for name, text in shown]
    told = [text if name == "request" else f"{name}: {text}" for name, text in brief]
    fields = ", ".join(field.name + ("" if field.is_required else " (optional)") for field in fields_in(data))
    return (f": {'; '.join(told)}" if told else "") + (f"; it wants {fields}" if fields else "")


def _event_lines(facts: Facts, wait: PendingWait, since: str, until: str) -> list[str]:
    request = json.loads(wait.request or "{}")
    topic, match = str(request.get("topic", "")), request.get("match")
    wanted = f" with {json.dumps(match, ensure_ascii=False)}" if match else ""
    lines = [f"the step {wait.key!r} waits for an event on {topic!r}{wanted} {since}{until}"]
    events = facts.topics.get(topic, ())
    for event in events[:NEAR_MISSES]:
        lines.append(f"event {event.sequence} of {ago(facts, event.created_at)}: {_why_not(facts, event, match)}")
    if not events:
        near = difflib.get_close_matches(topic, [one for one in facts.other_topics if one != topic], n=1)
        lines.append("no event has come on that topic" + (f"; there are events on {near[0]!r}" if near else ""))
    return lines


def _why_not(facts: Facts, event: Event, match: Mapping[str, Any] | None) -> str:
    """Returns why an event did not complete the wait."""
    taken = next((entry.key for entry in facts.entries if entry.event == event.position), None)
    if taken is not None:
        return f"went to the step {taken!r}"
    data = json.loads(event.data.text)
    for name, value in (match or {}).items():
        if not isinstance(data, dict) or name not in data:
            return f"its data has no {name!r}"
        if not json_equal(data[name], value):
            return f"its {name} is {short(data[name])}, not {short(value)}"
    if event.created_at <= facts.execution.created_at:
        return "came before this execution was started"
    return "came before the wait began, which asks for later ones only"


def _child_lines(facts: Facts, wait: PendingWait, since: str) -> list[str]:
    children = facts.children.get(wait.key, ())
    if not children:
        return [f"the step {wait.key!r} waits {since} for the end of another execution ({wait.channel})"]
    if len(children) == 1:
        one = children[0]
        return [
            f"the step {wait.key!r} waits {since} for execution {one.number} of {one.workflow_id!r}, which is {one.status}"
        ]
    open_ = [one for one in children if one.ended_at is None]
    lines = [f"the step {wait.key!r} waits {since} for {len(open_)} of {len(children)} executions"]
    return lines + [f"execution {one.number} of {one.workflow_id!r} is {one.status}" for one in open_[:5]]


def _wait_commands(facts: Facts, wait: PendingWait) -> list[tuple[str, str]]:
    n = facts.execution.number
    match wait.kind:
        case Kind.EVENT:
            return [(command_for(n, wait) or "", "sends what it waits for")]
        case Kind.SUSPEND:
            return [(command_for(n, wait) or "", "answers it")]
        case Kind.CHILD:
            open_ = [one for one in facts.children.get(wait.key, ()) if one.ended_at is None]
            return [(f"polos why {one.number}", "why that one is where it is") for one in open_[:2]]
        case _:
            return []
