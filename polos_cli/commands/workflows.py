"""`polos workflows`: what the project defines, with input schemas. Imports the project; starts nothing."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from polos.authoring.registry import unknown
from polos.authoring.workflow import Workflow
from polos.core.durations import show_duration
from polos.core.forms import brief_of
from polos.core.manifest import Declared, EventTrigger
from polos.errors import NoProject
from polos_cli.output import stderr, stdout
from polos_cli.output.tables import Column, table
from polos_cli.session import client_for, modules_here, run_async, settings_for, workflow_here


def command(
    id: Annotated[str | None, typer.Argument(help="One workflow, with its input schema.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """List what the project defines, with input schemas."""
    settings = settings_for()
    if settings.database.startswith("http"):  # what the server's workers have told of
        _told(run_async(_declared()), id, as_json)
        return
    if id is not None:
        _one(workflow_here(settings, id), as_json)
        return
    if settings.project_root is None:
        raise NoProject("there is no polos project here or in a folder above", hint="start one: polos init")
    found = sorted(modules_here(settings), key=lambda workflow: workflow.id)
    if as_json:
        for workflow in found:
            stdout.line(_json(workflow))
        stdout.line({"kind": "end", "v": 1, "reason": "complete"})
        return
    rows = [[w.id, _fields(w), _started_by(w), _about(w)] for w in found]
    table([Column(head="id", fits=False), "input", "started by", "about"], rows)
    if not found:
        stderr.say(f"no workflows in {', '.join(settings.modules)}", "dim")


async def _declared() -> list[Declared]:
    async with client_for() as client:
        return await client.access().read(lambda store: store.declared())


def _told(found: list[Declared], id: str | None, as_json: bool) -> None:
    abouts = {one.workflow_id: orjson.loads(one.about or "{}") for one in found}
    if id is not None and id not in abouts:
        raise unknown(id, abouts)
    wanted = {id: abouts[id]} if id is not None else dict(sorted(abouts.items()))
    if as_json:
        for name, about in wanted.items():
            stdout.line({"kind": "workflow", "v": 1, "id": name, "description": about.get("description"),
                         "site": about.get("site"), "input_schema": about.get("input_schema")})  # fmt: skip
        if id is None:
            stdout.line({"kind": "end", "v": 1, "reason": "complete"})
    elif id is not None:
        about = wanted[id]
        stdout.data(f"{id}  ({about.get('site')})")
        if about.get("description"):
            stdout.data(str(about["description"]))
        stdout.data("input schema:")
        stdout.data(stdout.to_json(about.get("input_schema"), indent=True))
    else:
        rows = [[name, brief_of(about.get("input_schema") or {}), str(about.get("description") or "").partition("\n")[0]]
                for name, about in wanted.items()]  # fmt: skip
        table([Column(head="id", fits=False), "input", "about"], rows)


def _one(workflow: Workflow, as_json: bool) -> None:
    if as_json:
        stdout.document(_json(workflow))
        return
    stdout.data(f"{workflow.id}  ({workflow.site})")
    if workflow.description:
        stdout.data(workflow.description)
    if _started_by(workflow):
        stdout.data(f"started by {_started_by(workflow)}")
    if workflow.queue_rule is not None:
        limit = workflow.queue_rule.concurrency_limit
        stdout.data(f"queue {workflow.queue_rule.name}" + ("" if limit is None else f", {limit} at once"))
    stdout.data("input schema:")
    stdout.data(stdout.to_json(workflow.input_schema(), indent=True))


def _json(workflow: Workflow) -> dict[str, object]:
    return {
        "kind": "workflow", "v": 1, "id": workflow.id, "description": workflow.description, "site": workflow.site,
        "input_schema": workflow.input_schema(),
        "trigger": None if workflow.trigger is None else {
            "topic": workflow.trigger.topic, "batch_size": workflow.trigger.batch_size,
            "batch_timeout_ms": None if workflow.trigger.batch_timeout is None else workflow.trigger.batch_timeout // 1000,
        },
        "schedule": None if workflow.schedule is None else {
            "cron": workflow.schedule.cron, "timezone": workflow.schedule.timezone, "key": workflow.schedule.key,
            "catchup": workflow.schedule.catchup, "overlap": workflow.schedule.overlap,
        },
        "queue": None if workflow.queue_rule is None else {
            "name": workflow.queue_rule.name, "concurrency_limit": workflow.queue_rule.concurrency_limit
        },
    }  # fmt: skip


def _started_by(workflow: Workflow) -> str:
    found = [] if workflow.trigger is None else [_trigger(workflow.trigger)]
    if workflow.schedule is not None:
        zone = "" if workflow.schedule.timezone == "UTC" else f" {workflow.schedule.timezone}"
        found.append(f"the clock ({workflow.schedule.cron}{zone})")
    return "; ".join(found)


def _trigger(trigger: EventTrigger) -> str:
    if trigger.batch_size == 1:
        return f"events on {trigger.topic}"
    age = "" if trigger.batch_timeout is None else f", or after {show_duration(trigger.batch_timeout)}"
    return f"{trigger.batch_size} events on {trigger.topic}{age}"


def _about(workflow: Workflow) -> str:
    return (workflow.description or "").partition("\n")[0]


def _fields(workflow: Workflow) -> str:
    return brief_of(workflow.input_schema()) if workflow.takes_payload else "none"
