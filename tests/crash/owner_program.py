"""An owner with no workflow of its own: the order program attaches to it. Ends when its stdin is closed, or is killed."""

from __future__ import annotations

import asyncio
import json
import sys

from polos import Polos
from tests.crash.order_program import Plan, install


async def main(plan: Plan) -> None:
    async with Polos(plan.database, workflows=[], durability=plan.durability, run_on="caller") as polos:  # type: ignore[arg-type]
        assert polos.host.owns
        print("owns", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    given = Plan(**json.loads(sys.argv[1]))
    install(given)
    asyncio.run(main(given))
