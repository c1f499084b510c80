"""Runs `async def` tests on one loop per test, which their fixtures share. Tests nothing itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator

import pytest


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """The loop of one test."""
    with asyncio.Runner() as own:
        yield own


def call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine test; leaves every other one to pytest (a `pytest_pyfunc_call`)."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    own: asyncio.Runner = pyfuncitem._request.getfixturevalue("runner")
    names = pyfuncitem._fixtureinfo.argnames
    own.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
