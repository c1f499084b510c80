"""A folder with one database and the real processes at it. Kills every one of them at its end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from polos import PolosClient
from polos.core.status import Status
from polos.store import open_reader, owner_of
from tests.crash import ledger

ROOT = Path(__file__).resolve().parents[2]
WITHIN = 60.0
"""Seconds that anything may take: a bound on hanging on a busy machine, far above what it takes."""
UNWANTED = re.compile(r"\blocked\b|Traceback|Warning|never retrieved|never awaited|unclosed|Exception ignored")
PROJECT = '[tool.polos]\nname = "place"\nmodules = ["workflows/"]\n'
T = TypeVar("T")


class BareClient(PolosClient):
    """A client of a program that declares no workflow itself, whatever other tests of this process have declared."""

    def _known(self, workflow_id: str) -> None:
        return None


class Process:
    """One process, in a session of its own, its output in a file."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, env: dict[str, str]) -> None:
        self.name = name
        self._output = folder / f"{name}.out"
        with self._output.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-W", "error", *arguments], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def said(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def is_up(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and until it is dead."""
        self.popen.kill()
        self.popen.wait(WITHIN)

    def stop(self) -> None:
        """SIGTERM, and until it has ended well."""
        self.signal(signal.SIGTERM)
        self.ends()

    def ends(self, code: int = 0) -> str:
        """Waits for its end, which must be with `code` and without an unwanted word; returns what it said."""
        try:
            self.popen.wait(WITHIN)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end: {self.said[-3000:]}") from None
        assert self.popen.returncode == code, f"{self.name} ended with {self.popen.returncode}: {self.said[-3000:]}"
        self.check()
        return self.said

    def check(self) -> None:
        found = UNWANTED.search(self.said)
        assert found is None, f"{self.name} said {found.group() if found else ''}: {self.said[-3000:]}"


class Place:
    """The folder, its environment, and what runs there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "gates").mkdir(parents=True)
        (folder / "workflows").mkdir()
        (folder / "workflows" / "__init__.py").write_text("from tests.processes.flows import *  # noqa: F403\n")
        (folder / "polos.toml").write_text(PROJECT.replace("[tool.polos]\n", ""))
        self.database = folder / "polos.db"
        self.url = f"sqlite:///{self.database}"
        # The leases outlast every test: what dies must be told by its socket, at once.
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("POLOS_")} | {
            "PLACE": str(folder), "PYTHONPATH": str(ROOT), "HOME": str(folder / "home"), "POLOS_URL": self.url,
            "WEB_DATABASE": self.url, "POLOS_LEASE_SECONDS": "600", "TZ": "UTC", "NO_COLOR": "1",
        }  # fmt: skip
        self.processes: list[Process] = []

    # ── processes ────────────────────────────────────────────────────────────────────────────────────

    def start(self, name: str, *arguments: str) -> Process:
        process = Process(f"{len(self.processes):02}-{name}", arguments, self.folder, self.env)
        self.processes.append(process)
        return process

    def act(self, act: str, **options: Any) -> Process:
        """Starts an act of `program`."""
        options = {"url": self.url, **options}
        return self.start(act, "-m", "tests.processes.program", act, json.dumps(options))

    def owner(self) -> Process:
        """Starts a process that owns and works not."""
        process = self.act("serve", works=False)
        self.until(lambda: self.owner_pid() == process.pid, "it owns the database", process)
        return process

    def worker(self, **options: Any) -> Process:
        """Starts a process that works."""
        return self.working(self.act("serve", **{"complete": True, **options}))

    def polos(self, *arguments: str) -> Process:
        """Types a command."""
        return self.start(arguments[0], "-m", "polos_cli", *arguments)

    def polos_worker(self, *arguments: str) -> Process:
        """Types `polos worker`, and waits until it works."""
        return self.working(self.polos("worker", *arguments))

    def working(self, process: Process) -> Process:
        """Waits until a process has said hello to the owner that there is."""

        async def has_said_hello(client: PolosClient) -> bool:
            return process.pid in {worker.pid for worker in await client.workers()}

        self.until_true(has_said_hello, f"{process.name} works", process)
        return process

    def close(self) -> None:
        """Kills what is left, and fails if something stays."""
        for process in self.processes:
            process.popen.kill()
        for process in self.processes:
            process.popen.wait(WITHIN)
        deadline = time.monotonic() + 10
        while left := self._left():
            assert time.monotonic() < deadline, f"processes were left behind: {left}"
            time.sleep(0.02)

    def _left(self) -> list[str]:
        """Returns the command lines of processes that name this folder, helpers of the dead among them."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has just ended
            if str(self.folder) in line and int(entry.parent.name) != os.getpid():
                found.append(line)
        return found

    # ── what is there ────────────────────────────────────────────────────────────────────────────────

    def owner_pid(self) -> int | None:
        holder = owner_of(self.database)
        return None if holder is None or "socket" not in holder else int(holder["pid"])

    def facts(self) -> ledger.Facts:
        return ledger.read(self.folder / "ledger")

    def ran(self, key: str, execution: str | None = None) -> list[ledger.Ran]:
        """Returns the runs of the bodies of a key, in order."""
        return [one for one in self.facts().ran if one.key == key and execution in (None, one.execution)]

    def noted(self, fact: str) -> list[list[str]]:
        """Returns the pid and the parts of each fact of that name."""
        path = self.folder / "ledger"
        lines = path.read_text().splitlines() if path.exists() else []
        split = [line.split("\t") for line in lines]
        return [[pid, *parts] for pid, name, *parts in split if name == fact]

    def open_gate(self, gate: str) -> None:
        (self.folder / "gates" / gate).touch()

    async def counts(self) -> dict[Status, int]:
        reader = open_reader(self.url)
        try:
            return await reader.counts()
        finally:
            await reader.close()

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────

    def until(self, condition: Callable[[], object], what: str, *needed: Process) -> None:
        """Polls until the condition holds; fails when a process that is needed for it ends."""
        deadline = time.monotonic() + WITHIN
        while not condition():
            self._go_on(deadline, what, needed)
            time.sleep(0.01)

    def until_true(self, condition: Callable[[PolosClient], Awaitable[bool]], what: str, *needed: Process) -> None:
        """The same for what is asked of a client."""

        async def poll() -> None:
            deadline = time.monotonic() + WITHIN
            async with BareClient(self.url) as client:
                while not (self.database.exists() and await condition(client)):
                    self._go_on(deadline, what, needed)
                    await asyncio.sleep(0.02)

        self.ask(poll)

    def until_counted(self, counts: Callable[[dict[Status, int]], bool], what: str, *needed: Process) -> None:
        """The same for the numbers of executions by status."""

        async def are_counted(client: PolosClient) -> bool:
            return counts(await self.counts())

        self.until_true(are_counted, what, *needed)

    def _go_on(self, deadline: float, what: str, needed: Sequence[Process]) -> None:
        for process in needed:
            assert process.is_up, f"{process.name} ended with {process.popen.returncode}: {process.said[-3000:]}"
        if time.monotonic() > deadline:
            told = "\n".join(f"{one.name} (up: {one.is_up}): {one.said[-1500:]}" for one in self.processes)
            raise AssertionError(f"not within {WITHIN:g} s: {what}\n{told}")

    def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        async def main() -> T:
            return await call()

        return asyncio.run(main())

    def client(self, call: Callable[[PolosClient], Awaitable[T]]) -> T:
        """Asks a client of the database, in this process."""

        async def ask() -> T:
            async with BareClient(self.url) as client:
                return await call(client)

        return self.ask(ask)
