"""Other processes for the SQLite tests: real ones, each a short program. Asserts nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

OWNER = """
import asyncio, sys
from pathlib import Path
from polos.clock import SystemClock
from polos.store.sqlite.store import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]), SystemClock(), "relaxed")
    await store.open()
    print("owns", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await store.close()

asyncio.run(main())
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run(program: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
        env=environment(), capture_output=True, text=True, timeout=60, check=False, **options,  # type: ignore[call-overload]
    )  # fmt: skip


@contextmanager
def owner(database: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the database until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(database)],
        env=environment(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdin is not None
    try:
        assert process.stdout.readline() == "owns\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
