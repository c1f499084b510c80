"""`polos open`: looks at the file that `polos export` has written, once it is checked. Runs nothing that is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polos.client.bundle import BundleClient
from polos.core.model import Execution
from polos_cli.commands.export import say_masked
from polos_cli.output import stderr, stdout
from polos_cli.output.sanitize import sanitize
from polos_cli.session import run_async


def command(
    bundle: Annotated[Path, typer.Argument(help="A file that polos export has written.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document: the manifest.")] = False,
) -> None:
    """Check a bundle, say what is in it, and how to look at it."""
    client = BundleClient(bundle)
    if as_json:
        stdout.document({"kind": "bundle", "v": 1, "file": str(bundle), **client.manifest})
        return
    found = run_async(_read(client))
    manifest = client.manifest
    stdout.data(sanitize(
        f"{manifest['workflow']} {manifest['number']}, {manifest['status']}: exported {manifest['exported_at']} from "
        f"{manifest['project']}, polos {manifest['polos']}, python {manifest['python']}"
    ))  # fmt: skip
    for one in found:
        stdout.data(
            sanitize(f"  {one.number:>6}  {one.workflow_id}  {one.status.value}  {one.error_type or ''}".rstrip())
        )
    say_masked(manifest)
    for what in (f"show {bundle}", f"replay {bundle}", f"logs {bundle}", f"diff {bundle} EXECUTION",
                 f"show {bundle}:{found[-1].number}"):  # fmt: skip
        stderr.say(f"  polos {what}", "dim")


async def _read(client: BundleClient) -> list[Execution]:
    async with client:
        return (await client.list(limit=100))[::-1]
