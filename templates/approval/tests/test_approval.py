"""Runs the workflow as it is, on a database of its own, and answers in the person's place."""

import asyncio
from pathlib import Path

import pytest

from polos import Polos
from workflows.approval import approval


@pytest.mark.parametrize("approved", [True, False])
def test_buys_only_what_was_approved(tmp_path: Path, approved: bool) -> None:
    async def scenario() -> dict[str, object]:
        async with Polos(database=f"sqlite:///{tmp_path}/test.db") as polos:
            handle = await approval.invoke(polos, {"item": "Laptop", "amount": 1200})
            # An answer that comes before the question is kept, so there is nothing to wait for.
            await polos.resume(handle.id, "await_approval", {"approved": approved, "reason": "a test"})
            return await handle.result(timeout=30)

    result = asyncio.run(scenario())

    assert result["approved"] is approved
    assert ("order" in result) is approved
