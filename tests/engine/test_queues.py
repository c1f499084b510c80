"""Queues as users meet them, measured by the bodies themselves (S7.4)."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

import polos as polos_module
from polos import UsageError, WorkflowContext, workflow
from tests.engine.conftest import Engine
from tests.engine.looks import waits

running: Counter[str] = Counter()
most: Counter[str] = Counter()
order: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    running.clear()
    most.clear()
    order.clear()


async def measured(line: str, n: int) -> None:
    running[line] += 1
    most[line] = max(most[line], running[line])
    order.append((line, n))
    await asyncio.sleep(0.003)
    running[line] -= 1


one = polos_module.queue("queues.one", 1)


@workflow(id="queues.limited", queue={"name": "queues.three", "concurrency_limit": 3})
async def limited(ctx: WorkflowContext, n: int) -> None:
    await ctx.step.run("body", measured, "three", n)


@workflow(id="queues.single", queue=one)
async def single(ctx: WorkflowContext, input: dict[str, Any]) -> None:
    await ctx.step.run("body", measured, input["key"], input["n"])
    await ctx.step.wait_for("between", seconds=0.01)
    await ctx.step.run("again", measured, input["key"], input["n"])


async def test_no_more_than_the_limit_run(engine: Engine) -> None:
    async with engine(limited) as polos:
        handles = [await limited.invoke(polos, n) for n in range(30)]
        await asyncio.gather(*(handle.result(20) for handle in handles))
    assert most["three"] == 3
    assert sorted(order) == [("three", n) for n in range(30)]


async def test_each_key_has_its_own_line_first_come_first_served(engine: Engine) -> None:
    async with engine(single) as polos:
        handles = [
            await single.invoke(polos, {"key": key, "n": n}, concurrency_key=key) for n in range(8) for key in "ab"
        ]
        await asyncio.gather(*(handle.result(20) for handle in handles))
    assert most == {"a": 1, "b": 1}
    for key in "ab":
        begun = list(dict.fromkeys(n for line, n in order if line == key))
        assert begun == list(range(8))


async def test_a_parent_that_awaits_children_in_its_own_queue_does_not_block_them(engine: Engine) -> None:
    @workflow(id="queues.tree", queue=one)
    async def tree(ctx: WorkflowContext, depth: int) -> int:
        if not depth:
            return 0
        return 1 + int(await ctx.step.invoke_and_wait("child", tree, depth - 1))

    async with engine(tree) as polos:
        assert await tree.run(polos, 4, timeout=20) == 4


async def test_a_waiting_one_lets_others_in(engine: Engine) -> None:
    @workflow(id="queues.waits", queue=one)
    async def waiting(ctx: WorkflowContext, topic: str) -> str:
        return str((await ctx.step.wait_for_event("go", topic)).topic)

    async with engine(waiting) as polos:
        handles = [await waiting.invoke(polos, f"queues.{n}") for n in range(3)]
        for handle in handles:
            await waits(polos, handle, "go")
        await polos.publish("queues.1")
        assert await handles[1].result(10) == "queues.1"


async def test_a_start_can_name_another_queue(engine: Engine) -> None:
    async with engine(limited) as polos:
        handle = await limited.invoke(polos, 1, queue="queues.elsewhere")
        assert (await polos.get(handle.id)).queue == "queues.elsewhere"
        await handle.result(10)


def test_wrong_queues_are_refused() -> None:
    for wrong, said in (
        ({"limit": 3}, "a queue is a name"), (7, "a name or a Queue"), ("", "1 to 512"),
        ({"name": "x", "concurrency_limit": 0}, "whole number from 1"), ({"name": "x", "concurrency_limit": True}, "from 1"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=said):

            @workflow(id="queues.wrong", queue=wrong)  # type: ignore[arg-type]
            async def bad(ctx: WorkflowContext) -> None: ...

    with pytest.raises(UsageError, match="two limits, 1 and 2"):
        polos_module.queue("queues.one", 2)
    assert polos_module.queue("queues.one") is not None, "a name alone is the one that has the limit"
