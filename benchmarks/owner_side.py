"""Owns a database and runs nothing: what an attached side is attached to. Answers each line of stdin, ends with it."""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks.durability import watch
from benchmarks.side import answer, arguments
from polos import Polos


async def main() -> None:
    args = arguments()
    asked = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    async with Polos(
        f"sqlite:///{args.database}", workflows=[], durability=args.durability, run_on="caller"
    ) as polos:  # fmt: skip
        told = watch(polos)
        answer(owns=polos.host.owns)
        while await asked.readline():
            answer(cpu=time.process_time(), **told())


if __name__ == "__main__":
    asyncio.run(main())
