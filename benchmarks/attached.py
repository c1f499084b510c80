"""The owner's process, as the side that is attached to it has it. Imports no engine."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.side import MARK

SUFFIX = "-attached"
"""Ends the name of a workload that runs attached to an owner in another process."""


class OtherOwner:
    """A process that owns the database, until it is left."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        if not self._answer().get("owns"):
            raise SystemExit("the owner's process does not own the database")

    def ask(self) -> dict[str, Any]:
        """Returns its processor time in seconds, and the durability in force there. Blocks."""
        assert self._process.stdin is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(MARK):
                found: dict[str, Any] = json.loads(line[len(MARK) :])
                return found
        raise SystemExit(f"the owner's process ended with {self._process.wait()}")


@contextlib.contextmanager
def other_owner(args: argparse.Namespace) -> Iterator[OtherOwner]:
    """Has another process own the database; it ends with this one, however this one ends."""
    command = [sys.executable, "-m", "benchmarks.owner_side", "owner"]
    command += ["--database", args.database, "--durability", args.durability]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield OtherOwner(process)
        process.communicate(timeout=60)
        if process.returncode:
            raise SystemExit(f"the owner's process ended with {process.returncode}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
