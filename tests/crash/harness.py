"""Starts the program, lets it be killed, starts it again until it ends, and checks what is left."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash import ledger, power
from tests.crash.invariants import Expected, Snapshot, expected_of, snapshot, violations

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN = 20.0
"""Seconds within which any start of the program has to end: a bound on hanging, far above what it takes."""
IN_PARALLEL = 3


@dataclass(frozen=True)
class Kill:
    """Where one start of the program dies."""

    point: str | None = None
    occurrence: int = 1
    delay: float | None = None
    """Killed from outside, this many seconds after its start."""
    at_sync: int = 0

    def __str__(self) -> str:
        if self.delay is not None:
            return f"after {self.delay:.4f} s"
        return f"power cut at sync {self.at_sync}" if self.at_sync else f"{self.point} #{self.occurrence}"


@dataclass
class Trial:
    """One database's way through its kills to rest."""

    kills: Sequence[Kill]
    killed: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return " then ".join(map(str, self.kills))


class Place:
    """A folder for one trial."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database = folder / "polos.db"
        self.ledger = folder / "ledger"
        self.meter = folder / "meter"
        self.tape = folder / "tape"

    def start(self, kill: Kill | None, module: str = "tests.crash.order_program", **options: Any) -> tuple[int, str]:
        """Runs the program once; returns its exit code and what it said."""
        plan = {"database": f"sqlite:///{self.database}", "ledger": str(self.ledger), **options}
        if kill is not None:
            plan |= {"point": kill.point, "occurrence": kill.occurrence, "cut_at_sync": kill.at_sync}
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", module, json.dumps(plan)], cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if kill is not None and kill.delay is not None:
            try:
                said, _ = process.communicate(timeout=kill.delay)
                return process.returncode, said
            except subprocess.TimeoutExpired:
                process.kill()
        try:
            said, _ = process.communicate(timeout=ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            return 1, f"it did not come to an end within {ENDS_WITHIN:g} s\n{said}"
        return process.returncode, said

    def copy(self) -> Path:
        """Copies the database as it lies there, so that looking at it changes nothing."""
        target = self.folder / "copy"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name in (self.database.name, f"{self.database.name}-wal"):
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, target / name)
        return target / self.database.name

    def snapshot(self) -> Snapshot:
        """Returns what the database holds now."""
        pids = frozenset(ledger.read(self.ledger).pids)
        try:
            return snapshot(self.copy(), pids)
        except Exception as error:  # killed before there were tables
            if "no such table" not in str(error):
                raise
            return Snapshot(pids, {}, {})

    def check(self, expected: Expected, snapshots: list[Snapshot]) -> list[str]:
        return violations(self.copy(), ledger.read(self.ledger), expected, snapshots)


def undisturbed(folder: Path, **options: Any) -> tuple[Expected, Counter[str]]:
    """Runs the program to its end, and returns what it left and the points that it reached."""
    place = Place(folder)
    code, said = place.start(None, record=str(place.tape), **options)
    assert code == 0, said
    expected = expected_of(place.copy())
    assert place.check(expected, []) == []
    return expected, Counter(place.tape.read_text().split("\n")[:-1])


def attempt(folder: Path, kills: Sequence[Kill], expected: Expected, with_power: bool = False, **options: Any) -> Trial:
    """Kills the program at each of these, one after the other, runs it to its end, and checks."""
    trial, place = Trial(kills), Place(folder)
    snapshots: list[Snapshot] = []
    if with_power:
        options["power"] = str(place.meter)
    for kill in kills:
        code, said = place.start(kill, **options)
        if code == 0:
            break
        if code != -signal.SIGKILL:
            trial.wrong.append(f"it ended with {code}: {said[-2000:]}")
            return trial
        trial.killed += 1
        if with_power:
            power.cut(place.database, place.meter)
        snapshots.append(place.snapshot())
    code, said = place.start(None, **options)
    return judged(trial, place, code, said, expected, snapshots)


def judged(trial: Trial, place: Place, code: int, said: str, expected: Expected, snapshots: list[Snapshot]) -> Trial:
    """Checks what the last start has left; a folder in which nothing is wrong goes."""
    if code != 0:
        trial.wrong.append(f"the last start ended with {code}: {said[-2000:]}")
    try:
        trial.wrong += place.check(expected, snapshots)
    except Exception as error:
        trial.wrong.append(f"the database cannot be checked: {error!r}")
    if not trial.wrong:
        shutil.rmtree(place.folder)
    return trial


def sweep(folder: Path, trials: Iterable[Sequence[Kill]], run: Callable[[Path, Sequence[Kill]], Trial]) -> list[Trial]:
    """Makes many trials, a few at a time."""
    with ThreadPoolExecutor(IN_PARALLEL) as pool:
        return list(pool.map(lambda pair: run(folder / f"{pair[0]:04}", pair[1]), enumerate(trials)))


def report(trials: Sequence[Trial]) -> str:
    """Tells what broke."""
    broken = [trial for trial in trials if trial.wrong]
    lines = [f"{len(broken)} of {len(trials)} trials broke a promise"]
    for trial in broken[:10]:
        lines += [f"killed {trial}:", *(f"  {text}" for text in trial.wrong[:6])]
    return "\n".join(lines)
