"""The crash sweep with the owner and the worker in processes of their own: either is killed, the other goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.crash.harness import ROOT, Kill, Place, Trial, judged, report, sweep
from tests.crash.invariants import Expected, Snapshot, expected_of
from tests.crash.test_sweep import chosen

pytestmark = pytest.mark.timeout(1_800)  # a bound on hanging; `--long` takes some ten minutes


@dataclass(frozen=True)
class KillOne(Kill):
    """Which of the two dies, and where."""

    victim: Literal["owner", "worker"] = "owner"

    def __str__(self) -> str:
        return f"the {self.victim} {super().__str__()}"


@contextmanager
def owner(place: Place, kill: KillOne | None, record: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    plan: dict[str, Any] = {"database": f"sqlite:///{place.database}", "ledger": str(place.ledger)}
    if kill is not None and kill.victim == "owner":
        plan |= {"point": kill.point, "occurrence": kill.occurrence}
    if record is not None:
        plan["record"] = str(record)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.crash.owner_program", json.dumps(plan)], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        process.stdout.readline()  # it owns, or has died on the way
        yield process
        said, _ = process.communicate(timeout=20)
        assert process.returncode in (0, -signal.SIGKILL), said
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        if process.stdin is not None:
            process.stdin.close()


def attempt(folder: Path, kills: Sequence[Kill], expected: Expected) -> Trial:
    """Kills one of the two, lets the rest come to its end, and checks."""
    (kill,) = kills
    assert isinstance(kill, KillOne)
    trial, place = Trial(kills), Place(folder)
    snapshots: list[Snapshot] = []
    with owner(place, kill) as owning:
        code, said = place.start(kill if kill.victim == "worker" else None)
        if kill.victim == "worker" and code == -signal.SIGKILL:
            trial.killed = 1
            snapshots.append(place.snapshot())
            code, said = place.start(None)
    trial.killed += owning.returncode == -signal.SIGKILL
    return judged(trial, place, code, said, expected, snapshots)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Expected, dict[str, Counter[str]]]:
    place = Place(tmp_path_factory.mktemp("apart"))
    owners = place.folder / "owners-tape"
    with owner(place, None, owners):
        code, said = place.start(None, record=str(place.tape))
    assert code == 0, said
    expected = expected_of(place.copy())
    assert place.check(expected, []) == []
    points = {"owner": owners, "worker": place.tape}
    return expected, {name: Counter(tape.read_text().split("\n")[:-1]) for name, tape in points.items()}


def test_the_points_are_apart(baseline: tuple[Expected, dict[str, Counter[str]]]) -> None:
    _, points = baseline
    assert {"sync", "synced", "after.claim", "inside.Record", "inside.Finish"} <= set(points["owner"])
    assert {"body.before", "body.after", "deliver"} <= set(points["worker"])
    assert not any(name.startswith(("body.", "deliver")) for name in points["owner"])
    assert not any(name.startswith(("inside.", "sync")) for name in points["worker"])


@pytest.mark.parametrize("victim", ["owner", "worker"])
def test_one_of_the_two_is_killed(
    victim: Literal["owner", "worker"], baseline: tuple[Expected, dict[str, Counter[str]]], tmp_path: Path,
    request: pytest.FixtureRequest, tell: Callable[[str], None],
) -> None:  # fmt: skip
    expected, points = baseline
    every = request.config.getoption("--long")
    kills = [KillOne(kill.point, kill.occurrence, victim=victim) for kill in chosen(points[victim], every)]
    if not every:
        kills = kills[:: 4 if victim == "owner" else 1]
    found = sweep(tmp_path, [(kill,) for kill in kills], lambda folder, one: attempt(folder, one, expected))
    wrong = sum(bool(trial.wrong) for trial in found)
    killed = sum(trial.killed for trial in found)
    tell(f"crash sweep, apart: {killed} of {len(kills)} kills of the {victim} made; {wrong} violations")
    assert not wrong, report(found)
    assert killed >= 0.8 * len(kills), f"{len(kills) - killed} points were passed by"
