"""`polos chaos` finds what is planted, and nothing in a workflow that is as it should be. Its processes really die."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from polos.errors import UsageError
from polos.testing.chaos import Crashed, Plan, Undisturbed, crashes, undisturbed

HERE = Path(__file__).parent
GIVEN: dict[str, Any] = {"events": [("paid", {"sum": 3})], "answers": {"agree": True}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "flows.py").write_text((HERE / "chaos_flows.py").read_text())
    return tmp_path


def chaos(root: Path, workflow: str, most: int | None = None, **given: Any) -> tuple[Undisturbed, list[Crashed]]:
    """Returns what was found undisturbed, and of the first `most` crashes."""
    plan = Plan(root=root, workflow=f"flows.py:{workflow}", payload=3, **given)
    base = undisturbed(plan)
    return base, list(islice(crashes(plan, base), most))


def test_a_sound_workflow_ends_the_same_wherever_it_dies(project: Path) -> None:
    base, done = chaos(project, "sound", **GIVEN)
    assert (base.findings, base.unstable, base.ran.executions[""]["status"]) == ([], frozenset(), "completed")
    assert {(one.step, one.when) for one in done if one.reached} == {
        *((step, when) for step in ("add", "charge", "work") for when in ("before", "after")),
        *((step, "waiting") for step in ("child", "paid", "agree", "a while")),
    }  # fmt: skip
    assert [one.differences for one in done if one.differences] == []
    after = {one.step: one.repeated for one in done if one.when == "after"}
    assert after == {
        "add": [("sound", "add", 2, False)], "charge": [("sound", "charge", 2, True)],
        "work": [("child", "work", 2, False)],
    }  # fmt: skip
    assert all(not one.repeated for one in done if one.when != "after"), "no body that has an outcome runs again"


def test_a_side_effect_that_is_repeated_is_named_and_has_really_happened_twice(project: Path) -> None:
    base, done = chaos(project, "repeats")
    (twice,) = [one for one in done if one.repeated]
    assert (twice.when, list(twice.repeated)) == ("after", [("repeats", "mail", 2, False)])
    sent = (project / "ledger.txt").read_text().splitlines()
    assert len(sent) == 2 + 1 + 2, "two undisturbed runs, one that died before its body, one that died after it"
    chaos(project, "repeats", 0, mocks={"mail": "sent"})
    assert len((project / "ledger.txt").read_text().splitlines()) == len(sent), "a mock stands in place of a body"
    assert base.findings == []


def test_chance_outside_of_steps_is_found_by_replays(project: Path) -> None:
    base, _ = chaos(project, "tosses", 0)
    assert any("leaves its history" in one for one in base.findings)
    base, done = chaos(project, "draws", 1)
    assert any("another result" in one for one in base.findings) and any("by chance" in one for one in base.findings)
    assert all(one.differences for one in done)


def test_what_a_step_gives_anew_each_time_is_no_difference(project: Path) -> None:
    base, done = chaos(project, "clocks", 1)
    assert base.unstable == {("", "read")} and base.findings == []
    assert [one.differences for one in done] == [[]]


def test_a_failure_is_an_end_like_another(project: Path) -> None:
    base, done = chaos(project, "breaks", 1)
    assert base.ran.executions[""]["status"] == "failed" and [one.differences for one in done] == [[]]


def test_what_cannot_be_run_is_said(project: Path) -> None:
    with pytest.raises(UsageError, match="waits for an event") as refused:
        undisturbed(Plan(root=project, workflow="flows.py:sound", payload=3))
    assert "--event" in refused.value.hint
    with pytest.raises(UsageError, match="did not end within"):
        undisturbed(Plan(root=project, workflow="flows.py:hangs", payload=3, timeout=2))
    with pytest.raises(UsageError, match="could not be run"):
        undisturbed(Plan(root=project, workflow="flows.py:nix", payload=3))
