"""Today's code against a recorded history: it continues, diverges with both lines, or it is said why that is not known."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from polos import Workflow, WorkflowContext
from polos.authoring.registry import Registry
from polos.clock import SystemClock, SystemRng, TimeOrderedIds
from polos.core.model import Outcome
from polos.testing import PolosEnv
from polos.testing.executions import TestedExecution
from polos.worker.replay import History, Replayer, Verdict, silence

ran: list[str] = []


def body(name: str, value: Any = None) -> Callable[[], Any]:
    def run() -> Any:
        ran.append(name)
        return value

    return run


def _workflow(fn: Any) -> Workflow:
    return Workflow(fn, id="order", description=None, run_timeout_seconds=None)


async def recorded(ctx: WorkflowContext) -> str:
    await ctx.step.run("validate", body("validate"))
    await ctx.step.run("charge", body("charge", {"total": 1}))
    await ctx.step.wait_for_event("approval", topic="approval")
    return "done"


class Charged(BaseModel):
    total: int
    currency: str


def charge() -> Charged:
    raise AssertionError("not run")


def history_of(env: PolosEnv, execution: TestedExecution) -> History:
    """Returns what is recorded of an execution."""
    return History(
        execution=execution.record, entries=execution.journal, pending=execution.waits, attempts=execution.attempts
    )


def replay(fn: Any, history: History, **options: Any) -> Verdict:
    async def run() -> Verdict:
        registry = Registry([_workflow(fn)] if fn else [])
        replayer = Replayer(registry, clock=SystemClock(), ids=TimeOrderedIds(), rng=SystemRng())
        return await replayer.replay(history, **options)

    return asyncio.run(run())


@pytest.fixture
def waiting() -> Iterator[History]:
    with PolosEnv([_workflow(recorded)]) as env:
        history = history_of(env, env.start("order"))
    ran.clear()
    assert [entry.key for entry in history.entries] == ["validate", "charge"]
    assert [wait.key for wait in history.pending] == ["approval"]
    yield history


def test_the_same_code_continues_and_no_body_runs(waiting: History) -> None:
    verdict = replay(recorded, waiting)
    assert (verdict.kind, verdict.delivered, verdict.recorded, verdict.changed) == ("continues", 2, 2, ())
    assert ran == []


def test_code_that_goes_on_differently_after_the_history_continues(waiting: History) -> None:
    async def changed(ctx: WorkflowContext) -> str:
        await ctx.step.run("validate", body("validate"))
        await ctx.step.run("charge", body("charge"))
        await asyncio.gather(ctx.step.wait_for_event("approval", topic="approval"), ctx.step.run("new", body("new")))
        return "done"

    assert replay(changed, waiting).kind == "continues"
    assert ran == []


def test_a_renamed_step_diverges_with_both_lines(waiting: History) -> None:
    async def changed(ctx: WorkflowContext) -> None:
        await ctx.step.run("validate", body("validate"))
        await ctx.step.run("refund", body("refund"))

    verdict = replay(changed, waiting)
    assert verdict.kind == "diverges"
    told = orjson.loads(verdict.reason)
    assert (told["kind"], told["step"], told["asked"]) == ("diverged", "charge", "refund")
    assert "test_replay.py:" in told["recorded_site"] and "test_replay.py:" in told["site"]
    assert told["recorded_site"] != told["site"]
    assert ran == []


def test_code_that_ends_before_its_history_diverges(waiting: History) -> None:
    async def changed(ctx: WorkflowContext) -> None:
        await ctx.step.run("validate", body("validate"))

    assert "returned without asking for it" in replay(changed, waiting).message


def test_a_changed_kind_diverges(waiting: History) -> None:
    async def changed(ctx: WorkflowContext) -> None:
        await ctx.step.run("validate", body("validate"))
        await ctx.step.run("charge", body("charge"))
        await ctx.step.wait_for("approval", hours=1)

    assert "kind sleep" in replay(changed, waiting).message


def test_a_value_that_does_not_fit_its_model_any_more_diverges(waiting: History) -> None:
    async def changed(ctx: WorkflowContext) -> None:
        await ctx.step.run("validate", body("validate"))
        await ctx.step.run("charge", charge)

    verdict = replay(changed, waiting)
    assert verdict.kind == "diverges" and orjson.loads(verdict.reason)["kind"] == "stored_value_mismatch"


def test_code_that_would_end_at_once_is_told_how(waiting: History) -> None:
    async def raises(ctx: WorkflowContext) -> None:
        await ctx.step.run("validate", body("validate"))
        await ctx.step.run("charge", body("charge"))
        waits = asyncio.ensure_future(ctx.step.wait_for_event("approval", topic="approval"))
        await asyncio.sleep(0)
        assert not waits.done()
        raise ValueError("no")

    verdict = replay(raises, waiting)
    assert (verdict.kind, verdict.ends) == ("continues", Outcome.FAILED)


def test_a_workflow_that_is_gone_is_not_known(waiting: History) -> None:
    verdict = replay(None, waiting)
    assert verdict.kind == "unknown" and "no workflow 'order'" in verdict.message


def test_code_that_waits_outside_its_steps_before_its_history_ends_is_not_known(waiting: History) -> None:
    async def changed(ctx: WorkflowContext) -> None:
        await ctx.step.run("validate", body("validate"))
        reader, writer = await asyncio.open_connection(*listening)
        try:
            await reader.read()
        finally:
            writer.close()
        await ctx.step.run("charge", body("charge"))

    with socket.create_server(("127.0.0.1", 0)) as server:
        listening = server.getsockname()
        verdict = replay(changed, waiting, timeout=5.0)
    assert verdict.kind == "unknown" and __file__ in verdict.message


def test_code_that_never_rests_is_not_known(waiting: History) -> None:
    async def changed(ctx: WorkflowContext) -> None:
        while True:
            await asyncio.sleep(0)

    verdict = replay(changed, waiting, timeout=0.2)
    assert verdict.kind == "unknown" and "did not come to rest" in verdict.message


def test_what_replayed_code_prints_is_not_shown(waiting: History, capsys: pytest.CaptureFixture[str]) -> None:
    async def changed(ctx: WorkflowContext) -> None:
        print("printed")
        logging.getLogger("app").error("logged")
        await ctx.step.run("validate", body("validate"))

    with silence():
        replay(changed, waiting)
    print("shown")
    assert capsys.readouterr().out == "shown\n"
