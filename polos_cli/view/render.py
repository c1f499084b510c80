"""The view as lines of text: the tree of `run` and `show`. Writes nothing."""

from __future__ import annotations

import sys
from typing import TextIO

from polos.core.durations import show_duration
from polos_cli.output import style
from polos_cli.output.sanitize import Clean, clip, join, pad, sanitize, width
from polos_cli.view.model import ViewExecution, ViewStep
from polos_cli.view.timeline import Scale, axis_of, bar_of, scale_of

_KEY_WIDTH = 36
_BAR = 24
_SIGNS = "█░┄┆"


def tree_lines(
    execution: ViewExecution, now: int, columns: int, stream: TextIO | None = None, bars: bool = False, least: int = 0
) -> list[Clean]:
    """Returns an execution as lines, its children under the steps that started them; each fits `columns`.

    `least` is the least width of the column of keys.
    """
    out = stream or sys.stderr
    scale = scale_of(execution, now) if bars else None
    keys = max(least, _widest(execution, 0))
    room = min(_KEY_WIDTH, max(12, keys))
    lines: list[Clean] = []
    if scale is not None and scale.folds and _has_bars(columns, room):
        lines.append(join((" " * (room + 13), style.paint(_plain(axis_of(scale, _BAR), out), "dim", out))))
    _add(lines, execution, now, "", room, columns, out, scale)
    return lines


def _has_bars(columns: int, used: int) -> bool:
    return columns - used - 11 > _BAR + 12


def _widest(execution: ViewExecution, indent: int) -> int:
    widest = 0
    for step in execution.steps.values():
        widest = max(widest, width(sanitize(step.key)) + indent)
    return max([widest, *(_widest(child, indent + 2) for child in execution.children)])


def _add(
    lines: list[Clean], execution: ViewExecution, now: int, indent: str, keys: int, columns: int, out: TextIO,
    scale: Scale | None,
) -> None:  # fmt: skip
    children: dict[str, list[ViewExecution]] = {}
    for child in execution.children:
        children.setdefault(child.parent_key, []).append(child)
    for step in execution.steps.values():
        lines.append(_step_line(step, now, indent, keys, columns, out, scale))
        for child in children.pop(step.key, []):
            _add_child(lines, child, now, indent, keys, columns, out, scale)
    for left in children.values():
        for child in left:
            _add_child(lines, child, now, indent, keys, columns, out, scale)


def _add_child(
    lines: list[Clean], child: ViewExecution, now: int, indent: str, keys: int, columns: int, out: TextIO,
    scale: Scale | None,
) -> None:  # fmt: skip
    text = f"{indent}  └ {child.workflow_id} {child.number}"
    word = style.word(child.state)
    lines.append(
        join(
            (
                style.paint(clip(sanitize(text), columns - len(word) - 2), "dim", out),
                "  ",
                style.paint(word, style.look(child.state).style, out),
            )
        )
    )
    _add(lines, child, now, indent + "    ", keys, columns, out, scale)


def _step_line(
    step: ViewStep, now: int, indent: str, keys: int, columns: int, out: TextIO, scale: Scale | None
) -> Clean:
    sign = style.paint(style.glyph(step.state, out), style.look(step.state).style, out)
    room = max(8, keys - len(indent))
    key = pad(clip(sanitize(step.key), room), room)
    spent = (step.ended_at or now) - step.started_at
    duration = pad(sanitize(show_duration(max(0, spent))), 8, right=True)
    parts: list[str] = [indent, sign, " ", key, " ", duration]
    used = len(indent) + 2 + room + 1 + 8
    if scale is not None and _has_bars(columns, len(indent) + room):
        parts += ["  ", _bar(step, now, scale, out)]
        used += 2 + _BAR
    note = note_of(step, now)
    if note:
        parts += ["  ", style.paint(clip(sanitize(note), max(4, columns - used - 3)), "dim", out)]
    return join(parts)


def _bar(step: ViewStep, now: int, scale: Scale, out: TextIO) -> Clean:
    return join(style.paint(_plain(run.text, out), run.look, out) for run in bar_of(step, now, scale, _BAR))


def _plain(drawn: str, out: TextIO) -> str:
    return drawn if style.can_show(_SIGNS, out) else drawn.translate(str.maketrans(_SIGNS, "#.-:"))


def note_of(step: ViewStep, now: int) -> str:
    """Returns what a step is about now: what it waits for, how its attempts went."""
    notes = ["kept"] if step.is_kept else []
    if step.state == "waiting":
        notes.append(_waits(step, now))
    elif step.state == "retrying":
        left = max(0, (step.until or now) - now)
        notes.append(f"attempt {step.attempt} failed ({step.error_type}), again in {show_duration(left)}")
    elif step.state in ("failed", "timed_out"):
        notes.append(step.error_type or style.word(step.state))
    if step.attempt > 1 and step.state in ("completed", "failed", "running"):
        notes.append(f"attempt {step.attempt}")
    return ", ".join(note for note in notes if note)


def _waits(step: ViewStep, now: int) -> str:
    left = "" if step.until is None else show_duration(max(0, step.until - now))
    if step.kind == "sleep":
        return f"{left} left"
    timeout = f", {left} left" if left else ""
    if step.kind == "event":
        return f"waits for an event on {step.on.partition(':')[2]}{timeout}"
    if step.kind == "suspend":
        return f"waits for an answer{timeout}"
    return "waits for its child"
