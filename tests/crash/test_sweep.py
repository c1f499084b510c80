"""The crash sweep: killed at every named point, and at random; run to rest; nothing lost, nothing twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.crash.harness import Kill, Place, Trial, attempt, report, sweep, undisturbed
from tests.crash.invariants import Expected

pytestmark = pytest.mark.timeout(1_800)  # a bound on hanging; `--long` takes some ten minutes

OPS = (
    "Record", "Await", "StartChildren", "Publish", "Answer", "CloseWait", "RetryAt", "StepStarted", "Logs", "Park", "Release",
    "Block", "Finish",
)  # fmt: skip
TRANSACTIONS = (
    "start", "claim", "publish", "resume", "fire_due", "take_over", "hello", "goodbye", "retry", "fetch",
)  # fmt: skip


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Expected, Counter[str]]:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


def test_the_points_cover_every_kind_of_op(baseline: tuple[Expected, Counter[str]]) -> None:
    _, points = baseline
    for op in OPS:
        assert f"inside.{op}" in points
        for when in ("before", "commit", "after"):
            assert any(name.startswith(f"{when}.") and op in name.partition(".")[2].split(",") for name in points), (
                when,
                op,
            )
    for name in TRANSACTIONS:
        assert {f"{when}.{name}" for when in ("before", "commit", "after")} <= set(points)
    assert {"body.before", "body.after", "deliver", "sync", "synced"} <= set(points)
    assert points["body.before"] == points["body.after"] >= 12


def chosen(points: Counter[str], every: bool) -> list[Kill]:
    """Points by name: at the last time of a commit or after it, in turns; every sixth of bodies; all of them with `every`.

    Before and at a commit the database is the same, so that the short form leaves the first of these out.
    """
    kills = []
    for name, count in sorted(points.items()):
        if every:
            occurrences = set(range(1, count + 1))
        elif name.startswith("body."):
            occurrences = set(range(1, count + 1, 6))
        elif "," in name and not name.startswith("after."):
            continue  # commits of several operations: killed once they are there; the long form has all
        elif name.startswith("before."):
            continue
        elif name.startswith("commit.") or "," in name:
            occurrences = {count}
        else:
            occurrences = {1 if len(kills) % 2 else count}
        kills += [Kill(name, occurrence) for occurrence in sorted(occurrences)]
    if every:
        return kills
    at = [kill for kill in kills if (kill.point or "").startswith("commit.")]
    after = [kill for kill in kills if (kill.point or "").startswith("after.")]
    rest = [kill for kill in kills if kill not in at and kill not in after]
    return [*at[::4], *after[1::4], *rest[::3]]


def test_killed_at_every_point(
    baseline: tuple[Expected, Counter[str]], tmp_path: Path, request: pytest.FixtureRequest, tell: Callable[[str], None]
) -> None:
    expected, points = baseline
    every = request.config.getoption("--long")
    trials: list[Sequence[Kill]] = [(kill,) for kill in chosen(points, every)]
    found = sweep(tmp_path, trials, partial(attempt, expected=expected))
    made = sum(trial.killed for trial in found)
    reached = {trial.kills[0].point for trial in found if trial.killed}
    tell(
        f"crash sweep: {len(points)} points by name ({sum(points.values())} with their occurrences); "
        f"{made} of {len(trials)} kills made, at {len(reached)} points; {sum(bool(t.wrong) for t in found)} violations"
    )
    assert not any(trial.wrong for trial in found), report(found)
    assert made >= 0.9 * len(trials), f"{len(trials) - made} points were passed by"


def test_killed_again_during_recovery(
    baseline: tuple[Expected, Counter[str]], tmp_path: Path, request: pytest.FixtureRequest, tell: Callable[[str], None]
) -> None:
    expected, points = baseline
    dice = random.Random(2)
    names = sorted(points)
    first = [dice.choice(chosen(points, True)) for _ in range(200 if request.config.getoption("--long") else 10)]
    again = [
        "before.take_over",
        "commit.take_over",
        "after.take_over",
        "after.claim",
        "deliver",
        "synced",
        "body.after",
    ]
    trials = [
        (kill, Kill((again + names)[i % (len(again) + len(names))], 1 + i % 3 // 2)) for i, kill in enumerate(first)
    ]
    found = sweep(tmp_path, trials, partial(attempt, expected=expected))
    tell(f"crash sweep, again during recovery: {len(trials)} trials, {sum(t.killed for t in found)} kills, "
         f"{sum(bool(t.wrong) for t in found)} violations")  # fmt: skip
    assert not any(trial.wrong for trial in found), report(found)


def test_killed_at_random(
    baseline: tuple[Expected, Counter[str]], tmp_path: Path, request: pytest.FixtureRequest, tell: Callable[[str], None]
) -> None:
    """The delay chooses where to kill; nothing waits for it to be right."""
    expected, _ = baseline
    seeds = range(200 if request.config.getoption("--long") else 12)
    trials = [(Kill(delay=0.15 + 0.45 * random.Random(seed).random()),) for seed in seeds]
    found = sweep(tmp_path, trials, partial(attempt, expected=expected))
    tell(
        f"random kills: {len(trials)} seeds, {sum(t.killed for t in found)} kills, {sum(bool(t.wrong) for t in found)} violations"
    )
    broken = [seed for seed, trial in zip(seeds, found, strict=True) if trial.wrong]
    assert not broken, f"seeds {broken}\n{report(found)}"


def test_relaxed_survives_kills_too(
    baseline: tuple[Expected, Counter[str]], tmp_path: Path, tell: Callable[[str], None]
) -> None:
    expected, points = baseline
    kills = [kill for kill in chosen(points, False) if (kill.point or "").startswith("after.")]
    trials: list[Sequence[Kill]] = [(kill,) for kill in kills[::3]]
    found = sweep(tmp_path, trials, partial(attempt, expected=expected, durability="relaxed"))
    tell(f"crash sweep, relaxed: {sum(t.killed for t in found)} kills, {sum(bool(t.wrong) for t in found)} violations")
    assert not any(trial.wrong for trial in found), report(found)


# ── the power goes out ───────────────────────────────────────────────────────────────────────────────


def test_power_cuts(
    baseline: tuple[Expected, Counter[str]], tmp_path: Path, request: pytest.FixtureRequest, tell: Callable[[str], None]
) -> None:
    """What was not acknowledged as synced is cut off the log: nothing that was seen, anywhere, may be lost."""
    expected, points = baseline
    syncs = range(1, points["sync"] + 1, 1 if request.config.getoption("--long") else 9)
    kills = [Kill(at_sync=n) for n in syncs]
    kills += [kill for kill in chosen(points, False) if (kill.point or "").startswith("after.")][::4]
    trials: list[Sequence[Kill]] = [(kill,) for kill in kills]
    found = sweep(tmp_path, trials, partial(attempt, expected=expected, with_power=True))
    tell(f"power cuts: {sum(t.killed for t in found)} cuts, {sum(bool(t.wrong) for t in found)} violations")
    assert not any(trial.wrong for trial in found), report(found)
    assert sum(t.killed for t in found) >= 0.9 * len(trials)


def test_a_power_cut_takes_something_away(baseline: tuple[Expected, Counter[str]], tmp_path: Path) -> None:
    """Guards the harness: a kill after a commit and before its sync leaves rows that the cut removes."""
    from tests.crash import power

    place = Place(tmp_path / "place")
    code, _ = place.start(Kill("after.StepStarted,Record", 3), power=str(place.meter))
    assert code == -9
    before = place.snapshot().journal
    power.cut(place.database, place.meter)
    after = place.snapshot().journal
    assert len(after) == len(before) - 1


def test_the_trials_can_fail(baseline: tuple[Expected, Counter[str]], tmp_path: Path) -> None:
    """Guards the checks: against a wrong expectation every trial is red."""
    expected, _ = baseline
    other = replace(expected, results={**expected.results, "order": "{}"})
    trial: Trial = attempt(tmp_path / "place", [Kill("body.after", 3)], other)
    assert any("undisturbed" in text for text in trial.wrong)
