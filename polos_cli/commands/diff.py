"""`polos diff`: how two executions differ. Reads only; works with nothing running."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from polos.core.diff import Difference, StepChange, ValueChange, difference
from polos.core.durations import show_duration
from polos.core.model import Entry, Execution
from polos_cli.output import stderr, stdout, style
from polos_cli.output.sanitize import Clean, clip, join, sanitize
from polos_cli.output.style import Style
from polos_cli.session import reading, run_async

_LOOKS: dict[str, tuple[str, Style]] = {
    "same": (" ", "dim"), "changed": ("~", "yellow"), "only_first": ("-", "red"), "only_second": ("+", "green"),
}  # fmt: skip


def command(
    first: Annotated[str, typer.Argument(metavar="EXECUTION", help="A number, an id, the end of one, last.")],
    second: Annotated[str, typer.Argument(metavar="EXECUTION", help="The one it is compared with.")],
    every: Annotated[bool, typer.Option("--all", help="Also the steps that are the same.")] = False,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Compare two executions: input, path, outcomes, attempts, times, result.

    Values are compared by their structure, and only the places that differ are shown.
    """
    one, other, found = run_async(_compare(first, second, database))
    if as_json:
        stdout.document(_json(one, other, found))
        return
    _show(one, other, found, every)


async def _compare(first: str, second: str, database: str | None) -> tuple[Execution, Execution, Difference]:
    one, ones = await _read(first, database)
    other, others = await _read(second, database)
    return one, other, difference(one, ones, other, others)


async def _read(reference: str, database: str | None) -> tuple[Execution, list[Entry]]:
    client, name = reading(reference, database)
    async with client:
        found = await client.get(name)
        return found, await client.journal(found)


def _show(one: Execution, other: Execution, found: Difference, every: bool) -> None:
    stdout.data(style.paint(f"- {_named(one)}", "red", sys.stdout))
    stdout.data(style.paint(f"+ {_named(other)}", "green", sys.stdout))
    _values("input", found.input)
    width = max((len(step.key) for step in found.steps), default=0)
    for step in found.steps:
        if every or step.sort != "same":
            _step(step, width)
    _values("result", found.result)
    if found.ends[0] != found.ends[1]:
        stdout.data(
            join((style.paint("~ end", "yellow", sys.stdout), sanitize(f"   {found.ends[0]} → {found.ends[1]}")))
        )
    same = sum(step.sort == "same" for step in found.steps)
    if found.is_same:
        stderr.say(f"they are the same: input, {_steps(same)}, result")
    elif same and not every:
        stderr.say(f"{_steps(same)} {'is' if same == 1 else 'are'} the same (--all shows them)", "dim")


def _named(execution: Execution) -> str:
    took = "" if execution.ended_at is None else f", {show_duration(execution.ended_at - execution.created_at)}"
    return f"{execution.workflow_id} #{execution.number} ({execution.status.value}{took})"


def _step(step: StepChange, width: int) -> None:
    sign, look = _LOOKS[step.sort]
    about = " → ".join(_about(entry) for entry in (step.first, step.second) if entry is not None)
    stdout.data(
        join(
            (style.paint(f"{sign} {step.key:<{width}}", look, sys.stdout), "   ", style.paint(about, "dim", sys.stdout))
        )
    )
    if step.sort != "changed":
        return
    for change in step.changes:
        stdout.data(_value(change))
    if step.failures[0] != step.failures[1]:
        stdout.data(sanitize(f"      {step.failures[0] or 'completed'} → {step.failures[1] or 'completed'}"))


def _about(entry: Entry) -> str:
    tries = f", attempt {entry.attempt}" if entry.attempt > 1 else ""
    return f"{entry.outcome.value} in {show_duration(max(0, entry.ended_at - entry.started_at))}{tries}"


def _values(name: str, changes: Sequence[ValueChange]) -> None:
    if changes:
        stdout.data(style.paint(f"~ {name}", "yellow", sys.stdout))
        for change in changes:
            stdout.data(_value(change))


def _value(change: ValueChange) -> Clean:
    texts = {"changed": f"{_text(change.first)} → {_text(change.second)}", "only_first": _text(change.first),
             "only_second": _text(change.second)}  # fmt: skip
    sign, look = _LOOKS[change.sort]
    return join(("    ", style.paint(f"{sign} {change.path}", look, sys.stdout), "  ", sanitize(texts[change.sort])))


def _text(value: Any) -> str:
    return clip(sanitize(stdout.to_json(value)), 60)


def _json(one: Execution, other: Execution, found: Difference) -> dict[str, Any]:
    def entry(of: Entry | None) -> dict[str, Any] | None:
        if of is None:
            return None
        return {"outcome": of.outcome.value, "kind_of_step": of.kind.value, "attempt": of.attempt, "site": of.site,
                "duration_ms": max(0, of.ended_at - of.started_at) // 1000}  # fmt: skip

    return {
        "kind": "difference", "v": 1, "first": one.number, "second": other.number, "same": found.is_same,
        "input": [asdict(change) for change in found.input], "result": [asdict(change) for change in found.result],
        "ends": list(found.ends),
        "steps": [
            {"step": step.key, "sort": step.sort, "first": entry(step.first), "second": entry(step.second),
             "changes": [asdict(change) for change in step.changes], "failures": list(step.failures)}
            for step in found.steps
        ],
    }  # fmt: skip


def _steps(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"
