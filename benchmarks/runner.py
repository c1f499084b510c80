"""Runs the sides in processes of their own, interleaved, each on a fresh database."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.canary import canary, file_system
from benchmarks.dashboard import dashboard
from benchmarks.dev_server import dev_server
from benchmarks.peer import HOME, ROOT, dbos_python
from benchmarks.side import HUNG, MARK, READY, STEP
from benchmarks.startup import startup
from benchmarks.workloads import BY_ID, Workload, compared, medians

TIME_LIMIT = 600
"""Seconds that one process of a side may take."""


class SideFailed(Exception):
    """A side's process did not do its work."""


@dataclass
class Options:
    workloads: list[str]
    against: str | None
    rounds: int
    durability: str
    journal: str
    scale: float
    say: Callable[[str], None]


@dataclass
class Outcome:
    """The rounds of one workload: figures, canaries and the durability that was checked, for each side."""

    rounds: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    canaries: dict[str, list[float]] = field(default_factory=dict)
    durability: dict[str, str] = field(default_factory=dict)

    def medians(self) -> dict[str, dict[str, float]]:
        return {side: medians(rounds) for side, rounds in self.rounds.items()}


class Runner:
    def __init__(self, options: Options) -> None:
        self.options = options
        self.failures: list[str] = []
        self.pythons = dict.fromkeys(("polos", "within", "bare"), Path(sys.executable))
        if options.against == "dbos":
            self.pythons["dbos"] = dbos_python(options.say)
        HOME.mkdir(exist_ok=True)
        kind = file_system(HOME)
        if kind in ("tmpfs", "ramfs"):
            raise SideFailed(f"{HOME} is on {kind}: nothing there is durable, so there is nothing to measure")
        self.file_system = kind

    def run(self) -> dict[str, Outcome]:
        """Runs every workload and returns what came out."""
        return {name: self._workload(BY_ID[name]) for name in self.options.workloads}

    def _workload(self, workload: Workload) -> Outcome:
        say, outcome = self.options.say, Outcome()
        say(f"{workload.id} {workload.title}")
        for number in range(1, self.options.rounds + 1):
            within: dict[str, float] | None = None
            for side in workload.sides:
                if side not in self.pythons:
                    continue
                with tempfile.TemporaryDirectory(dir=HOME, prefix="run-") as name:
                    folder = Path(name)
                    disk = canary(folder)
                    try:
                        figures = self._side(workload, side, folder, outcome)
                    except SideFailed as error:
                        self.failures.append(str(error))
                        say(f"  round {number}  {side:<6}  FAILED: {error}")
                        continue
                if side == "within":
                    within = figures
                elif within is not None:
                    figures |= compared(figures, within)
                outcome.rounds.setdefault(side, []).append(figures)
                outcome.canaries.setdefault(side, []).append(disk)
                shown = "  ".join(f"{k} {v:,.{0 if v >= 100 else 2}f}" for k, v in figures.items())
                say(f"  round {number}  {side:<6}  canary {disk:>7,.0f}/s  {shown}")
        for side, text in outcome.durability.items():
            say(f"  {side} durability, checked: {text}")
        return outcome

    def _side(self, workload: Workload, side: str, folder: Path, outcome: Outcome) -> dict[str, float]:
        if workload.id == "W8":
            return startup(side, self.pythons[side], folder)
        if workload.id == "dev":
            return dev_server(folder)
        if workload.id == "dashboard":
            return dashboard(folder, self.options.scale)
        if workload.id == "W5":
            return self._crash(side, folder, outcome)
        name = workload.within if side == "within" else workload.id
        with self._process(side, name, folder) as process:
            answers = list(_answers(process))
            self._end(process, side, name)
        return self._figures(answers, side, outcome)

    def _crash(self, side: str, folder: Path, outcome: Outcome) -> dict[str, float]:
        """Kills a process in its 1,001st body and starts another on the same database."""
        with self._process(side, "W5-first", folder) as process:
            if not any(found.get("stamp") == HUNG for found in _answers(process)):
                self._end(process, side, "W5-first")
                raise SideFailed(f"{side}: ended before it could be killed")
            os.kill(process.pid, signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                raise SideFailed(f"{side}: did not die of SIGKILL")
        spawned = time.monotonic()
        with self._process(side, "W5-again", folder) as process:
            answers = list(_answers(process))
            self._end(process, side, "W5-again")
        at = {found["stamp"]: found["at"] for found in answers if "stamp" in found}
        self._figures(answers, side, outcome)
        bodies = next(found["bodies"] for found in answers if "bodies" in found)
        if bodies != 1:
            raise SideFailed(f"{side}: ran {bodies} bodies after the kill; one was new")
        return {
            "ready_to_step_ms": (at[STEP] - at[READY]) * 1000,
            "spawn_to_step_ms": (at[STEP] - spawned) * 1000,
            "spawn_to_ready_ms": (at[READY] - spawned) * 1000,
        }

    def _figures(self, answers: list[dict[str, Any]], side: str, outcome: Outcome) -> dict[str, float]:
        found = next((one for one in answers if "figures" in one), None)
        if found is None:
            raise SideFailed(f"{side}: gave no figures")
        if not found["durability_ok"]:
            raise SideFailed(f"{side}: not as durable as asked: {found['durability']}")
        outcome.durability[side] = found["durability"]
        figures: dict[str, float] = found["figures"]
        return figures

    @contextlib.contextmanager
    def _process(self, side: str, workload: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
        options = self.options
        command = [str(self.pythons[side]), "-m", f"benchmarks.{_program(side)}", workload]
        command += ["--database", str(folder / "db.sqlite"), "--durability", options.durability]
        command += ["--journal", options.journal, "--scale", str(options.scale)]
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}  # the time limit shows where it hung
        errors = (folder / "stderr").open("w+", encoding="utf-8")
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        process.errors = errors  # type: ignore[attr-defined]
        limit = threading.Timer(TIME_LIMIT, process.send_signal, (signal.SIGABRT,))
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
            errors.close()

    def _end(self, process: subprocess.Popen[str], side: str, workload: str) -> None:
        code = process.wait(timeout=60)
        if code:
            errors: Any = process.errors  # type: ignore[attr-defined]
            errors.seek(0)
            raise SideFailed(f"{side} {workload} ended with {code}:\n{errors.read()[-2000:]}")


def _program(side: str) -> str:
    return f"{'polos' if side == 'within' else side}_side"


def _answers(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(MARK):
            yield json.loads(line[len(MARK) :])
