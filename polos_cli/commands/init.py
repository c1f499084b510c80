"""`polos init`: writes a small working project. Overwrites nothing and installs nothing."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from polos_cli.output import stderr, stdout
from polos_cli.scaffold.plan import Plan, plan_project, write_project

# The first command to type in each template's project.
FIRST_RUN = {
    "hello": "polos run hello name=Ada",
    "approval": "polos run approval item=Laptop amount:=1200",
    "schedule": "polos run daily_report",
}


def command(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; made if need be.")] = Path(),
    template: Annotated[str, typer.Option("--template", "-t", help="hello, approval or schedule.")] = "hello",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Write a small working project: workflows, a test, settings and a README. Nothing is overwritten."""
    plan = plan_project(directory, template)
    write_project(plan)
    following = next_commands(plan)
    if as_json:
        files = [str(path) for path, _ in plan.files]
        stdout.document(
            {
                "kind": "project",
                "v": 1,
                "folder": plan.folder,
                "template": plan.template,
                "files": files,
                "next": following,
            }
        )
        return
    for path, _ in plan.files:
        stdout.data(str(directory / path))
    stderr.say()
    stderr.say("next:", "dim")
    for line in following:
        stderr.say(f"  {line}", "bold")


def next_commands(plan: Plan) -> list[str]:
    """Returns what to type next, from the current folder."""
    run = FIRST_RUN.get(plan.template, "polos workflows")
    if os.path.realpath(plan.folder) == os.path.realpath(Path.cwd()):
        return [run]
    shown = os.path.relpath(plan.folder)
    return [f"cd {shlex.quote(str(plan.folder) if shown.startswith('..') else shown)}", run]
