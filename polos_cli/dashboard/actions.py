"""What the dashboard does, each as a command does it: what to ask before, how it is done, and the equal command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from polos.client.client import Client
from polos.client.drive import SAME
from polos.core import jsontext
from polos.core.cut import superseded_by_retry
from polos.core.forks import Cut
from polos.core.manifest import Schedule
from polos.core.model import Execution, Kind, Outcome, PendingWait
from polos.core.status import TERMINAL, Status
from polos_cli.dashboard.reading import Whole
from polos_cli.view.edits import plan_lines

Done = Callable[[], Awaitable[str]]
"""Does it, and returns what there is to say of it."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that can be done, or why it cannot (`refusal`).

    Attributes:
        does: does it; `command`: does the same on the command line.
        question: what to ask before; empty: nothing is asked.
        more: other keys than yes and no, with what they do: whoever asks sees to them.
    """

    does: Done | None = None
    command: str = ""
    question: tuple[str, ...] = ()
    refusal: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


class CommandLine:
    """Commands for what the dashboard looks at, as text to copy and as words to run."""

    def __init__(self, database: str | None = None, bundle: str | None = None) -> None:
        self._database, self._bundle = database, bundle

    def reference(self, number: int) -> str:
        """Returns how commands name an execution."""
        return f"{self._bundle}:{number}" if self._bundle else str(number)

    def words(self, *words: str) -> list[str]:
        """Returns a command's words, without ``polos``."""
        return [*words, "--database", self._database] if self._database and not self._bundle else list(words)

    def text(self, *words: str) -> str:
        """Returns a command to copy."""
        return shlex.join(["polos", *self.words(*words)])

    async def run(self, words: list[str], columns: int) -> tuple[int, str]:
        """Runs a command of polos in a process of its own; returns its exit code and all that it said."""
        environment = os.environ | {"COLUMNS": str(columns), "NO_COLOR": "1"}
        starting = asyncio.ensure_future(asyncio.create_subprocess_exec(
            sys.executable, "-m", "polos_cli", *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env=environment,
        ))  # fmt: skip
        try:
            process = await asyncio.shield(starting)
            said, _ = await process.communicate()
        except asyncio.CancelledError:
            await _until_done(_end(starting))  # nobody waits for it any more, and nothing is left behind
            raise
        return process.returncode or 0, said.decode("utf-8", "replace")


async def _end(starting: asyncio.Future[asyncio.subprocess.Process]) -> None:
    process = await starting
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _until_done(ending: Coroutine[Any, Any, None]) -> None:
    """Goes on until it is done, however often this is cancelled meanwhile: what is waited for takes a moment."""
    task = asyncio.ensure_future(ending)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)


def to_json(value: Any, indent: bool = False) -> str:
    """Returns a value as it is typed."""
    return jsontext.dumps(value, indent=indent)


