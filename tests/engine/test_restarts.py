"""Stops and starts: graceful, after a death, with the same code and with other code (S1.7, S8.2, S8.3)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, field_validator

from polos import (
    ExecutionFailed,
    ExecutionHandle,
    InvalidInput,
    PolosClient,
    Workflow,
    WorkflowContext,
    current_step,
    workflow,
)
from polos.authoring.registry import REGISTRY
from polos.core.model import Execution, Stored
from polos.core.status import Status
from tests.conformance.processes import environment
from tests.engine.conftest import Engine
from tests.engine.looks import is_set, until, waits


def reason(found: Execution) -> dict[str, Any]:
    assert found.status is Status.BLOCKED and found.blocked_reason is not None
    return orjson.loads(found.blocked_reason)


async def test_a_graceful_stop_lets_bodies_finish_and_the_next_start_goes_on(engine: Engine) -> None:
    started, let_go = threading.Event(), threading.Event()
    ran: list[str] = []

    def body(name: str) -> str:
        ran.append(name)
        started.set()
        let_go.wait(10)
        return name

    @workflow
    async def two(ctx: WorkflowContext) -> list[str]:
        return [await ctx.step.run("one", body, "one"), await ctx.step.run("two", body, "two")]

    async with engine(two) as polos:
        handle = await two.invoke(polos)
        await is_set(started)
        worker = polos.host.worker
        assert worker is not None
        stopping = asyncio.create_task(polos.__aexit__(None, None, None))
        async with asyncio.timeout(10):
            while not worker._stopping:
                await asyncio.sleep(0.002)
        let_go.set()
        await stopping
    assert ran == ["one"]
    async with engine(two) as polos:
        found = await polos.get(handle.id)
        assert await polos.result(handle.id, 10) == ["one", "two"]
        assert (found.deaths, polos.host.taken_over) == (0, 0)
    assert ran == ["one", "two"]


async def test_a_stop_that_cannot_wait_gives_the_execution_back_with_no_death_counted(engine: Engine) -> None:
    started = threading.Event()
    attempts: list[int] = []

    async def body() -> str:
        attempts.append(current_step().attempt)  # type: ignore[union-attr]
        started.set()
        if len(attempts) == 1:
            await asyncio.sleep(60)
        return "done"

    @workflow
    async def slow(ctx: WorkflowContext) -> str:
        return await ctx.step.run("a", body)

    async with engine(slow) as polos:
        handle = await slow.invoke(polos)
        await is_set(started)
        await polos._there(polos.host.stop(grace=0.01))
        polos._host = None
    async with engine(slow) as polos:
        assert polos.host.taken_over == 0
        assert await polos.result(handle.id, 10) == "done"
    assert attempts == [1, 1]


DIES = """
import asyncio, os, sys
from polos import Polos, workflow, current_step

def body():
    print(current_step().attempt, flush=True)
    if sys.argv[2] == "die":
        os._exit(9)
    return "alive"

@workflow
async def dies(ctx):
    await ctx.step.run("before", int)
    return await ctx.step.run("body", body)

async def main():
    async with Polos(sys.argv[1], durability="relaxed", workflows=[dies]) as polos:
        if (await polos.list()) == []:
            await dies.invoke(polos)
        print(await polos.result(1, 10), flush=True)

