"""`polos fork`: a new execution with the history of another one before a step, edited where told. Runs nothing itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
import typer

from polos.client.bundle import SUFFIX, BundleClient
from polos.client.drive import SAME
from polos.core import jsontext
from polos.core.forks import Cut
from polos.core.manifest import WorkerInfo
from polos.core.model import Execution
from polos.errors import UsageError
from polos.local.project import load_environment
from polos_cli.options import read_input
from polos_cli.output import stderr, stdout
from polos_cli.output.sanitize import clip, sanitize
from polos_cli.session import client_for, modules_here, reading, run_async, runner_of, settings_for
from polos_cli.view.edits import done_again, edited_part, plan_lines


def command(
    execution: Annotated[str, typer.Argument(help="A number, an id, the end of one, last, or last:WORKFLOW.")],
    at: Annotated[
        str | None, typer.Option(help="The step to go on from: it is the first to run again. None: all runs again.")
    ] = None,
    input: Annotated[str | None, typer.Option(help="Another input: JSON, or @file.json.")] = None,
    edits: Annotated[
        list[str] | None, typer.Option("--set", help="STEP=JSON: another outcome of a step before; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run again, and start nothing.")] = False,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Start a new execution with the history of one before a step, and what is edited of it; the old one stays.

    What had reached the code before it asked for STEP is kept, and does not run again; STEP and all after it do.
    """
    changes = _edits(edits or [])
    other = SAME if input is None else read_input([input])
    settings = settings_for(database)
    load_environment(settings)
    if other is not SAME:
        modules_here(settings)  # whose types the input is to fit
    source, plan, made, runner = run_async(_fork(execution, at, other, changes, dry_run, database))
    if as_json:
        stdout.document(
            {"kind": "fork", "v": 1, "source": source.number, "at": at, "id": made and made.id,
             "number": made and made.number, "workflow": source.workflow_id, "kept": [one.key for one in plan.kept],
             "edited": sorted(changes), "again": [{"step": key, "what": what} for key, what in done_again(plan)],
             "dry_run": dry_run}
        )  # fmt: skip
        return
    _say(source, plan, changes)
    if made is None:
        stderr.say("nothing was started (--dry-run)", "dim")
        return
    stdout.data(made.id)
    where = f"in process {runner.pid}: polos show {made.number}" if runner else f"polos run --attach {made.number}"
    stderr.say(f"execution {made.number} goes on from there, {where}" if runner else
               f"execution {made.number} is queued, and nothing runs it yet: {where}", "green")  # fmt: skip
    one = execution if SUFFIX in execution else source.number
    stderr.say(f"compare them: polos diff {one} {made.number}", "dim")


async def _fork(
    reference: str, at: str | None, input: Any, edits: dict[str, Any], dry_run: bool, database: str | None
) -> tuple[Execution, Cut, Execution | None, WorkerInfo | None]:
    held, name = reading(reference, database)
    async with held, client_for(database) as client:
        source = await held.get(name)
        plan = await held.fork_plan(source, at, edits)
        of = None
        if isinstance(held, BundleClient):
            _warn_masked(held, source, plan, edits, input is SAME)
            of = held
        if dry_run:
            return source, plan, None, None
        made = await client.get(await client.fork(source, at, input=input, edits=edits, source=of))
        return source, plan, made, await runner_of(client, made)


def _warn_masked(bundle: BundleClient, source: Execution, plan: Cut, edits: dict[str, Any], same_input: bool) -> None:
    """Says which of the kept outcomes were masked in the bundle: the fork would go on with stars."""
    kept = {one.key for one in plan.kept} - edits.keys()
    masked = [one for one in bundle.manifest["masked"] if one["execution"] == source.number]
    keys = {one["key"] for one in masked if one["table"] == "journal" and one["key"] in kept}
    told = [f"--set {key}=JSON" for key in sorted(keys)]
    if same_input and any(one["table"] == "input" for one in masked):
        told.append("--input JSON")
    if told:
        stderr.warn(f"what is kept has masked values (***); give others: {', '.join(told)}")


def _edits(words: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not (sign and key and text):
            raise UsageError(f"--set {word}: it is STEP=JSON", hint="for example --set 'validate={\"total\": 1}'")
        if key in found:
            raise UsageError(f"--set gives {key!r} twice")
        try:
            found[key] = jsontext.loads(text) if not text.startswith("@") else read_input([text])
        except ValueError as error:
            quoted = orjson.dumps(text).decode() if re.fullmatch(r"[\w .-]+", text) else "JSON"
            raise UsageError(f"--set {key}: {error}", hint=f"text is written in quotes: '{key}={quoted}'") from None
    return found


def _say(source: Execution, plan: Cut, edits: dict[str, Any]) -> None:
    where = "from the start" if plan.at is None else f"at {plan.at}"
    stderr.say(sanitize(f"a fork of {source.number} ({source.workflow_id}) {where}"), "bold")
    planned = dict(plan_lines(plan, edits))
    lines = [("keeps", planned.pop("keeps", ""))]
    kept = {one.key: one for one in plan.kept}
    for key, value in edits.items():
        entry = kept[key]
        was = entry.outcome.value
        if entry.value is not None:
            was = clip(sanitize(stdout.to_json(edited_part(entry.kind, entry.value))), 60)
        lines.append(("edits", f"{key}: {was} → {clip(sanitize(stdout.to_json(value)), 60)}"))
    for head, text in [*lines, *planned.items()]:
        if text:
            stderr.say(sanitize(f"  {head:<13} {text}"))