class Actions:
    """The deeds of one client."""

    def __init__(self, client: Client, line: CommandLine) -> None:
        self.client, self.line = client, line

    def cancel(self, one: Execution) -> Deed:
        """Ends an execution, and its children."""
        if one.status in TERMINAL:
            return Deed(refusal=f"cancel: {one.number} is {one.status.value}; there is nothing to cancel")

        async def does() -> str:
            stopped = await self.client.cancel(one)
            return (
                f"cancelled {one.number}"
                if one.number in stopped.ended
                else f"{one.number} ends once it has cleared up"
            )

        question = (f"Cancel {one.number} ({one.workflow_id}), and its children?",)
        return Deed(does, self.line.text("cancel", str(one.number)), question)

    def retry(self, whole: Whole) -> Deed:
        """Reopens an execution."""
        one = whole.execution
        if one.status not in (Status.FAILED, Status.CANCELLED, Status.BLOCKED):
            return Deed(refusal=f"retry: {one.number} is {one.status.value}, not failed, cancelled or blocked")
        taken = superseded_by_retry(whole.entries, one.cause_key)
        again = [entry.key for entry in taken if entry.outcome is Outcome.COMPLETED and entry.kind is not Kind.STOP]

        async def does() -> str:
            await self.client.retry(one)
            return f"{one.number} is tried again"

        told = [f"It goes on at {one.cause_key!r}, which runs again."] if one.cause_key else []
        told += [f"Completed steps that may run again: {', '.join(again)}"] if again else []
        words = ["retry", str(one.number), *(["--yes"] if again else [])]
        return Deed(does, self.line.text(*words), (f"Retry {one.number} ({one.workflow_id})?", *told))

    def fork(self, one: Execution, plan: Cut, edits: Mapping[str, Any], input: Any = SAME) -> Deed:
        """Starts a new execution with a part of this one's history."""

        async def does() -> str:
            made = await self.client.fork(one, plan.at, input=input, edits=edits)
            return f"execution {made.number} is a fork of {one.number}"

        words = ["fork", str(one.number), *(["--at", plan.at] if plan.at is not None else [])]
        words += [word for key, value in edits.items() for word in ("--set", f"{key}={to_json(value)}")]
        words += [] if input is SAME else ["--input", to_json(input)]
        where = "from its start" if plan.at is None else f"at {plan.at!r}"
        told = [f"{head:<13} {text}" for head, text in plan_lines(plan, edits)]
        told += [f"{'edits':<13} {key}: {to_json(value)[:200]}" for key, value in edits.items()]
        told += [] if input is SAME else [f"{'other input':<13} {to_json(input)[:200]}"]
        question = (f"Fork {one.number} ({one.workflow_id}) {where}? A new execution goes on from there:", *told)
        return Deed(does, self.line.text(*words), question, more={"e": "edit the values first"})

    def resume(self, one: Execution, wait: PendingWait, data: Any) -> Deed:
        """Answers a suspend."""

        async def does() -> str:
            await self.client.resume(one, wait.key, data)
            return f"answered {wait.key!r} of {one.number}"

        return Deed(does, self.line.text("resume", str(one.number), wait.key, to_json(data)))

    def publish(self, topic: str, data: Any) -> Deed:
        """Sends an event."""

        async def does() -> str:
            told = await self.client.publish(topic, data)
            effects = [
                f"{name} {', '.join(map(str, numbers))}"
                for name, numbers in (("woke", told.woken), ("started", told.started))
                if numbers
            ]
            return f"published on {topic}: {', '.join(effects) or 'nothing waits for it yet'}"

        return Deed(does, self.line.text("send-event", topic, to_json(data)))

    def start(self, workflow: str, payload: Any) -> Deed:
        """Starts a workflow."""

        async def does() -> str:
            handle = await self.client.invoke(workflow, payload)
            return f"started {handle.number} ({workflow})"

        given = [] if payload is None else [to_json(payload)]
        return Deed(does, self.line.text("invoke", workflow, *given))

    def schedule(self, one: Schedule, what: Literal["trigger", "pause", "resume"]) -> Deed:
        """Triggers, pauses or resumes a schedule."""
        rule = one.rule
        name = rule.workflow_id if rule.key == "global" else f"{rule.workflow_id}/{rule.key}"

        from polos import schedules

        async def does() -> str:
            if what == "trigger":
                handle = await schedules.trigger(self.client, one.id)
                return f"started {handle.number} ({rule.workflow_id})"
            await (schedules.pause if what == "pause" else schedules.resume)(self.client, one.id)
            return f"{what}d {name}"

        question = (f"Start {name} now?",) if what == "trigger" else ()
        return Deed(does, self.line.text("schedules", what, name), question)


def suspend_of(whole: Whole, key: str | None) -> PendingWait | None:
    """Returns the suspend to answer: the one of that step, else the first."""
    asks = [wait for wait in whole.waits if wait.kind is Kind.SUSPEND]
    return next((wait for wait in asks if wait.key == key), asks[0] if asks else None)


def event_of(whole: Whole | None, key: str | None) -> tuple[str, str]:
    """Returns the topic and the data of the event that an execution waits for, as far as they are known."""
    waits = [wait for wait in whole.waits if wait.kind is Kind.EVENT] if whole is not None else []
    for wait in sorted(waits, key=lambda wait: wait.key != key):
        request = orjson.loads(wait.request or "{}")
        return str(request.get("topic", "")), to_json(request.get("match") or {}, indent=True)
    return "", "{}"
