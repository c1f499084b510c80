"""`polos replay` says rightly what a change of code does to recorded executions, and a real resume agrees (S1.7, S1.8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from polos import Workflow, WorkflowContext
from polos.authoring.registry import Registry
from polos.clock import SystemClock
from polos.dev.replaying import Report, replay
from polos.store import open_reader
from polos.testing import PolosEnv

Flow = Callable[[WorkflowContext], Awaitable[Any]]


def named(fn: Flow) -> Workflow:
    return Workflow(fn, id="order", description=None, run_timeout_seconds=None)


async def step(ctx: WorkflowContext, key: str, fn: Callable[..., Any] | None = None, *args: Any) -> Any:
    """A step whose failed attempt rests for ten minutes: a history is cut there."""
    return await ctx.step.run(key, fn or (lambda: key), *args, max_retries=3, base_delay=600, max_delay=600)


def steps(*keys: str) -> Flow:
    async def flow(ctx: WorkflowContext) -> list[Any]:
        return [await step(ctx, key) for key in keys]

    return flow


class Price(BaseModel):
    amount: int


class PriceWithDefault(BaseModel):
    amount: int
    currency: str = "EUR"


class PriceWithMore(BaseModel):
    amount: int
    currency: str


def old_price() -> Price:
    return Price(amount=1)


def price_with_default() -> PriceWithDefault:
    return PriceWithDefault(amount=1)


def price_with_more() -> PriceWithMore:
    return PriceWithMore(amount=1, currency="EUR")


def priced(fn: Callable[[], BaseModel]) -> Flow:
    async def flow(ctx: WorkflowContext) -> None:
        await step(ctx, "a", fn)
        for key in ("b", "c", "d"):
            await step(ctx, key)

    return flow


def gathered(*keys: str) -> Flow:
    async def flow(ctx: WorkflowContext) -> None:
        await step(ctx, "a")
        await asyncio.gather(*(step(ctx, key) for key in keys))
        await step(ctx, "d")

    return flow


def with_argument(value: int) -> Flow:
    async def flow(ctx: WorkflowContext) -> None:
        await step(ctx, "a", int, value)
        for key in ("b", "c", "d"):
            await step(ctx, key)

    return flow


async def kind_changed(ctx: WorkflowContext) -> None:
    await step(ctx, "a")
    await ctx.step.uuid("b")
    await step(ctx, "c")
    await step(ctx, "d")


async def condition(ctx: WorkflowContext) -> None:
    await step(ctx, "a")
    await step(ctx, "b" if await _yes(ctx) else "e")
    await step(ctx, "c")
    await step(ctx, "d")


async def condition_flipped(ctx: WorkflowContext) -> None:
    await step(ctx, "a")
    await step(ctx, "e" if await _yes(ctx) else "b")
    await step(ctx, "c")
    await step(ctx, "d")


async def _yes(ctx: WorkflowContext) -> bool:
    return True


@dataclass(frozen=True)
class Change:
    """A change of code. `diverges`: whether it does with one, two and three recorded outcomes."""

    old: Flow
    new: Flow
    diverges: tuple[bool, bool, bool]
    changed: Sequence[str] = ()
    cuts: tuple[str, str, str] = ("b", "c", "d")


BASE = steps("a", "b", "c", "d")
CHANGES = {
    "inserted before": Change(BASE, steps("x", "a", "b", "c", "d"), (True, True, True)),
    "inserted between": Change(BASE, steps("a", "b", "x", "c", "d"), (False, False, True)),
    "inserted after": Change(BASE, steps("a", "b", "c", "x", "d"), (False, False, False)),
    "removed": Change(BASE, steps("a", "c", "d"), (False, True, True)),
    "renamed": Change(BASE, steps("a", "bb", "c", "d"), (False, True, True)),
    "reordered in sequence": Change(BASE, steps("a", "c", "b", "d"), (False, True, True)),
    "reordered in a gather": Change(gathered("b", "c"), gathered("c", "b"), (False, False, False), cuts=("b", "c", "d")),
    "kind changed": Change(BASE, kind_changed, (False, True, True)),
    "loop grown": Change(steps("i0", "i1", "i2", "d"), steps("i0", "i1", "i2", "i3", "d"), (False, False, False),
                         cuts=("i1", "i2", "d")),
    "loop shrunk": Change(steps("i0", "i1", "i2", "d"), steps("i0", "d"), (False, True, True), cuts=("i1", "i2", "d")),
    "branch flipped": Change(condition, condition_flipped, (False, True, True)),
    "argument changed": Change(with_argument(1), with_argument(2), (False, False, False), changed=("a",)),
    "field with a default": Change(priced(old_price), priced(price_with_default), (False, False, False)),
    "required field": Change(priced(old_price), priced(price_with_more), (True, True, True)),
}  # fmt: skip


def replayed(env: PolosEnv, flow: Flow) -> Report:
    async def ask() -> Report:
        reader = open_reader(f"sqlite:///{env._path}")
        try:
            (found,) = await reader.find("1")
            (report,) = [one async for one in replay(reader, Registry([named(flow)]), [found], SystemClock())]
            return report
        finally:
            await reader.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("cut", [0, 1, 2])
@pytest.mark.parametrize("name", CHANGES)
def test_a_replay_says_what_a_resume_does(name: str, cut: int) -> None:
    change = CHANGES[name]
    with PolosEnv([named(change.old)]) as env:
        env.mock_step(change.cuts[cut], RuntimeError("not now"), times=1)
        execution = env.start("order")
        recorded = [entry.key for entry in execution.journal]
        assert execution.status == "waiting" and change.cuts[cut] not in recorded
        before = (execution.record, execution.journal)

        same = replayed(env, change.old)
        assert (same.kind, same.delivered, same.changed) == ("matches", len(recorded), ())
        report = replayed(env, change.new)
        assert (execution.record, execution.journal) == before, "a replay writes nothing"
        assert (report.kind == "diverges") is change.diverges[cut], report
        assert [key for key, _ in report.changed] == (list(change.changed) if recorded else [])
        if report.divergence is not None:
            assert report.divergence.likely and report.divergence.recorded_site.startswith(
                "tests/dev/test_replaying.py:"
            )

        env.restart([named(change.new)])
        env.advance(hours=1)
        assert (execution.status == "blocked") is change.diverges[cut], execution.explain()
        if not change.diverges[cut]:
            assert execution.status == "completed"


def test_an_end_that_would_be_another_is_said() -> None:
    with PolosEnv([named(BASE)]) as env:
        execution = env.start("order")
        assert execution.result == ["a", "b", "c", "d"]
        assert replayed(env, BASE).kind == "matches"

        async def other(ctx: WorkflowContext) -> str:
            for key in ("a", "b", "c", "d"):
                await step(ctx, key)
            return "another"

        report = replayed(env, other)
        assert report.kind == "differs" and 'would be "another" now' in report.message
        assert replayed(env, steps("a", "b", "c", "d", "e")).message.endswith("goes on after what is recorded")


def test_a_failed_execution_matches_where_it_fails_again() -> None:
    async def fails(ctx: WorkflowContext) -> None:
        await ctx.step.run("a", lambda: 1)
        await ctx.step.run("b", lambda: 1 / 0, max_retries=0)

    async def mended(ctx: WorkflowContext) -> str:
        await ctx.step.run("a", lambda: 1)
        try:
            await ctx.step.run("b", lambda: 1 / 0, max_retries=0)
        except Exception:
            return "caught"
        return "fine"

    with PolosEnv([named(fails)]) as env:
        assert env.start("order").status == "failed"
        assert replayed(env, fails).kind == "matches"
        report = replayed(env, mended)
        assert report.kind == "differs" and report.message == "it failed then, and would be completed now"


def test_other_types_other_failures_and_a_time_that_was_over() -> None:
    def returns(value: Any) -> Flow:
        async def flow(ctx: WorkflowContext) -> Any:
            await ctx.step.run("a", lambda: 1)
            return value

        return flow

    def raises(error: type[Exception]) -> Flow:
        async def flow(ctx: WorkflowContext) -> None:
            await ctx.step.run("a", lambda: 1)
            raise error("x")

        return flow

    with PolosEnv([named(returns(2**70))]) as env:
        env.start("order")
        assert replayed(env, returns(2**70)).kind == "matches"
        assert str(2**70 + 1) in replayed(env, returns(2**70 + 1)).message
    with PolosEnv([named(returns(1))]) as env:
        env.start("order")
        assert replayed(env, returns(True)).kind == "differs"
        assert replayed(env, returns(Decimal(1))).kind == "differs"
    with PolosEnv([named(raises(ValueError))]) as env:
        assert env.start("order").status == "failed"
        assert replayed(env, raises(ValueError)).kind == "matches"
        assert replayed(env, raises(KeyError)).message == "it failed with ValueError then, and would with KeyError now"


def test_of_several_failed_steps_a_retry_takes_back_all() -> None:
    """The first that failed is the cause; those that failed later go with it."""
    is_mended = False

    def body() -> int:
        if not is_mended:
            raise LookupError("no stock")
        return 1

    async def flow(ctx: WorkflowContext) -> list[int]:
        async def after() -> int:
            await ctx.step.run("before", lambda: 0)
            return await ctx.step.run("second", body, max_retries=0)

        got = await asyncio.gather(after(), ctx.step.run("first", body, max_retries=0), return_exceptions=True)
        errors = [one for one in got if isinstance(one, Exception)]
        if errors:
            raise ExceptionGroup("both", errors)
        return [one for one in got if isinstance(one, int)]

    with PolosEnv([named(flow)]) as env:
        execution = env.start("order")
        assert execution.status == "failed"
        is_mended = True
        env.retry(execution)
        assert execution.result == [1, 1]
