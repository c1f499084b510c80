"""A project with `polos dev` up in it, as real processes: edited, killed and watched by tests. Asserts nothing of its own."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from polos import PolosClient

T = TypeVar("T")

PATIENCE = 20.0
FLOW = """
from pathlib import Path
from polos import WorkflowContext, workflow

LEDGER = Path(__file__).parents[1] / "ledger.txt"


def note(word: str) -> str:
    with LEDGER.open("a") as file:
        file.write(word + "\\n")
    return word


@workflow
async def order(ctx: WorkflowContext) -> str:
    await ctx.step.run("validate", note, "validate")
    await ctx.step.run("charge", note, "charge")
    await ctx.step.wait_for_event("approval", topic="approval")
    return await ctx.step.run("ship", note, "ship one")
"""


class Stranger(PolosClient):
    """A client that knows no workflow, whatever this process has declared."""

    def _known(self, workflow_id: str) -> None:
        return None


class Dev:
    """`polos dev --json` in a folder; what it tells is kept in order."""

    def __init__(self, folder: Path, *options: str, flow: str = FLOW) -> None:
        self.folder = folder
        (folder / "workflows").mkdir(parents=True, exist_ok=True)
        self.file = folder / "workflows" / "order.py"
        if not self.file.exists():
            self.file.write_text(textwrap.dedent(flow))
            (folder / "pyproject.toml").write_text('[tool.polos]\ndurability = "relaxed"\nname = "shop"\n')
        self.env = {**os.environ, "HOME": str(folder / "home"), "PYTHONWARNINGS": "error", "POLOS_PORT": "0"}
        self.env.pop("POLOS_URL", None)
        self.told: list[dict[str, Any]] = []
        self._at = 0
        self.start(*options)

    def start(self, *options: str) -> None:
        """Starts it, anew after an end."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "polos_cli", "dev", "--json", *options], cwd=self.folder, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.printed: list[str] = []
        self.said: list[str] = []
        out, err = self.process.stdout, self.process.stderr
        assert out is not None and err is not None
        self._readers = [
            threading.Thread(target=self._read, args=(out,), daemon=True),
            threading.Thread(target=self._hear, args=(err,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, out: Any) -> None:
        for line in out:
            if line.startswith("{"):
                self._lines.put(json.loads(line))
            else:
                self.printed.append(line.rstrip())
        self._lines.put(None)

    def _hear(self, err: Any) -> None:
        for line in err:
            self.said.append(line.rstrip())

    def until(self, kind: str, **facts: Any) -> dict[str, Any]:
        """Returns the next thing told of that kind with these facts (a function: one that is true of it)."""
        deadline = time.monotonic() + PATIENCE
        while True:
            while self._at < len(self.told):
                told = self.told[self._at]
                self._at += 1
                if told["kind"] == kind and all(_fits(told.get(name), fact) for name, fact in facts.items()):
                    return told
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind} {facts} came: {self.told[-8:]}, {self.said[-8:]}") from None
            if line is None:
                raise AssertionError(f"it ended before {kind} {facts}: {self.told[-8:]}, {self.said[-20:]}")
            self.told.append(line)

    def polos(self, *arguments: str) -> str:
        """Types a command and returns what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "polos_cli", *arguments], cwd=self.folder, env=self.env, text=True, timeout=PATIENCE,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def ask(self, question: Callable[[PolosClient], Coroutine[Any, Any, T]]) -> T:
        """Asks as a program would, over the database's socket."""

        async def asked() -> T:
            async with Stranger(f"sqlite:///{self.folder}/.polos/polos.db") as client:
                return await question(client)

        return asyncio.run(asked())

    def invoke(self, workflow: str = "order", payload: Any = None) -> int:
        """Starts an execution and returns its number."""
        return self.ask(lambda client: client.invoke(workflow, payload)).number

    def publish(self, topic: str = "approval", data: Any = None) -> None:
        self.ask(lambda client: client.publish(topic, data))

    def status(self, execution: int | str = "last") -> str:
        return self.ask(lambda client: client.get(str(execution))).status.value

    def result(self, execution: int | str = "last") -> Any:
        """Waits for the end of an execution and returns its result."""
        return self.ask(lambda client: client.result(str(execution), timeout=PATIENCE))

    def edit(self, *changes: tuple[str, str]) -> None:
        """Saves the workflow's file with these texts replaced."""
        text = self.file.read_text()
        for before, after in changes:
            assert before in text, before
            text = text.replace(before, after)
        self.file.write_text(text)

    @property
    def ledger(self) -> list[str]:
        """What bodies have noted, outside of any database."""
        path = self.folder / "ledger.txt"
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def children(self) -> list[int]:
        """The processes that run user code for this one."""
        return children_of(self.process.pid)

    def spares(self) -> list[int]:
        """The processes that wait for the next save."""
        return children_of(self.process.pid, "polos-spare")

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ends it as Ctrl-C does, and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code

    def close(self) -> None:
        left = self.children() if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.kill()
        self.stop()
        wait_until(lambda: not any(is_alive(pid) for pid in left), "its children are gone")


def _fits(value: Any, fact: Any) -> bool:
    return bool(fact(value)) if callable(fact) else bool(value == fact)


def children_of(pid: int, called: str = "polos-worker") -> list[int]:
    """Returns the workers among the children of a process: no spare ones, nor the helper that syncs the disk."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            name = (folder / "comm").read_text()
        except OSError:
            continue
        if int(stat[1]) == pid and stat[0] != "Z" and name == f"{called}\n":
            found.append(int(folder.name))
    return sorted(found)


def is_alive(pid: int) -> bool:
    """Tells whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(holds: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    """Looks again and again until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not so in time: {what}"
        time.sleep(0.02)
