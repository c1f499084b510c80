"""What is known of an execution or of one of its steps, as sections and lines of text. Pure: shows nothing, reads nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

import orjson

from polos.core import codec
from polos.core.durations import show_duration
from polos.core.model import Entry, Event, FailedAttempt, Failure, Kind, LogLine, PendingWait
from polos_cli.dashboard.reading import Whole
from polos_cli.dashboard.widgets.payload import Section
from polos_cli.dashboard.widgets.texts import Text
from polos_cli.output import stdout, style
from polos_cli.session import clock_time
from polos_cli.view.model import ViewTree

_LEVELS = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow", "DEBUG": "dim"}


def sections_of(whole: Whole, key: str | None, until: int | None) -> list[Section]:
    """Returns the values of an execution (`key` None) or of a step. `until`: what came later is left out."""
    if key is None:
        return list(_of_execution(whole, until))
    return list(_of_step(whole, key, until))


def _of_execution(whole: Whole, until: int | None) -> Iterator[Section]:
    one = whole.execution
    yield Section("input", codec.plain(one.input))
    if until is None or (one.ended_at is not None and one.ended_at <= until):
        if one.result is not None:
            yield Section("result", codec.plain(one.result))
        if one.failure is not None:
            yield from _of_failure(one.failure)
    if one.blocked_reason and until is None:
        yield Section("blocked", orjson.loads(one.blocked_reason), "yellow")
    origin = whole.origin
    if origin is not None:
        yield Section("fork of", {"execution": origin.source_number, "at": origin.at, "kept": origin.kept,
                                  "edited": [edit.key for edit in origin.edits],
                                  "other_input": origin.has_other_input})  # fmt: skip
    yield Section("about", _about(whole, until), "dim")


def _about(whole: Whole, until: int | None) -> dict[str, object]:
    one = whole.execution
    has_ended = one.ended_at is not None and (until is None or one.ended_at <= until)
    told = {
        "id": one.id, "queue": one.queue, "concurrency_key": one.concurrency_key, "session_id": one.session_id,
        "user_id": one.user_id, "idempotency_key": one.idempotency_key, "worker": one.worker_id,
        "started": clock_time(one.created_at), "ended": clock_time(one.ended_at or 0) if has_ended else None,
        "deaths": one.deaths or None, "retries": one.life or None,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def _of_step(whole: Whole, key: str, until: int | None) -> Iterator[Section]:
    entry: Entry | None = next((one for one in whole.entries if one.key == key), None)
    wait: PendingWait | None = next((one for one in whole.waits if one.key == key), None)
    if entry is not None and (until is None or entry.ended_at <= until):
        if entry.value is not None:
            yield Section(_named(key, entry), codec.plain(entry.value))
        elif entry.failure is None:
            yield Section(key, style.word(entry.outcome))
        if entry.failure is not None:
            yield from _of_failure(entry.failure)
        if entry.request:
            yield Section("asked for", orjson.loads(entry.request))
        took = show_duration(max(0, entry.ended_at - entry.started_at))
        about = {"outcome": style.word(entry.outcome), "kind": entry.kind.value, "site": entry.site, "took": took,
                 "attempt": entry.attempt, "seq": entry.seq, "code": entry.code or None}  # fmt: skip
        yield Section("about", {name: value for name, value in about.items() if value is not None}, "dim")
    elif wait is not None and until is None:
        yield Section(f"{key} waits for", orjson.loads(wait.request) if wait.request else wait.kind.value, "cyan")
        about = {"kind": wait.kind.value, "on": wait.channel, "site": wait.site, "since": clock_time(wait.started_at),
                 "until": None if wait.deadline is None else clock_time(wait.deadline)}  # fmt: skip
        yield Section("about", {name: value for name, value in about.items() if value is not None}, "dim")
    else:
        yield Section(key, "no outcome yet" if until is None else "no outcome at that moment", "dim", prose=True)


def _named(key: str, entry: Entry) -> str:
    return f"{key} → data" if entry.kind in (Kind.EVENT, Kind.SUSPEND) else f"{key} → value"


def _of_failure(failure: Failure) -> Iterator[Section]:
    yield Section("error", f"{failure.type_name}: {failure.message}", "red", prose=True)
    if failure.traceback_text.strip():
        yield Section("traceback", failure.traceback_text.rstrip(), "dim", prose=True)


def state_of(whole: Whole) -> list[Section]:
    """Returns a workflow's state: as it began, and as it is."""
    one = whole.execution
    sections = [] if one.state is None else [Section("state", codec.plain(one.state))]
    if one.initial_state is not None:
        sections.append(Section("initial state", codec.plain(one.initial_state), "dim"))
    return sections


