"""What the dashboard does to executions, each as a command does it: asked before, said after with the equal command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

import orjson

from polos.client.client import Client
from polos.core.cut import superseded_by_retry
from polos.core.model import Kind, Outcome
from polos.core.status import TERMINAL, Status
from polos_cli.dashboard.feed import Whole


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that can be done to what is shown, or why it cannot (`refusal`).

    Attributes:
        question: what to ask before; `command`: what does the same on the command line.
    """

    question: tuple[str, ...] = ()
    command: str = ""
    refusal: str = ""


def cancel(whole: Whole) -> Deed:
    """Returns what a cancel would do."""
    one = whole.execution
    if one.status in TERMINAL:
        return Deed(refusal=f"cancel: {one.number} is {one.status.value}; there is nothing to cancel")
    return Deed((f"cancel {one.number} ({one.workflow_id}), and its children?",), f"polos cancel {one.number}")


def retry(whole: Whole) -> Deed:
    """Returns what a retry would do."""
    one = whole.execution
    if one.status not in (Status.FAILED, Status.CANCELLED, Status.BLOCKED):
        return Deed(refusal=f"retry: {one.number} is {one.status.value}, not failed, cancelled or blocked")
    taken = superseded_by_retry(whole.entries, one.cause_key)
    again = [entry.key for entry in taken if entry.outcome is Outcome.COMPLETED and entry.kind is not Kind.STOP]
    told = (f"completed steps that may run again: {', '.join(again)}",) if again else ()
    return Deed(
        (f"retry {one.number} ({one.workflow_id})?", *told), f"polos retry {one.number}{' --yes' if again else ''}"
    )


def fork(whole: Whole, key: str | None) -> Deed:
    """Returns what a fork at a step would do."""
    one = whole.execution
    if key is None:
        return Deed(
            (f"start {one.number} ({one.workflow_id}) anew, as a fork that keeps nothing?",), f"polos fork {one.number}"
        )
    return Deed(
        (f"fork {one.number} ({one.workflow_id}) at {key!r}: a new execution goes on from there?",),
        f"polos fork {one.number} --at {shlex.quote(key)}",
    )


def answer(whole: Whole) -> tuple[Deed, str]:
    """Returns which suspend can be answered, and its key."""
    asks = [wait for wait in whole.waits if wait.kind is Kind.SUSPEND]
    if not asks:
        return Deed(refusal=f"answer: {whole.execution.number} asks nothing"), ""
    request = asks[0].request or "null"
    return Deed((f"answer {asks[0].key!r} of {whole.execution.number}", f"it asks: {request}")), asks[0].key


def event_of(whole: Whole | None) -> tuple[str, str]:
    """Returns the topic and the data of the event that an execution waits for, as far as they are known."""
    for wait in whole.waits if whole is not None else ():
        if wait.kind is Kind.EVENT:
            request = orjson.loads(wait.request or "{}")
            return str(request.get("topic", "")), orjson.dumps(
                request.get("match") or {}, option=orjson.OPT_INDENT_2
            ).decode()
    return "", "{}"


async def resume(client: Client, number: int, key: str, data: Any) -> str:
    """Answers, and returns the equal command."""
    await client.resume(number, key, data)
    return f"polos resume {number} {shlex.quote(key)} {shlex.quote(orjson.dumps(data).decode())}"


async def publish(client: Client, topic: str, data: Any) -> str:
    """Sends an event, and returns the equal command."""
    await client.publish(topic, data)
    return f"polos send-event {shlex.quote(topic)} {shlex.quote(orjson.dumps(data).decode())}"


async def start(client: Client, workflow: str, payload: Any) -> tuple[str, str]:
    """Starts a workflow; returns the execution's id and the equal command."""
    handle = await client.invoke(workflow, payload)
    return handle.id, f"polos invoke {workflow} {shlex.quote(orjson.dumps(payload).decode())}"
