"""What a step returns is what the code sees, on the first run and after a kill (S1.4, S3); what cannot be, says so."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from polos import (
    DuplicateStepKey,
    ExecutionFailed,
    InvalidInput,
    Polos,
    RecordedError,
    StepExecutionError,
    UnserializableResult,
    Workflow,
    WorkflowContext,
    workflow,
)
from tests.crash import ledger
from tests.crash.harness import Place
from tests.crash.values_program import VALUES


def test_values_are_equal_on_the_first_run_and_after_a_kill(tmp_path: Path) -> None:
    place = Place(tmp_path)
    code, said = place.start(None, "tests.crash.values_program", die=True)
    assert code == -signal.SIGKILL, said
    first = ledger.read(place.ledger)
    assert [saw.key for saw in first.saw] == list(VALUES)
    code, said = place.start(None, "tests.crash.values_program")
    assert code == 0, said
    facts = ledger.read(place.ledger)
    assert {saw.key: saw.value for saw in facts.saw if saw.value != "alike"} == {}
    assert Counter(saw.key for saw in facts.saw) == dict.fromkeys(VALUES, 2)
    assert Counter(ran.key for ran in facts.ran) == dict.fromkeys(VALUES, 1)
    assert list(facts.results.values()) == [{str(len(VALUES))}]


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────


def declared(fn: Callable[..., Any]) -> Workflow:
    """A workflow that is in no registry."""
    return Workflow(fn, id=None, description=None, run_timeout_seconds=None)


def run_failing(path: Path, flow: Workflow, payload: Any = None) -> ExecutionFailed:
    """Runs a workflow that fails, twice: the second engine reads the failure from the file."""

    async def main(run: Callable[[Polos], Any]) -> ExecutionFailed:
        async with Polos(f"sqlite:///{path}", workflows=[flow], run_on="caller", echo=False) as polos:
            with pytest.raises(ExecutionFailed) as raised:
                await polos.result(await run(polos), timeout=20)
            return raised.value

    first = asyncio.run(main(lambda polos: polos.invoke(flow, payload)))

    async def same(polos: Polos) -> Any:
        return (await polos.list())[0].id

    again = asyncio.run(main(same))
    assert str(again) == str(first)
    return first


async def one() -> int:
    return 1


def test_a_key_used_twice_names_both_lines_and_a_way_out(tmp_path: Path) -> None:
    facts: list[DuplicateStepKey] = []

    async def twice(ctx: WorkflowContext) -> int:
        await ctx.step.run("same", one)
        try:
            await ctx.step.run("same", one)
        except DuplicateStepKey as error:
            facts.append(error)
            raise
        return 0

    failed = run_failing(tmp_path / "polos.db", declared(twice))
    (error,) = facts
    line = twice.__code__.co_firstlineno
    assert "'same'" in error.message
    assert f"test_values.py:{line + 1}" in error.message and f"test_values.py:{line + 3}" in error.message
    assert "loop variable" in error.hint
    assert failed.error_type == "DuplicateStepKey"
    assert error.message in str(failed)
    assert isinstance(failed.__cause__, RecordedError)


def test_a_result_that_cannot_be_stored_names_path_and_type_and_runs_once(tmp_path: Path) -> None:
    ran: list[int] = []
    caught: list[StepExecutionError] = []

    def bad() -> Any:
        ran.append(1)
        return {"ok": 1, "deep": [0, {"it": object()}]}

    async def stores(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.run("bad", bad)
        except StepExecutionError as error:
            caught.append(error)
            raise

    failed = run_failing(tmp_path / "polos.db", declared(stores))
    assert len(ran) == 1
    (error,) = caught
    assert isinstance(error, UnserializableResult)
    assert error.step_key == "bad"
    assert "/deep/1/it" in str(error) and "object" in str(error)
    assert failed.error_type == "UnserializableResult"
    assert "/deep/1/it" in str(failed)


class Order(BaseModel):
    sku: str
    count: int


@workflow(id="takes_an_order")
async def takes_an_order(ctx: WorkflowContext, order: Order) -> int:
    return order.count


def test_a_bad_payload_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    async def main() -> None:
        async with Polos(f"sqlite:///{tmp_path / 'polos.db'}", workflows=[takes_an_order], run_on="caller") as polos:
            with pytest.raises(InvalidInput) as raised:
                await polos.invoke(takes_an_order, {"sku": "a", "count": "many"})
            assert [path for path, _ in raised.value.errors] == ["/count"] or "count" in str(raised.value.errors)
            assert "takes_an_order" in raised.value.message
            assert "count" in str(raised.value)
            assert await polos.list() == []
            assert await polos.result(await polos.invoke(takes_an_order, {"sku": "a", "count": 2}), timeout=20) == 2

    asyncio.run(main())
