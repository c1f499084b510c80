"""What steps and workflows return comes back as it was, or fails that step: it never blocks what reads it (S1.4, S2.5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pydantic
import pytest

from polos import BatchWorkflowInput, ExecutionFailed, StepExecutionError, WorkflowContext, workflow
from tests.engine.conftest import Engine
from tests.unit.core.values import Animal, Dog, Job, Planet, Raiser, Secret, Unset

JOB = Job(b"hello", timedelta(seconds=5), (1, 2))
DOG = Dog(name="rex", bark="wuff")


class Odd(pydantic.BaseModel):
    x: Any

    @pydantic.model_serializer
    def _dump(self) -> Any:
        raise SystemError("no")


@dataclasses.dataclass
class Unreadable:
    """A value whose own code raises where it is looked at."""

    x: int = 1

    def __getattribute__(self, name: str) -> Any:
        if name == "x":
            raise RuntimeError("hands off")
        return super().__getattribute__(name)


def job() -> Job:
    return JOB


def jobs() -> list[Job]:
    return [JOB]


def animal() -> Animal:
    return DOG


def base() -> pydantic.BaseModel:
    return DOG


def planet() -> Planet:
    return Planet.EARTH


def raiser() -> Raiser:
    return {"a": 1}  # type: ignore[return-value]  # the annotation is wrong, and its validator raises


@pytest.mark.parametrize("body", [job, jobs, animal, base, planet, raiser])
async def test_the_value_of_a_step_is_the_value_that_its_body_returned(engine: Engine, body: Callable[[], Any]) -> None:
    @workflow
    async def reads(ctx: WorkflowContext) -> str:
        return repr(await ctx.step.run("read", body, max_retries=0))

    async with engine(reads) as polos:
        assert await reads.run(polos, timeout=10) == repr(body())


async def test_a_dataclass_as_a_payload_and_as_a_result_keeps_its_values(engine: Engine) -> None:
    @workflow
    async def passes(ctx: WorkflowContext, given: Job) -> Job:
        assert given == JOB
        return given

    async with engine(passes) as polos:
        assert await passes.run(polos, JOB, timeout=10) == JOB


@dataclasses.dataclass
class Case:
    value: Any
    said: str


CASES = [
    Case(Unset(1), "'total' was never set"), Case(Secret(s=pydantic.SecretStr("x")), "/s would come back as another"),
    Case(Unreadable(), "hands off"), Case(Odd(x=1), "cannot be dumped"),
    Case(pydantic.create_model("Made", a=(int, ...))(a=1), "cannot be found again"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.said)
async def test_a_value_that_could_not_be_read_back_fails_its_step(engine: Engine, case: Case) -> None:
    ran: list[int] = []

    def give() -> Any:
        ran.append(1)
        return case.value

    @workflow
    async def gives(ctx: WorkflowContext) -> list[str]:
        try:
            await ctx.step.run("give", give, base_delay=0)
        except StepExecutionError as error:
            return [error.error_type, error.message]
        return []

    async with engine(gives) as polos:
        kind, message = await gives.run(polos, timeout=10)
    assert kind == "UnserializableResult" and case.said in message and ran == [1]


@pytest.mark.parametrize("case", [*CASES, Case("x" * (2 << 20), "limit")], ids=lambda case: case.said)
async def test_a_result_that_could_not_be_read_back_fails_its_workflow(engine: Engine, case: Case) -> None:
    @workflow
    async def gives(ctx: WorkflowContext) -> Any:
        return case.value

    async with engine(gives) as polos:
        handle = await gives.invoke(polos)
        with pytest.raises(ExecutionFailed):
            await handle.result(10)
        failure: Any = (await polos.get(handle)).failure
    assert failure.type_name == ("PayloadTooLarge" if case.said == "limit" else "UnserializableResult")
    assert case.said in failure.message


async def test_a_batch_gives_results_as_their_workflows_say(engine: Engine) -> None:
    @dataclasses.dataclass
    class Local:
        x: bytes

    async def plain(ctx: WorkflowContext) -> Any:
        return {"name": "rex"}

    async def local(ctx: WorkflowContext) -> Any:
        return Local(b"x")

    plain.__annotations__["return"], local.__annotations__["return"] = Animal, Local
    children = [workflow(id="values.plain")(plain), workflow(id="values.local")(local)]

    @workflow
    async def parent(ctx: WorkflowContext) -> list[str]:
        results = await ctx.step.batch_invoke_and_wait("batch", [BatchWorkflowInput(id=one.id) for one in children])
        return [repr(result.result) for result in results]

    async with engine(parent, *children) as polos:
        assert await parent.run(polos, timeout=10) == [repr(Animal(name="rex")), repr(Local(b"x"))]
