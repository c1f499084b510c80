"""Each planted bug turns a small part of the crash sweep red, and that part is green without it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.crash.harness import Kill, Place, attempt, report, sweep, undisturbed


def stale(folder: Path, mutant: str | None) -> list[str]:
    """A lease that was taken over, and a key that has its outcome, are written to all the same."""
    code, said = Place(folder).start(None, "tests.crash.stale_program", mutant=mutant)
    assert code == 0, said
    return said.splitlines()


def killed(folder: Path, mutant: str | None) -> list[str]:
    """Killed right after commits, and powered off while a sync is held up."""
    expected, points = undisturbed(folder / "undisturbed", short=True)
    after = [("after.StepStarted,Record", 2), ("after.StepStarted,Record", 5), ("after.Publish", 1)]
    kills = [(Kill(point, n),) for point, n in after]
    cuts = [(Kill(at_sync=n),) for n in range(3, points["sync"] - 2, 6)]
    options = {"expected": expected, "short": True, "mutant": mutant}
    trials = sweep(folder / "kills", kills, partial(attempt, **options))  # type: ignore[arg-type]
    trials += sweep(folder / "cuts", cuts, partial(attempt, with_power=True, **options))  # type: ignore[arg-type]
    assert any(trial.killed for trial in trials)
    return [report([trial]) for trial in trials if trial.wrong]


def test_the_part_is_green_without_a_mutant(tmp_path: Path) -> None:
    assert stale(tmp_path / "stale", None) == []
    assert killed(tmp_path / "killed", None) == []


def test_no_epoch_check_is_seen(tmp_path: Path) -> None:
    wrong = stale(tmp_path, "no_epoch_check")
    assert any("under a lost lease was taken" in text for text in wrong), wrong


def test_overwriting_is_seen(tmp_path: Path) -> None:
    wrong = stale(tmp_path, "overwrite")
    assert any("a second outcome of a key was taken" in text for text in wrong), wrong
    assert any("changed journal" in text for text in wrong), wrong


def test_an_event_outside_the_transaction_is_seen(tmp_path: Path) -> None:
    wrong = killed(tmp_path, "event_outside")
    assert any("told 0 times" in text for text in wrong), wrong


def test_an_answer_before_the_sync_is_seen(tmp_path: Path) -> None:
    wrong = killed(tmp_path, "answer_before_sync")
    assert any("the code saw" in text for text in wrong), wrong
