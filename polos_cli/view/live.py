"""Follows an execution on the terminal until it ends: the live tree, its log lines, its questions. Starts nothing."""

from __future__ import annotations

import asyncio
import sys

from polos.client.client import Client
from polos.core import jsontext
from polos.core.completing import command_for
from polos.core.durations import SECOND, show_duration
from polos.core.model import Execution, PendingWait
from polos.core.status import TERMINAL, Status
from polos.errors import AlreadyResumed, ExecutionEnded
from polos_cli.output import stderr, style
from polos_cli.output.sanitize import Clean, join, sanitize
from polos_cli.output.style import Style
from polos_cli.session import clock
from polos_cli.view import prompt
from polos_cli.view.feed import TreeFeed
from polos_cli.view.model import ViewExecution, ViewStep
from polos_cli.view.render import tree_lines

LOOK_EVERY = 0.1
ASKED_ELSEWHERE = 0.3
"""Seconds after which a question that is open is looked at again: somebody else may have answered it."""
_PLAIN_STATES = ("completed", "failed", "timed_out", "waiting", "retrying", "cancelled")


class LiveView:
    """One execution's tree on stderr: rewritten in place on a terminal, one line a happening elsewhere."""

    def __init__(self) -> None:
        self._feed: TreeFeed | None = None
        self._live = stderr.Live()
        self._moves = style.can_move(sys.stderr)
        self._told: dict[tuple[int, str], str] = {}
        self._asked: set[tuple[int, str]] = set()
        self._hinted: set[tuple[int, str]] = set()
        self._root = 0

    def note(self, text: str, look: Style = "dim") -> None:
        """Says something above the tree."""
        self._above(stderr.paint(text, look))

    def warning(self, text: str) -> None:
        """Says a warning of the engine; from any thread."""
        stderr.warn(text)

    def close(self) -> None:
        """Leaves the tree as it is."""
        self._live.close()

    async def watch(self, client: Client, execution: Execution, timeout: float | None = None) -> Execution:
        """Shows the execution until it has ended or is blocked, or `timeout` seconds have passed, and returns it as it is then."""
        self._root = execution.number
        self._head(execution)
        began = clock.monotonic()
        deadline = None if timeout is None else began + timeout
        feed = self._feed = TreeFeed(client, execution)
        access = client.access()
        while True:
            waiting = access.changed(execution.id, LOOK_EVERY)
            now = await client.get(execution.id)
            await self._read(feed)
            self._show()
            if now.status in TERMINAL or now.status is Status.BLOCKED:
                waiting.cancel()
                self._finish(now, None)
                return now
            if deadline is not None and clock.monotonic() > deadline:
                waiting.cancel()
                self._finish(now, clock.monotonic() - began)
                return now
            await self._ask(client)
            await waiting

    def _head(self, execution: Execution) -> None:
        stderr.say(
            join(
                (
                    stderr.paint(execution.workflow_id, "bold"),
                    "  ",
                    stderr.paint(f"execution {execution.number}", "dim"),
                )
            )
        )

    async def _read(self, feed: TreeFeed) -> None:
        await feed.read()
        for execution in list(feed.tree.executions.values()):
            for line in await feed.lines(execution.id) if execution.id else ():
                where = f"{line.step_key}" if line.step_key else execution.workflow_id
                self._above(join(("  ", stderr.paint(f"{where} │", "dim"), " ", sanitize(line.text))))

    @property
    def _executions(self) -> dict[int, ViewExecution]:
        return {} if self._feed is None else self._feed.tree.executions

    def _above(self, line: Clean) -> None:
        if self._moves:
            self._live.above(line)
        else:
            stderr.say(line)

    def _show(self) -> None:
        root = self._executions.get(self._root)
        if root is None:
            return
        if self._moves:
            self._live.update(tree_lines(root, clock.now(), style.columns() - 1))
        else:
            self._tell(root)

    def _tell(self, execution: ViewExecution, prefix: str = "") -> None:
        """Without a terminal: one line whenever a step's state changes."""
        now = clock.now()
        for step in execution.steps.values():
            mark = (execution.number, step.key)
            if step.state in _PLAIN_STATES and self._told.get(mark) != step.state:
                self._told[mark] = step.state
                single = ViewExecution(number=0, steps={step.key: step})
                stderr.say(join((" ", prefix, *tree_lines(single, now, 200, least=24))))
        for child in execution.children:
            self._tell(child, f"{prefix}{child.workflow_id} {child.number} ")

    def _finish(self, execution: Execution, watched: float | None) -> None:
        """`watched`: the seconds after which it was left as it is."""
        self._show()
        self._live.close()
        words = execution.status.value
        if watched is not None:
            words = f"is still {words}; watched for {show_duration(round(watched * SECOND))}"
        elif execution.ended_at is not None:
            words = f"{words} in {show_duration(execution.ended_at - execution.created_at)}"
        stderr.say(words, style.look(execution.status).style)

    # ── questions ────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, client: Client) -> None:
        for execution in list(self._executions.values()):
            for step in list(execution.steps.values()):
                mark = (execution.number, step.key)
                if step.state != "waiting" or mark in self._asked:
                    continue
                if step.kind == "suspend":
                    await self._answer(client, execution, step)
                elif step.kind == "event" and mark not in self._hinted:
                    self._hinted.add(mark)
                    if wait := await self._wait(client, execution.id, step.key):
                        self._above(
                            sanitize(f"  send it, from another terminal: {command_for(execution.number, wait)}")
                        )

    async def _answer(self, client: Client, execution: ViewExecution, step: ViewStep) -> None:
        self._asked.add((execution.number, step.key))
        wait = await self._wait(client, execution.id, step.key)
        if wait is None:
            return  # it has just been answered
        if not prompt.is_there():
            command = command_for(execution.number, wait)
            self._above(sanitize(f"  {step.key} waits for an answer. From another terminal: {command}"))
            return
        data = jsontext.loads(wait.request or "null")
        self._live.close()
        for line in prompt.question_of(data, step.key):
            stderr.say(f"  {line}")
        asking = asyncio.ensure_future(prompt.answer_for(data))
        try:
            while not asking.done():
                await asyncio.wait({asking}, timeout=ASKED_ELSEWHERE)
                if not asking.done() and await self._wait(client, execution.id, step.key) is None:
                    stderr.say("\n  answered elsewhere", "dim")
                    return
            given, answer = asking.result()
        finally:
            asking.cancel()
        if not given:
            stderr.say(f"  left open; answer later: polos resume {execution.number} {step.key}", "dim")
            return
        try:
            await client.resume(execution.id, step.key, answer)
        except (AlreadyResumed, ExecutionEnded):
            stderr.say("  it was answered elsewhere meanwhile; this answer was not used", "yellow")

    async def _wait(self, client: Client, execution_id: str, key: str) -> PendingWait | None:
        waits = await client.access().read(lambda store: store.waits(execution_id))
        return next((wait for wait in waits if wait.key == key), None)
