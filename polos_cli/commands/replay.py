"""`polos replay`: today's code against recorded histories. Runs no step's body and writes nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from xml.sax.saxutils import escape, quoteattr

import typer

from polos.authoring.registry import REGISTRY
from polos.client.client import Client
from polos.dev.replaying import Report, all_unfinished, debug, replay
from polos.errors import UnknownWorkflow, UsageError
from polos.local.project import load_environment
from polos_cli import errors
from polos_cli.output import stderr, stdout, style
from polos_cli.output.sanitize import join, sanitize
from polos_cli.session import clock, modules_here, reading, run_async, settings_for, workflow_here

JUNIT = Path("polos-replay.xml")
_LOOKS = {"matches": "completed", "diverges": "failed", "differs": "blocked", "unknown": "blocked"}


def command(
    execution: Annotated[
        list[str] | None, typer.Argument(help="Numbers, ids, ends of ids, last, last:WORKFLOW.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every execution that has not ended.")] = False,
    debugs: Annotated[
        bool, typer.Option("--pdb", help="Stop in the debugger: EXECUTION --pdb [STEP], by default at its first step.")
    ] = False,
    ci: Annotated[bool, typer.Option("--ci", help=f"JSON Lines, and {JUNIT} (JUnit) beside.")] = False,
    workflow: Annotated[
        str | None, typer.Option(help="Where its file is: file.py:name. Else the project's modules.")
    ] = None,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines.")] = False,
) -> int:
    """Run today's code against recorded executions, with no side effects.

    Recorded outcomes are given to the code in their order; no step's body runs, and nothing is written. Ends with 6 where
    the code diverges from a history.
    """
    if bool(execution) == every:
        raise UsageError(
            "name executions, or take all that have not ended", hint="polos replay 42, or polos replay --all"
        )
    if debugs and (every or ci or as_json or len(execution or ()) > 2):
        raise UsageError("--pdb takes one execution, and a step", hint="polos replay 42 --pdb charge")
    settings = settings_for(database)
    load_environment(settings)
    if workflow is not None:
        workflow_here(settings, workflow)
    else:
        modules_here(settings, passes_over=not (every or ci))
    if debugs:
        reference, step = [*(execution or ()), None][:2]
        report = run_async(_debug(str(reference), step, database))
        if report is not None:
            _show(report)
        return errors.DIVERGED if report is not None and report.kind == "diverges" else errors.DONE
    reports = run_async(_replay(execution or [], database, ci or as_json))
    if ci:
        JUNIT.write_text(junit(reports), encoding="utf-8")
        stderr.say(f"wrote {JUNIT}", "dim")
    if not (ci or as_json):
        _summary(reports)
    else:
        stdout.line({"kind": "end", "v": 1, "reason": "complete"})
    if any(report.kind == "diverges" for report in reports):
        return errors.DIVERGED
    gone = sorted({one.execution.workflow_id for one in reports if REGISTRY.get(one.execution.workflow_id) is None})
    if ci and gone:
        raise UnknownWorkflow(f"the code has no {', '.join(gone)}, of which executions were to be replayed",
                              hint="keep an earlier id: @workflow(aliases=[...]); or leave those executions out")  # fmt: skip
    return errors.DONE


async def _debug(reference: str, step: str | None, database: str | None) -> Report | None:
    client, name = reading(reference, database)
    async with client:
        found = await client.get(name)
        stderr.say("nothing is written, and no step's body runs; c goes on, q leaves", "dim")
        return await client.access().read(lambda store: debug(store, REGISTRY, found, clock, step))


async def _replay(references: Sequence[str], database: str | None, as_json: bool) -> list[Report]:
    reports = []
    for reference in references or [""]:
        client, name = reading(reference, database)
        async with client:

            async def replayed(store: Any, client: Client = client, name: str = name) -> None:
                wanted = [await client.get(name)] if name else await all_unfinished(store)
                async for report in replay(store, REGISTRY, wanted, clock):
                    reports.append(report)
                    if as_json:
                        stdout.line(record_of(report))
                    else:
                        _show(report)

            await client.access().read(replayed)
    return reports


def record_of(report: Report) -> dict[str, Any]:
    """Returns a report as ``--json`` shows it."""
    found = report.divergence
    return {
        "kind": "replay", "v": 1, "execution": report.execution.number, "id": report.execution.id,
        "workflow": report.execution.workflow_id, "status": report.execution.status.value, "verdict": report.kind,
        "message": report.message or (found.message if found else ""), "delivered": report.delivered,
        "recorded": report.recorded, "changed": [{"step": key, "site": site} for key, site in report.changed],
        "codes": list(report.codes), "took_ms": round(report.took_ms, 1),
        "divergence": None if found is None else {
            "step": found.step, "recorded_site": found.recorded_site, "asked": found.asked, "site": found.site,
            "likely": found.likely,
        },
    }  # fmt: skip


def _show(report: Report) -> None:
    out = sys.stdout
    look = _LOOKS[report.kind]
    sign = style.paint(f"{style.glyph(look, out)} {report.kind}", style.look(look).style, out)
    who = f"{report.execution.workflow_id} #{report.execution.number}"
    took = f"{report.delivered} of {report.recorded} recorded outcomes, in {report.took_ms:.0f} ms"
    stdout.data(join((style.paint(f"{who:<20}", "bold", out), " ", sign, "  ", style.paint(took, "dim", out))))
    found = report.divergence
    if found is not None:
        width = max(len(found.step or ""), len(found.asked or ""), 8)
        if found.step:
            stdout.data(style.paint(f"    - {found.step:<{width}}  {found.recorded_site or 'recorded'}", "red", out))
        if found.asked:
            stdout.data(style.paint(f"    + {found.asked:<{width}}  {found.site or 'now'}", "green", out))
        stdout.data(sanitize(f"    {found.message}"))
        if found.likely:
            stdout.data(sanitize(f"    likely: {found.likely}"))
    elif report.message:
        stdout.data(sanitize(f"    {report.message}"))
    for key, site in report.changed:
        stdout.data(style.paint(f"    {key}: other arguments than recorded ({site})", "yellow", out))


def _summary(reports: Sequence[Report]) -> None:
    if not reports:
        stderr.say("nothing to replay: no execution is unfinished", "dim")
    elif len(reports) > 1:
        counts = {kind: sum(report.kind == kind for report in reports) for kind in _LOOKS}
        stderr.say(", ".join(f"{count} {kind}" for kind, count in counts.items() if count))
    if any(report.kind == "diverges" for report in reports):
        stderr.say("put the code back as it was, or let those end before it goes live", "dim")


def junit(reports: Sequence[Report]) -> str:
    """Returns the reports as JUnit XML: a test case for each execution."""
    failed = sum(report.kind == "diverges" for report in reports)
    skipped = sum(report.kind == "unknown" for report in reports)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name="polos replay" tests="{len(reports)}" failures="{failed}" skipped="{skipped}">',
    ]
    for report in reports:
        name = quoteattr(_xml(f"{report.execution.workflow_id} #{report.execution.number}"))
        lines.append(f'  <testcase classname="polos.replay" name={name} time="{report.took_ms / 1000:.3f}">')
        if report.divergence is not None:
            text = escape(_xml(f"{report.divergence.message}\nlikely: {report.divergence.likely}"))
            lines.append(f"    <failure message={quoteattr(_xml(report.divergence.message))}>{text}</failure>")
        elif report.kind == "unknown":
            lines.append(f"    <skipped message={quoteattr(_xml(report.message))}/>")
        elif report.message:
            lines.append(f"    <system-out>{escape(_xml(report.message))}</system-out>")
        lines.append("  </testcase>")
    return "\n".join([*lines, "</testsuite>", ""])


def _xml(text: str) -> str:
    """Leaves out what XML cannot hold."""
    return "".join(c for c in text if c in "\t\n" or " " <= c < "\ud800" or "\ue000" <= c <= "\ufffd" or c > "\uffff")