def attempts_of(whole: Whole, key: str | None) -> list[Text]:
    """Returns the attempts of a step, or of all: each with its error, and in what it differs from the one before."""
    lines: list[Text] = []
    wanted = [one for one in whole.attempts if key in (None, one.key)]
    before: dict[str, FailedAttempt] = {}
    for one in wanted:
        took = show_duration(max(0, one.ended_at - one.started_at))
        again = f", again {clock_time(one.due_at)}" if one.due_at > one.ended_at else ""
        lines.append(
            Text(f"{one.key}  attempt {one.attempt} failed after {took}{again}", clock_time(one.ended_at), "red")
        )
        last = before.get(one.key)
        lines += _error_lines(one.failure) if last is None else _changes(last.failure, one.failure)
        before[one.key] = one
    for life, entry in whole.superseded:
        if key in (None, entry.key) and not entry.key.startswith("polos:"):
            lines += _superseded(whole, life, entry)
    return lines


def _error_lines(failure: Failure) -> list[Text]:
    text = f"{failure.type_name}: {failure.message}"
    trace = [line for line in failure.traceback_text.rstrip().splitlines() if line.strip()]
    return [Text(f"  {line}", look="dim") for line in trace[-8:-1]] + [Text(f"  {text}")]


def _changes(before: Failure, now: Failure) -> list[Text]:
    first, second = _error_text(before), _error_text(now)
    if first == second:
        return [Text("  the same error as the attempt before", look="dim")]
    return _diff(first, second)


def _error_text(failure: Failure) -> list[str]:
    return [*failure.traceback_text.rstrip().splitlines()[-8:-1], f"{failure.type_name}: {failure.message}"]


def _diff(first: Sequence[str], second: Sequence[str]) -> list[Text]:
    looks = {"-": "red", "+": "green"}
    told = [line for line in difflib.ndiff(first[:400], second[:400]) if not line.startswith("?")]
    return [Text(f"  {line}", look=looks.get(line[:1], "dim")) for line in told]


def _superseded(whole: Whole, life: int, entry: Entry) -> list[Text]:
    """Tells what a retry took back, and in what the outcome of today differs."""
    head = f"{entry.key}  {style.word(entry.outcome)} in life {life}, taken back by a retry"
    lines = [Text(head, clock_time(entry.ended_at), "yellow")]
    now = next((one for one in whole.entries if one.key == entry.key), None)
    first = _outcome_text(entry)
    if now is None:
        return [*lines, *(Text(f"  {line}", look="dim") for line in first)]
    second = _outcome_text(now)
    return [*lines, Text("  the same outcome now", look="dim")] if first == second else [*lines, *_diff(first, second)]


def _outcome_text(entry: Entry) -> list[str]:
    if entry.failure is not None:
        return _error_text(entry.failure)
    if entry.value is None:
        return [style.word(entry.outcome)]
    return stdout.to_json(codec.plain(entry.value), indent=True).splitlines()


def logs_of(whole: Whole, key: str | None, until: int | None) -> list[Text]:
    """Returns the captured lines of a step, or of all."""
    return [_log(line) for line in whole.lines if key in (None, line.step_key) and (until is None or line.at <= until)]


def _log(line: LogLine) -> Text:
    where = f"{line.step_key} │ " if line.step_key else ""
    return Text(f"{where}{line.text}", clock_time(line.at), _LEVELS.get(line.level.upper(), "plain"))


def events_of(whole: Whole, number: int, key: str | None, until: int | None) -> list[Text]:
    """Returns what was told of a step, or of an execution."""
    return [
        text for event in whole.events if (until is None or event.created_at <= until) and (text := _event(event, number, key))
    ]  # fmt: skip


def _event(event: Event, number: int, key: str | None) -> Text | None:
    data = orjson.loads(event.data.text)
    if event.type is None or not isinstance(data, dict) or "execution" not in data:
        return Text(f"published  {event.data.text[:2_000]}", clock_time(event.created_at))
    if data["execution"] != number or (key is not None and data.get("key") != key):
        return None
    shown = "  ".join(
        f"{name}={value}" for name, value in data.items() if name not in ("execution", "id", "key", "until", "at")
    )
    where = f"{data['key']}  " if "key" in data else ""
    return Text(f"{event.type:<19}{where}{shown}", clock_time(event.created_at), _event_look(event.type))


def _event_look(name: str) -> str:
    if name.endswith("_failed") or name.endswith("_blocked"):
        return "red"
    return "yellow" if name.endswith(("_retry", "_cancelled")) else "plain"


def children_of(tree: ViewTree, number: int, statuses: dict[int, str]) -> list[Text]:
    """Returns an execution's children; each opens."""
    found = tree.executions.get(number)
    lines = []
    for child in found.children if found is not None else ():
        state = statuses.get(child.number, child.state)
        lines.append(Text(f"{child.workflow_id}  {style.word(state)}  started by {child.parent_key}", f"{child.number:>6}",
                          style.look(state).style, opens=child.number))  # fmt: skip
    return lines


def moment_of(events: Sequence[Event], at: int) -> str:
    """Returns what has just happened at a moment of the past: the event `at`, from 0."""
    event = events[at]
    data = orjson.loads(event.data.text)
    facts = data if isinstance(data, dict) else {}
    key = facts.get("key") or (facts.get("execution") if str(event.type).startswith("workflow_") else None)
    since = show_duration(max(0, event.created_at - events[0].created_at))
    return f"{at + 1} of {len(events)}, after {since}: {event.type or 'published'}{f' {key}' if key else ''}"