asyncio.run(main())
"""


def test_a_start_takes_over_what_a_dead_process_held_and_counts_its_deaths(url: str, tmp_path: Path) -> None:
    def go(how: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", DIES, url, how], env=environment(), cwd=tmp_path, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    assert go("die") == (9, "1\n")
    assert go("die") == (9, "2\n")
    assert go("live") == (0, "3\nalive\n")


async def test_steps_with_an_outcome_never_run_again_over_many_restarts(engine: Engine) -> None:
    ran: list[int] = []

    @workflow
    async def long(ctx: WorkflowContext) -> list[int]:
        got = []
        for n in range(4):
            got.append(await ctx.step.run(f"s{n}", lambda n=n: (ran.append(n), n)[1]))
            await ctx.step.wait_for_event(f"e{n}", "go")
        return got

    async with engine(long) as polos:
        handle = await long.invoke(polos)
        await waits(polos, handle, "e0")
    for n in range(4):
        async with engine(long) as polos:
            await polos.publish("go")
            if n < 3:
                await waits(polos, handle, f"e{n + 1}")
            else:
                assert await polos.result(handle.id, 10) == [0, 1, 2, 3]
    assert ran == [0, 1, 2, 3]


# ── other code ───────────────────────────────────────────────────────────────────────────────────────────


def code(first: str, second: str = "charge", kind: str = "run") -> Any:
    """A workflow of one id, in versions."""

    @workflow(id="engine-tests.versions")
    async def versions(ctx: WorkflowContext) -> list[Any]:
        a = await ctx.step.run(first, str, first)
        if kind == "run":
            b = await ctx.step.run(second, str, second)
        else:
            b = await ctx.step.uuid(second)
        await ctx.step.wait_for_event("go", "go")
        return [a, b]

    return versions


async def parked(engine: Engine, versions: Any, key: str = "go") -> Any:
    async with engine(versions) as polos:
        handle = await versions.invoke(polos)
        await waits(polos, handle, key)
        await polos.publish("go")
        return handle


async def test_a_renamed_step_blocks_with_both_lines_and_the_old_code_unblocks_it(engine: Engine) -> None:
    old, new = code("reserve"), code("hold")

    async with engine(old) as polos:
        handle = await old.invoke(polos)
        await waits(polos, handle, "go")
    async with engine(new) as polos:
        await polos.publish("go")
        why = reason(await until(polos, handle, "blocked"))
        entries = await polos.journal(handle.id)
    line = old.fn.__code__.co_firstlineno + 2
    assert why["kind"] == "diverged"
    assert "'reserve'" in why["message"] and "'hold'" in why["message"]
    assert why["message"].count(f"test_restarts.py:{line}") == 2
    assert [e.key for e in entries] == ["reserve", "charge", "go"]
    async with engine(new) as polos:  # another start with the wrong code changes nothing
        assert (await polos.get(handle.id)).status is Status.BLOCKED
    async with engine(old) as polos:
        assert (await polos.retry(handle.id)).reopened
        assert await polos.result(handle.id, 10) == ["reserve", "charge"]


async def test_a_changed_kind_blocks(engine: Engine) -> None:
    old, new = code("a"), code("a", kind="value")
    async with engine(old) as polos:
        handle = await old.invoke(polos)
        await waits(polos, handle, "go")
    async with engine(new) as polos:
        await polos.publish("go")
        why = reason(await until(polos, handle, "blocked"))
    assert why["kind"] == "diverged" and "kind value" in why["message"] and why["step"] == "charge"


async def test_code_that_ends_too_early_blocks_and_records_no_end(engine: Engine) -> None:
    old = code("a")

    @workflow(id="engine-tests.versions")
    async def new(ctx: WorkflowContext) -> str:
        return "nothing to do"

    async with engine(old) as polos:
        handle = await old.invoke(polos)
        await waits(polos, handle, "go")
    async with engine(new) as polos:
        await polos.publish("go")
        found = await until(polos, handle, "blocked")
    assert "returned without asking" in reason(found)["message"]
    assert found.result is None


async def test_a_step_added_behind_the_history_is_no_divergence(engine: Engine) -> None:
    old = code("a")

    @workflow(id="engine-tests.versions")
    async def new(ctx: WorkflowContext) -> list[Any]:
        a = await ctx.step.run("a", str, "a")
        b = await ctx.step.run("charge", str, "not run again")
        await ctx.step.wait_for_event("go", "go")
        return [a, b, await ctx.step.run("added", str, "new")]

    async with engine(old) as polos:
        handle = await old.invoke(polos)
        await waits(polos, handle, "go")
    async with engine(new) as polos:
        await polos.publish("go")
        assert await polos.result(handle.id, 10) == ["a", "charge", "new"]


class Narrow(BaseModel):
    n: int


class Size(BaseModel):
    size: int

    @field_validator("size", mode="before")
    @classmethod
    def by_name(cls, name: str) -> int:
        return {"s": 1, "m": 2}[name]


class Wide(BaseModel):
    n: int
    needed: str


async def test_a_stored_value_that_no_longer_fits_blocks_before_user_code_sees_it(engine: Engine) -> None:
    def version(kind: type[BaseModel]) -> Any:
        def load() -> kind:  # type: ignore[valid-type]
            return Narrow(n=1)

        @workflow(id="engine-tests.values")
        async def values(ctx: WorkflowContext) -> str:
            loaded = await ctx.step.run("load", load)
            await ctx.step.wait_for_event("go", "go")
            return type(loaded).__name__

        load.__annotations__["return"] = kind
        return values

    old, new = version(Narrow), version(Wide)
    async with engine(old) as polos:
        handle = await old.invoke(polos)
        await waits(polos, handle, "go")
    async with engine(new) as polos:
        await polos.publish("go")
        why = reason(await until(polos, handle, "blocked"))
    assert why["kind"] == "stored_value_mismatch" and "'load'" in why["message"] and "needed" in why["message"]
    async with engine(old) as polos:
        await polos.retry(handle.id)
        assert await polos.result(handle.id, 10) == "Narrow"


async def test_a_payload_that_no_longer_fits_blocks_an_execution_that_has_begun(engine: Engine) -> None:
    def version(kind: Any) -> Any:
        async def payload(ctx: WorkflowContext, input: Any) -> str:
            await ctx.step.wait_for_event("go", "go")
            return type(input).__name__

        payload.__annotations__["input"] = kind
        return workflow(id="engine-tests.payload")(payload)

    for first in (dict, Narrow):
        old, new = version(first), version(Wide)
        async with engine(old) as polos:
            handle = await old.invoke(polos, {"n": 1})
            await waits(polos, handle, "go")
        async with engine(new) as polos:
            await polos.publish("go")
            assert reason(await until(polos, handle, "blocked"))["kind"] == "stored_value_mismatch"
        async with engine(old) as polos:
            await polos.retry(handle.id)
            assert await polos.result(handle.id, 10) == first.__name__


async def invoked_elsewhere(url: str, flow: Workflow, *payloads: Any) -> list[ExecutionHandle[Any]]:
    """Starts it by its id, as a program does that does not have its code: unchecked."""
    client = PolosClient(url)
    known = REGISTRY._by_id.pop(flow.id)
    try:
        return [await client.invoke(flow.id, payload) for payload in payloads]
    finally:
        REGISTRY.add(known)
        await client.close()


async def test_a_bare_ids_bad_input_fails_at_the_first_claim(engine: Engine, url: str) -> None:
    @workflow(id="engine-tests.bare")
    async def bare(ctx: WorkflowContext, input: Wide) -> str:
        return input.needed

    good, bad = await invoked_elsewhere(url, bare, {"n": 1, "needed": "x"}, {"n": "one"})
    async with engine(bare) as polos:
        assert await polos.result(good.id, 10) == "x"
        with pytest.raises(ExecutionFailed, match="needed") as failed:
            await polos.result(bad.id, 10)
        assert failed.value.error_type == "InvalidInput"


async def test_a_validator_that_breaks_is_a_wrong_input_and_ends_no_worker(engine: Engine, url: str) -> None:
    @workflow(id="engine-tests.sized")
    async def sized(ctx: WorkflowContext, input: Size) -> int:
        return input.size

    bad, good = await invoked_elsewhere(url, sized, {"size": "xl"}, {"size": "m"})
    async with engine(sized) as polos:
        assert await polos.result(good.id, 10) == 2, "the worker goes on"
        with pytest.raises(ExecutionFailed, match="its validator raised KeyError: 'xl'"):
            await polos.result(bad.id, 10)
        with pytest.raises(InvalidInput, match="its validator raised KeyError: 'xl'"):
            await sized.invoke(polos, {"size": "xl"})


async def test_whatever_a_stored_input_raises_holds_its_execution_alone(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @workflow(id="engine-tests.odd")
    async def odd(ctx: WorkflowContext, n: int) -> int:
        return n

    def decode(flow: Workflow, stored: Stored, created_at: int = 0) -> Any:
        return {"1": 1}[stored.text]

    bad, good = await invoked_elsewhere(url, odd, 2, 1)
    monkeypatch.setattr(Workflow, "decode_input", decode)
    async with engine(odd) as polos:
        assert await polos.result(good.id, 10) == 1, "the worker goes on"
        assert "KeyError: '2'" in reason(await until(polos, bad, "blocked"))["message"]


async def test_an_awkward_finally_at_the_stop_writes_nothing(engine: Engine) -> None:
    ends: list[str] = []

    @workflow
    async def cleans(ctx: WorkflowContext) -> str:
        try:
            return (await ctx.step.wait_for_event("go", "go")).data
        finally:
            try:
                await ctx.step.run("cleanup", ends.append, "step ran")
            finally:
                ends.append("finally")

    async with engine(cleans) as polos:
        handle = await cleans.invoke(polos)
        await waits(polos, handle, "go")
    assert "step ran" not in ends
    async with engine(cleans) as polos:
        assert await polos.journal(handle.id) == []
        await polos.publish("go", "end")
        assert await polos.result(handle.id, 10) == "end"
    assert ends.count("step ran") == 1


async def test_an_execution_that_nobody_here_may_run_keeps_the_engine_quiet(engine: Engine) -> None:
    """A queued execution of another tree must not make the timekeeper spin."""

    @workflow
    async def naps(ctx: WorkflowContext) -> str:
        await ctx.step.wait_for("nap", seconds=0.2)
        return "awake"

    async with engine(naps) as polos:
        other = await naps.invoke(polos)
        await waits(polos, other, "nap")
    async with engine(naps, begin=False) as polos:
        await until(polos, other, "queued")
        committer = polos.host.store.owner.store.committer  # type: ignore[union-attr]
        before = committer.commits
        await asyncio.sleep(1.2)  # the offer of the woken execution to its worker has lapsed meanwhile
        assert committer.commits - before < 10
