"""`polos replay` and `polos diff`, typed."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.shell import Shell


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two executions that ended in different ways."""
    folder = tmp_path_factory.mktemp("approved")
    shell = Shell(folder)
    assert shell.polos("init", ".", "--template", "approval").code == 0
    for item, answer in (("Pen", "true"), ("Cup", "false")):
        id_ = shell.polos("invoke", "approval", f"item={item}", "amount:=3").out.strip()
        assert shell.polos("resume", id_, "await_approval", f"approved:={answer}").code == 0
        assert shell.polos("run", "--attach", id_).code == 0
    return folder


@pytest.fixture
def shell(made: Path, tmp_path: Path) -> Shell:
    """A copy of it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return Shell(tmp_path)


def test_the_same_code_matches_and_changed_code_diverges_with_both_lines(shell: Shell) -> None:
    done = shell.polos("replay", "1", "2")
    assert done.code == 0 and done.out.count("matches") == 2 and "ordering" not in done.out + done.err
    file = shell.folder / "workflows" / "approval.py"
    text = file.read_text()
    file.write_text(text.replace('step.run("look_up_budget"', 'step.run("look_up"'))
    done = shell.polos("replay", "last")
    assert done.code == 6
    assert (
        "- look_up_budget  workflows/approval.py:39" in done.out and "+ look_up " in done.out and "renamed" in done.out
    )
    ci = shell.polos("replay", "1", "2", "--ci")
    assert ci.code == 6 and [line.get("verdict") for line in ci.lines] == ["diverges", "diverges", None]
    suite = ElementTree.parse(shell.folder / "polos-replay.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    file.write_text(text.replace("look_up_budget, input.item", "look_up_budget, input.item.lower()"))
    done = shell.polos("replay", "1", "--json")
    assert done.code == 0 and done.lines[0]["changed"] == [
        {"step": "look_up_budget", "site": "workflows/approval.py:39"}
    ]


def test_with_nothing_unfinished_all_is_nothing(shell: Shell) -> None:
    done = shell.polos("replay", "--all")
    assert (done.code, done.out) == (0, "") and "nothing to replay" in done.err
    assert shell.polos("replay").code == 2 and shell.polos("replay", "1", "--all").code == 2
    assert shell.polos("replay", "99").code == 3


def test_two_executions_are_compared(shell: Shell) -> None:
    done = shell.polos("diff", "1", "2")
    assert done.code == 0
    for shown in ('~ .item  "Pen" → "Cup"', "~ .data.approved  true → false", "- execute", "+ tell"):
        assert shown in done.out, done.out
    assert "created_at" not in done.out
    told = shell.polos("diff", "1", "2", "--json").json
    assert [(step["step"], step["sort"]) for step in told["steps"]] == [
        ("look_up_budget", "changed"), ("await_approval", "changed"), ("execute", "only_first"), ("tell", "only_second"),
    ]  # fmt: skip
    same = shell.polos("diff", "1", "1")
    assert same.code == 0 and "they are the same" in same.err
    assert shell.polos("diff", "1", "99").code == 3


def test_a_fork_goes_on_from_a_step_with_what_is_edited(shell: Shell) -> None:
    fork = ("fork", "1", "--at", "execute", "--set", 'await_approval={"approved": false}')
    planned = shell.polos(*fork, "--dry-run")
    assert (planned.code, planned.out) == (0, "") and "runs again    execute" in planned.err
    assert '{"approved":true} → {"approved":false}' in planned.err and "nothing was started" in planned.err
    made = shell.polos(*fork, "--json").json
    assert made["again"] == [{"step": "execute", "what": "runs again"}] and made["edited"] == ["await_approval"]
    assert shell.polos("run", "--attach", str(made["number"])).code == 0
    shown = shell.polos("show", str(made["number"]))
    assert "fork    of 1 (approval), at execute" in shown.out and "kept" in shown.out
    assert 'edited  await_approval: {"approved":true} → {"approved":false}' in shown.out
    origin = shell.polos("show", str(made["number"]), "--json").json["fork"]
    assert (origin["number"], origin["edited"][0]["step"]) == (1, "await_approval")
    differ = shell.polos("diff", "1", str(made["number"])).out
    assert ".data.approved  true → false" in differ and "look_up_budget" not in differ


def test_what_cannot_be_forked_is_refused_and_starts_nothing(shell: Shell) -> None:
    for wrong, said in (
        (("--at", "nix"), "no recorded step"),
        (("--at", "execute", "--set", "execute=1"), "runs again"),
        (("--at", "execute", "--set", "look_up_budget=yes"), 'look_up_budget="yes"'),
        (("--at", "execute", "--set", "look_up_budget"), "STEP=JSON"),
        (("--input", '{"item": 3}'), "item"),
    ):
        done = shell.polos("fork", "1", *wrong)
        assert done.code == 2 and said in done.err, done.err
    assert shell.polos("fork", "99").code == 3
    assert len(shell.polos("ps", "--json").lines) == 3


def test_chaos_tells_what_a_crash_repeats_and_ends_with_one_where_it_changes_the_end(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "flows.py").write_text((Path(__file__).parents[1] / "testing" / "chaos_flows.py").read_text())
    done = shell.polos("chaos", "flows.py:repeats", "3")
    assert done.code == 0, done.err
    assert "mail  after its body   the same end; mail ran 2 times" in done.out
    assert "mail: a crash lets its body run again, and it does not read its idempotency key" in done.out
    done = shell.polos("chaos", "flows.py:draws", "3", "--json")
    assert done.code == 1 and done.lines[0]["findings"] and not done.lines[1]["same"]
    assert shell.polos("chaos", "flows.py:sound", "x").code == 2
    stuck = shell.polos("chaos", "flows.py:sound", "3", "--answer", "agree")
    assert stuck.code == 2 and "there is no =" in stuck.err
