"""What the dev server tells as lines of text: one for each thing that happens. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

import orjson

from polos.core.durations import show_duration
from polos.dev.happenings import Checked, Died, Happening, Left, Live, Misfit, Refused, Told, Warned
from polos_cli.output import style
from polos_cli.output.sanitize import Clean, join, sanitize
from polos_cli.output.style import Style

SHOWN = 5
"""Executions named after a check, of each sort."""
_INDENT = "         "


def lines_of(happening: Happening, now: str, out: TextIO) -> list[Clean]:
    """Returns the lines of one happening; none where it is no news. `now`: the time of day, as it is shown."""
    match happening:
        case Told():
            told = _of_event(happening, out)
            if told is None:
                return []
            lines = [join((style.paint(now, "dim", out), " ", told))]
            if happening.link:
                lines.append(join((_INDENT, "  ", style.paint(happening.link, "dim", out))))
            return lines
        case Live():
            return _headed(now, "reload" if happening.files else "code", list(_live(happening, out)), out)
        case Refused():
            return _headed(now, "reload" if happening.files else "code", list(_refused(happening, out)), out)
        case Died():
            text = f"process {happening.pid}: {happening.how}; another one in {happening.again_in:g} s"
            return _headed(now, "worker", [style.paint(text, "red", out)], out)
        case Warned():
            return _headed(now, "warning", [style.paint(happening.text, "yellow", out)], out)
        case Left():
            return []


def _headed(now: str, head: str, lines: list[Clean], out: TextIO) -> list[Clean]:
    first = join((style.paint(now, "dim", out), " ", style.paint(f"{head:<8}", "bold", out), " ", lines[0]))
    return [first, *(join((_INDENT, line)) for line in lines[1:])]


# ── code ─────────────────────────────────────────────────────────────────────────────────────────────────


def _live(live: Live, out: TextIO) -> Iterator[Clean]:
    saved = f"{_files(live.files)}  " if live.files else ""
    check = _sign("completed", out)
    told = _continues(live.checked, " on the new code" if live.files else "")
    if live.generation == 1:
        names = ", ".join(live.manifest.workflows[:SHOWN]) + (", …" if len(live.manifest.workflows) > SHOWN else "")
        count = len(live.manifest.workflows)
        told = f"{count} workflow{'' if count == 1 else 's'} ({names})" + (f"   {told}" if told else "")
    yield join((sanitize(saved), style.paint(f"{check} {live.took_ms} ms", "green", out),
                sanitize(f" → code {live.manifest.code}{'   ' + told if told else ''}")))  # fmt: skip
    yield from _misfits(live.checked, out)
    if live.checked.released:
        fit = "fits again, and goes on" if len(live.checked.released) == 1 else "fit again, and go on"
        yield style.paint(f"{check} {_named(live.checked.released)} {fit}", "green", out)
    if live.retried:
        noun = "execution" if len(live.retried) == 1 else "executions"
        yield style.paint(f"↻ retried {len(live.retried)} failed {noun}: {_named(live.retried)}", "cyan", out)


def _continues(checked: Checked, where: str) -> str:
    parts = []
    if checked.continues:
        noun = "execution continues" if checked.continues == 1 else "executions continue"
        parts.append(f"{checked.continues} {noun}{where}")
    if checked.unlooked:
        parts.append(f"{checked.unlooked} not checked in time: each is when it wakes")
    return ", ".join(parts)


def _misfits(checked: Checked, out: TextIO) -> Iterator[Clean]:
    sign = _sign("blocked", out)
    if checked.diverges:
        yield style.paint(
            f"{sign} {len(checked.diverges)} would diverge, held until the code fits again:", "yellow", out
        )
        yield from _some(checked.diverges, out)
    if checked.unknown:
        yield style.paint(f"{sign} {len(checked.unknown)} could not be checked:", "yellow", out)
        yield from _some(checked.unknown, out)


def _some(misfits: tuple[Misfit, ...], out: TextIO) -> Iterator[Clean]:
    for one in misfits[:SHOWN]:
        yield sanitize(f"  {one.workflow_id} #{one.execution}: {one.message}")
    if len(misfits) > SHOWN:
        yield style.paint(f"  and {len(misfits) - SHOWN} more: polos ps --status blocked", "dim", out)


def _refused(refused: Refused, out: TextIO) -> Iterator[Clean]:
    saved = f"{_files(refused.files)}  " if refused.files else ""
    serving = f"; still serving {refused.serving}" if refused.serving else "; nothing runs until it is mended"
    yield join(
        (sanitize(saved), style.paint(f"{_sign('failed', out)} {refused.message}", "red", out), sanitize(serving))
    )
    for line in refused.traceback_text.rstrip().split("\n") if refused.traceback_text else ():
        yield style.paint(line, "dim", out)
    if refused.hint and not refused.traceback_text:
        yield style.paint(refused.hint, "dim", out)


def _files(files: tuple[str, ...]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def _named(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(f"#{number}" for number in numbers[:SHOWN])
    return shown + (f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else "")


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────


def _of_event(told: Told, out: TextIO) -> Clean | None:
    facts = told.facts
    if facts is None:
        if told.event.topic.startswith("workflow/"):
            return _line(
                "queued", f"event {told.event.type or ''}", f"published by its workflow: {told.event.topic}", out
            )
        return _line("queued", "event", told.event.topic, out)
    spent = show_duration(max(0, told.event.created_at - told.started_at))
    who = f"{told.workflow_id} #{told.execution}"
    where = f" at {told.where}" if told.where else ""
    match told.event.type:
        case "workflow_start":
            parent = facts.get("parent")
            return _line("running", who, f"started by #{parent}" if parent else "started", out)
        case "workflow_finish":
            return _line("completed", who, f"completed in {spent}", out)
        case "workflow_failed":
            error = _first_line(told.error)
            return _line("failed", who, f"failed in {spent}{where}: {facts.get('error_type') or 'error'}: {error}", out)
        case "workflow_cancelled":
            return _line("cancelled", who, "cancelled", out)
        case "workflow_retried":
            return _line("queued", who, "is tried again", out)
        case "workflow_unblocked":
            return _line("queued", who, "is blocked no more, and goes on", out)
        case "workflow_blocked":
            return _line("blocked", who, f"blocked: {_reason(told.error)} (polos why {told.execution})", out)
        case "step_retry":
            left = show_duration(max(0, int(facts.get("until") or 0) - told.event.created_at))
            failed = f"{facts.get('error_type') or 'error'}: {_first_line(told.error)}"
            return _line(
                "retrying", who, f"{told.where} failed (attempt {facts.get('attempt')}): {failed}; again in {left}", out
            )
        case "wait_start":
            return _waits(told, who, out)
        case "wait_finish" if facts.get("outcome") == "timed_out":
            return _line("timed_out", who, f"{facts.get('key')}: nothing came in time", out)
        case _:
            return None


def _waits(told: Told, who: str, out: TextIO) -> Clean | None:
    facts = told.facts or {}
    key, kind = str(facts.get("key")), facts.get("kind")
    until = facts.get("until")
    left = show_duration(max(0, int(until) - told.event.created_at)) if until else ""
    within = f" (for {left})" if left else ""
    if kind == "sleep":
        return _line("waiting", who, f"{key}: waits for {left}", out)
    if kind == "event":
        topic = str(facts.get("on") or "").partition(":")[2]
        return _line("waiting", who, f"{key}: waits for an event on {topic}{within}", out)
    if kind == "suspend":
        return _line("waiting", who, f"{key}: waits for an answer{within}: polos resume {told.execution} {key}", out)
    return None  # a child tells of itself; asyncio's timers are the code's own


def _line(state: str, who: str, text: str, out: TextIO) -> Clean:
    look: Style = style.look(state).style
    return join(
        (style.paint(_sign(state, out), look, out), " ", style.paint(f"{who:<18}", "bold", out), "  ", sanitize(text))
    )


def _sign(state: str, out: TextIO) -> str:
    return style.glyph(state, out)


def _reason(stored: str) -> str:
    try:
        return _first_line(str(orjson.loads(stored).get("message", "")))
    except (ValueError, AttributeError):
        return _first_line(stored)


def _first_line(text: str) -> str:
    return text.strip().split("\n")[0]
