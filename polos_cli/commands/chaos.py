"""`polos chaos`: shows what a crash at each step and wait of a workflow leads to, before production does."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from polos.core import jsontext
from polos.errors import UsageError
from polos.local.project import load_environment
from polos.testing.chaos import Crashed, Plan, Undisturbed, crashes, undisturbed
from polos_cli.options import FORMS, read_input
from polos_cli.output import stderr, stdout, style
from polos_cli.output.sanitize import join, sanitize
from polos_cli.session import settings_for, workflow_here

_WHEN = {"before": "before its body", "after": "after its body", "waiting": "while it waits"}


def command(
    workflow: Annotated[str, typer.Argument(help="A workflow's id, or file.py:name.")],
    input: Annotated[list[str] | None, typer.Argument(help=FORMS)] = None,
    event: Annotated[
        list[str] | None, typer.Option("--event", help="TOPIC=JSON: an event that it waits for; in their order.")
    ] = None,
    answer: Annotated[list[str] | None, typer.Option("--answer", help="STEP=JSON: the answer to a suspend.")] = None,
    mock: Annotated[list[str] | None, typer.Option("--mock", help="STEP=JSON: in place of a step's body.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one process.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines.")] = False,
) -> int:
    """Crash a workflow before and after each step's body and during each wait, and compare with an undisturbed run.

    The bodies run for real, many times, on throw-away databases with a virtual clock; ends with 1 where a result differs.
    """
    settings = settings_for()
    load_environment(settings)
    found = workflow_here(settings, workflow)
    payload = read_input(input or [], found.input_schema())
    found.encode_input(payload)  # a bad payload is refused here
    plan = Plan(
        root=settings.project_root or Path.cwd(), workflow=workflow, payload=payload, events=_pairs(event, "--event"),
        answers=dict(_pairs(answer, "--answer")), mocks=dict(_pairs(mock, "--mock")), timeout=timeout,
    )  # fmt: skip
    if not as_json:
        stderr.say(f"{found.id}: two undisturbed runs, and replays of what they recorded …", "dim")
    base = undisturbed(plan)
    if as_json:
        return _as_json(base, crashes(plan, base))
    return _shown(found.id, base, crashes(plan, base))


def _pairs(words: Sequence[str] | None, option: str) -> list[tuple[str, Any]]:
    found = []
    for word in words or ():
        name, sign, text = word.partition("=")
        try:
            if not (name and sign):
                raise ValueError("there is no =")
            found.append((name, jsontext.loads(text)))
        except ValueError as error:
            raise UsageError(f"{option} {word}: {error}", hint=f"write {option} 'name={{\"json\": 1}}'") from None
    return found


def _as_json(base: Undisturbed, done: Iterator[Crashed]) -> int:
    root = base.ran.executions[""]
    stdout.line({"kind": "undisturbed", "v": 1, "workflow": root["workflow"], "status": root["status"],
                 "findings": list(base.findings), "unstable": [[*one] for one in sorted(base.unstable)],
                 "crashes": len(base.crashes)})  # fmt: skip
    failed = bool(base.findings)
    for one in done:
        failed = failed or bool(one.differences)
        stdout.line(
            {"kind": "crash", "v": 1, "workflow": one.workflow, "step": one.step, "when": one.when,
             "reached": one.reached, "same": not one.differences, "differences": list(one.differences),
             "repeated": [{"workflow": name, "step": key, "times": times, "reads_key": reads}
                          for name, key, times, reads in one.repeated]}
        )  # fmt: skip
    stdout.line({"kind": "end", "v": 1, "reason": "complete"})
    return int(failed)


def _shown(name: str, base: Undisturbed, done: Iterator[Crashed]) -> int:
    root, out = base.ran.executions[""], sys.stdout
    stdout.data(sanitize(f"{name}: undisturbed, it {_ended(root)}; up to {len(base.crashes)} crashes to come"))
    for path, key in sorted(base.unstable):
        what = f"{path.lstrip('/')} {key}".strip()
        _line(
            "waiting",
            sanitize(f"{what} gives another value in each run, crash or not: it and the result are not compared"),
        )
    for finding in base.findings:
        _line("failed", sanitize(finding))
    width = max((len(key) for _, key, _ in base.crashes), default=0)
    differ, unsafe, skipped = 0, dict[tuple[str, str], int](), 0
    for one in done:
        what = sanitize(f"{one.step:<{width}}  {_WHEN[one.when]:<15}  ")
        if not one.reached:
            skipped += 1
            _line("waiting", join((what, style.paint("the run was never at rest there", "dim", out))))
            continue
        differ += bool(one.differences)
        twice = [f"{key} ran {times} times" for _, key, times, _ in one.repeated]
        unsafe |= {(workflow, key): times for workflow, key, times, reads in one.repeated if not reads}
        note = f"the same end{'; ' + ', '.join(twice) if twice else ''}"
        _line(
            "failed" if one.differences else "completed",
            join((what, sanitize("another end" if one.differences else note))),
        )
        for difference in one.differences:
            stdout.data(style.paint(sanitize(f"      {difference}"), "red", out))
    for (_, key), _times in unsafe.items():
        _line("blocked", sanitize(f"{key}: a crash lets its body run again, and it does not read its idempotency key"))
    if unsafe:
        stderr.say("where that has an effect outside, give the service polos.current_step().idempotency_key", "dim")
    bad = len(base.findings) + differ
    reached = len(base.crashes) - skipped
    told = (
        f"{reached} crashes, {differ} of them with another end" if bad else f"{reached} crashes, all with the same end"
    )
    stderr.say(told, "red" if bad else "green")
    return int(bool(bad))


def _ended(root: Any) -> str:
    words = {
        "completed": "completed",
        "failed": f"failed ({root['error']})",
        "blocked": f"was blocked ({root['error']})",
    }
    return words.get(root["status"], f"was {root['status']}")


def _line(look: str, text: str) -> None:
    sign = style.paint(style.glyph(look, sys.stdout), style.look(look).style, sys.stdout)
    stdout.data(join(("  ", sign, " ", text)))
