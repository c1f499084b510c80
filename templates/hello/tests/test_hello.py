"""Runs the workflow as it is, on a database of its own."""

import asyncio
from pathlib import Path

from polos import Polos
from workflows.hello import hello


def test_greets_by_name(tmp_path: Path) -> None:
    async def scenario() -> dict[str, object]:
        async with Polos(database=f"sqlite:///{tmp_path}/test.db") as polos:
            return await hello.run(polos, {"name": "Ada"})

    result = asyncio.run(scenario())

    assert result["greeting"] == "Hello, Ada!"
    assert result["letters"] == 8
    assert result["said"] == ["Hello, Ada!", "HELLO, ADA!"]
