"""What a worker says of its code: workflows, what they declare, whether a payload fits. Says nothing of executions."""

from __future__ import annotations

from dataclasses import replace

import orjson

from polos.authoring.registry import Registry
from polos.authoring.workflow import Workflow
from polos.core.codec import plain
from polos.core.manifest import Declared, WorkerInfo
from polos.core.model import Stored
from polos.errors import LeaseLost
from polos.ports import Checker


def with_manifest(worker: WorkerInfo, registry: Registry) -> WorkerInfo:
    """Returns who a worker is, with what its code declares."""
    return replace(
        worker,
        workflow_ids=tuple(registry.names),
        aliases=registry.aliases,
        declared=tuple(_declared(w, in_full=worker.complete) for w in registry),
        triggers=tuple(w.trigger for w in registry if w.trigger is not None),
        schedules=tuple(w.schedule for w in registry if w.schedule is not None),
        queues=tuple(registry.queues),
    )


def _declared(workflow: Workflow, in_full: bool) -> Declared:
    """Returns a workflow as a manifest has it; `in_full`: with what people want to know of it."""
    if not in_full:
        return Declared(workflow_id=workflow.id, queue=workflow.queue)
    try:
        schema = workflow.input_schema()
    except Exception:  # a user's type may refuse to be described; the workflow runs all the same
        schema = {}
    about = {"description": workflow.description, "site": workflow.site, "input_schema": schema}
    return Declared(workflow_id=workflow.id, queue=workflow.queue, about=orjson.dumps(about, default=str).decode())


def checker_of(registry: Registry) -> Checker:
    """Returns what tells whether a payload fits a workflow of the registry, and how it is stored."""

    async def check(workflow_id: str, payload: Stored) -> Stored:
        workflow = registry.get(workflow_id)
        if workflow is None:
            raise LeaseLost(f"no workflow {workflow_id!r} here any more")
        return workflow.encode_input(plain(payload))

    return check
