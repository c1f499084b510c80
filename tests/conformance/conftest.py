"""The stores that must conform. A second one is added by adding a class like `SqlitePlace` to `PLACES`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from polos.clock import Clock
from polos.errors import EngineError
from polos.ports import Store
from tests.conformance import looping
from tests.conformance.acts import SetClock

runner = looping.runner
pytest_pyfunc_call = looping.call


class Place(Protocol):
    """Where a kind of store keeps one database."""

    overwrite_refused: type[Exception]

    async def open(self, clock: Clock) -> Store: ...
    async def until_submitted(self, *names: str) -> None:
        """Returns once calls that have just been made have reached the store; they are not answered yet."""
        ...

    def damage(self, table: str, column: str, **where: Any) -> None:
        """Changes one character of a stored value, behind the store's back."""
        ...


class SqlitePlace:
    """A SQLite file in a folder of the test's own."""

    overwrite_refused = sqlite3.IntegrityError

    def __init__(self, folder: Path) -> None:
        self.path = folder / "polos.db"

    async def open(self, clock: Clock) -> Store:
        from polos.store.sqlite.store import SqliteStore

        store = SqliteStore(self.path, clock, "relaxed")
        await store.open()
        return store

    async def until_submitted(self, *names: str) -> None:
        await asyncio.sleep(0)

    def damage(self, table: str, column: str, **where: Any) -> None:
        condition = " AND ".join(f"{name} = :{name}" for name in where) or "1"
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            done = connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, 'genuine', 'genuinf') WHERE {condition}", where
            )
            assert done.rowcount == 1
        finally:
            connection.close()


class WirePlace(SqlitePlace):
    """The same file, owned elsewhere: everything goes through the owner's socket."""

    overwrite_refused = EngineError  # what is no error of ours arrives as this, with its name in the message

    async def open(self, clock: Clock) -> Store:
        from tests.conformance.over_the_wire import WireStore

        self._opened = store = await WireStore.open(self.path, clock)
        return store

    async def until_submitted(self, *names: str) -> None:
        await self._opened.owner.store.until_submitted(*names)


PLACES = {"sqlite": SqlitePlace, "wire": WirePlace}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return PLACES[request.param](tmp_path)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def store(runner: asyncio.Runner, place: Place, clock: SetClock) -> Iterator[Store]:
    opened = runner.run(place.open(clock))
    yield opened
    runner.run(opened.close())
