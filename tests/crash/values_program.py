"""Every kind of value through a step, twice: on the first run and again after the process was killed.

Run as ``python -m tests.crash.values_program '{"database": ..., "ledger": ..., "die": true}'``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from polos import Polos, WorkflowContext, workflow
from tests.crash.ledger import Ledger


class Line(BaseModel):
    sku: str
    price: Decimal
    tags: set[str] = set()


class Basket(BaseModel):
    lines: list[Line]
    at: datetime


@dataclass
class Point:
    x: int
    y: float
    label: str | None = None


class Colour(Enum):
    RED = "red"


VALUES: dict[str, Any] = {
    "none": None,
    "zero": 0,
    "false": False,
    "empty text": "",
    "empty list": [],
    "empty dict": {},
    "2**63": 2**63,
    "-2**200": -(2**200),
    "line separator": "\u2028",
    "emoji": "emoji 🎈",
    "float": 0.1,
    "model": Line(sku="a", price=Decimal("1.10"), tags={"x", "y"}),
    "nested model": Basket(lines=[Line(sku="b", price=Decimal(2))], at=datetime(2024, 2, 29, 12, tzinfo=UTC)),
    "dataclass": Point(1, 2.5),
    "list of models": [Line(sku="c", price=Decimal("0.00")), Line(sku="d", price=Decimal("1E+2"))],
    "dict of dataclasses": {"p": Point(0, 0.0, ""), "q": Point(-1, 1e300, "🎈")},
    "tuple": (1, "two", (3.0, None)),
    "empty tuple": (),
    "set": {1, 2, 3},
    "bytes": b"\x00\xff raw",
    "decimal": Decimal("12.3400"),
    "aware datetime": datetime(2024, 7, 1, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    "naive datetime": datetime(2024, 7, 1, 9, 30),
    "date": date(2024, 2, 29),
    "time": time(23, 59, 59, 999999),
    "timedelta": timedelta(days=-1, microseconds=1),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "path": Path("/tmp/a b"),
    "enum": Colour.RED,
    "int keys": {1: "one", 2: "two"},
    "keys/with ?odd#parts%": [[None, [False, [0]]]],
}  # fmt: skip
"""Step key -> what its body returns."""

LEDGER: Ledger


def give(key: str) -> Any:
    LEDGER.add("body", "values", key, 1, "-")
    return VALUES[key]


def alike(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if isinstance(left, PurePosixPath):
        return left == right and isinstance(right, PurePosixPath)
    if type(left) is not type(right) or left != right:
        return False
    if isinstance(left, (list, tuple)):
        return all(map(alike, left, right))
    if isinstance(left, dict):
        return all(alike(*pair) for pair in zip(left.items(), right.items(), strict=True))
    if isinstance(left, datetime):
        return left.utcoffset() == right.utcoffset()
    return repr(left) == repr(right) or isinstance(left, (set, BaseModel))


@workflow(id="values")
async def values(ctx: WorkflowContext) -> int:
    for key, wanted in VALUES.items():
        value = await ctx.step.run(key, give, key)
        LEDGER.add("saw", "values", key, "alike" if alike(wanted, value) else f"{wanted!r} came back as {value!r}")
    await ctx.step.wait_for_event("go", topic="go")
    return len(VALUES)


async def main(database: str, dies: bool) -> None:
    async with Polos(database, run_on="caller", echo=False) as polos:
        handle = await polos.invoke(values, idempotency_key="v")
        while dies:
            if any(wait.key == "go" for wait in await polos.access().read(lambda store: store.waits(handle.id))):
                os.kill(os.getpid(), signal.SIGKILL)
            await polos.access().changed(handle.id, 0.05)
        await polos.publish("go", event_id="go")
        LEDGER.add("result", handle.id, await polos.result(handle, timeout=20))


if __name__ == "__main__":
    plan = json.loads(sys.argv[1])
    LEDGER = Ledger(Path(plan["ledger"]))
    asyncio.run(main(plan["database"], plan.get("die", False)))
