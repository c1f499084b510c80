"""`polos workflows`: what the project defines, with input schemas. Imports the project; starts nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from polos.authoring.workflow import Workflow
from polos.errors import NoProject
from polos.local.project import load_project, workflow_named
from polos_cli.output import stderr, stdout
from polos_cli.output.tables import Column, table
from polos_cli.session import settings_for


def command(
    id: Annotated[str | None, typer.Argument(help="One workflow, with its input schema.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """List what the project defines, with input schemas."""
    settings = settings_for()
    if id is not None:
        _one(workflow_named(settings, id), as_json)
        return
    if settings.project_root is None:
        raise NoProject("there is no polos project here or in a folder above", hint="start one: polos init")
    found = sorted(load_project(settings), key=lambda workflow: workflow.id)
    if as_json:
        for workflow in found:
            stdout.line(_json(workflow))
        stdout.line({"kind": "end", "v": 1, "reason": "complete"})
        return
    table([Column(head="id", fits=False), "input", "about"], [[w.id, _fields(w), _about(w)] for w in found])
    if not found:
        stderr.say(f"no workflows in {', '.join(settings.modules)}", "dim")


def _one(workflow: Workflow, as_json: bool) -> None:
    if as_json:
        stdout.document(_json(workflow))
        return
    stdout.data(f"{workflow.id}  ({workflow.site})")
    if workflow.description:
        stdout.data(workflow.description)
    stdout.data("input schema:")
    stdout.data(stdout.to_json(workflow.input_schema(), indent=True))


def _json(workflow: Workflow) -> dict[str, object]:
    return {
        "kind": "workflow", "v": 1, "id": workflow.id, "description": workflow.description, "site": workflow.site,
        "input_schema": workflow.input_schema(),
    }  # fmt: skip


def _about(workflow: Workflow) -> str:
    return (workflow.description or "").partition("\n")[0]


def _fields(workflow: Workflow) -> str:
    if not workflow.takes_payload:
        return "none"
    schema = workflow.input_schema()
    reference = schema.get("$ref")
    if isinstance(reference, str):
        schema = schema.get("$defs", {}).get(reference.rpartition("/")[2], {})
    required = set(schema.get("required", []))
    names = [name if name in required else f"[{name}]" for name in schema.get("properties", {})]
    return " ".join(names) or schema.get("type", "any")
