"""An owner that listens, and connections to it, all on the loop of one test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from polos.wire.calls import Role
from polos.wire.remote import Remote
from tests.conformance import looping
from tests.conformance.acts import SetClock
from tests.conformance.over_the_wire import OwnerSide

runner = looping.runner
pytest_pyfunc_call = looping.call

Connect = Callable[..., Awaitable[Remote]]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def owner(runner: asyncio.Runner, tmp_path: Path, clock: SetClock) -> Iterator[OwnerSide]:
    """An owner whose leases nobody looks at, unless the test does."""
    side = OwnerSide(tmp_path / "polos.db", clock, keeps=False)
    runner.run(side.open())
    yield side
    runner.run(side.close())


@pytest.fixture
def connect(runner: asyncio.Runner, owner: OwnerSide) -> Iterator[Connect]:
    """Makes connections that end with the test."""
    made: list[Remote] = []

    async def make(role: Role = Role.WORKER) -> Remote:
        made.append(await owner.connect(role))
        return made[-1]

    yield make

    async def end() -> None:
        for remote in made:
            remote.close()
        await asyncio.sleep(0)

    runner.run(end())
