"""`polos export`: one execution, with all that belongs to it, as one file for a colleague. Changes nothing."""

from __future__ import annotations

import asyncio
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from polos.client.bundle import SUFFIX
from polos.core.masking import Masker
from polos.errors import UsageError
from polos.store import write_bundle
from polos_cli.output import stderr, stdout
from polos_cli.output.sanitize import sanitize
from polos_cli.session import client_for, clock, rfc3339, run_async, settings_for

_SHOWN = 8


def command(
    execution: Annotated[str, typer.Argument(help="A number, an id, the end of one, last, or last:WORKFLOW.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help=f"The file; default: WORKFLOW-NUMBER{SUFFIX} here.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    database: Annotated[str | None, typer.Option("--database", help="A database url; default: the project's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document: the manifest.")] = False,
) -> None:
    """Write an execution to one file: its tree, history, events and logs, with secrets masked."""
    manifest, path = run_async(_export(execution, out, force, database))
    if as_json:
        stdout.document({"kind": "exported", "v": 1, "file": str(path), **manifest})
        return
    stdout.data(sanitize(str(path)))
    noun = "execution" if manifest["executions"] == 1 else "executions"
    stderr.say(f"{manifest['executions']} {noun}, {path.stat().st_size / 1024:,.0f} KiB", "green")
    say_masked(manifest)
    stderr.say(f"look at it: polos open {path}", "dim")


async def _export(reference: str, out: Path | None, force: bool, database: str | None) -> tuple[dict[str, Any], Path]:
    settings = settings_for(database)
    async with client_for(database) as client:
        found = await client.get(reference)
    path = out or Path(f"{re.sub(r'[^A-Za-z0-9_.-]', '_', found.workflow_id)}-{found.number}{SUFFIX}")
    if path.suffix != SUFFIX:
        raise UsageError(f"a bundle's name ends in {SUFFIX}, so that commands know it: not {path}")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already", hint="name another file with -o, or write over it with --force")
    facts = {
        "id": found.id, "workflow": found.workflow_id, "status": found.status.value,
        "exported_at": rfc3339(clock.now()), "polos": version("polos-engine"),
        "python": platform.python_version(), "project": settings.name,
    }  # fmt: skip
    masker = Masker(settings.environment().values())
    manifest = await asyncio.to_thread(write_bundle, settings.database_path(), path, found.id, masker, facts)
    return manifest, path


def say_masked(manifest: dict[str, Any]) -> None:
    """Says what is masked in a bundle."""
    count = manifest["masked_count"]
    if not count:
        stderr.say("nothing in it looked secret; look yourself before you send it", "dim")
        return
    places = list(dict.fromkeys(f"{one['key'] or one['table']}{one['path']}" for one in manifest["masked"]))
    more = f", … ({len(places)} in all)" if len(places) > _SHOWN else ""
    stderr.say(sanitize(f"masked: {', '.join(places[:_SHOWN])}{more}"), "yellow")
