"""Commands one after the other, as real processes on a real project (cli.md)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import SHOP, Shell, end, shop, until_said


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return shop(tmp_path)


def test_a_new_project_runs_and_everything_about_the_run_can_be_seen(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    made = shell.polos("init", "shop", "--template", "hello")
    assert made.code == 0
    shell.folder = tmp_path / "shop"
    (shell.folder / "workflows" / "hello.py").write_text(
        (shell.folder / "workflows" / "hello.py").read_text().replace("seconds=1)", "seconds=0.01)")
    )

    run = shell.polos("run", "hello", "name=Ada")
    assert (run.code, run.json) == (
        0,
        {"greeting": "Hello, Ada!", "letters": 8, "said": ["Hello, Ada!", "HELLO, ADA!"]},
    )
    assert "compose" in run.err and "completed in" in run.err

    ps = shell.polos("ps", "--json")
    execution, last = ps.lines
    assert (execution["kind"], execution["v"], execution["workflow"], execution["status"]) == (
        "execution",
        1,
        "hello",
        "completed",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", execution["created_at"])
    assert last == {"kind": "end", "v": 1, "reason": "complete"}
    assert "hello" in shell.polos("ps").out

    show = shell.polos("show", "last", "--json").json
    assert next(step["step"] for step in show["steps"]) == "compose"
    assert show["input"] == {"name": "Ada"} and show["result"]["letters"] == 8
    plain = shell.polos("show", "1").out
    assert "compose" in plain and "say-1" in plain and "result" in plain

    events = shell.polos("events", "last", "--json").lines
    assert [e["kind"] for e in events[:-1]] == ["event"] * (len(events) - 1)
    assert (events[0]["type"], events[-2]["type"], events[-1]["kind"]) == ("workflow_start", "workflow_finish", "end")

    logs = shell.polos("logs", "last", "--json").lines
    assert [(line["step"], line["text"]) for line in logs[:-1]] == [("say-0", "Hello, Ada!"), ("say-1", "HELLO, ADA!")]
    assert "Hello, Ada!" in shell.polos("logs", "hello").out

    workflows = shell.polos("workflows", "--json").lines
    assert workflows[0]["id"] == "hello" and workflows[0]["input_schema"]["required"] == ["name"]
    assert "name" in shell.polos("workflows", "hello").out


def test_an_invoked_execution_is_run_by_attaching_to_it(shell: Shell) -> None:
    invoked = shell.polos("invoke", "order", '{"id": 5}')
    assert invoked.code == 0 and invoked.out.strip().startswith("exec_")
    assert "run --attach 1" in invoked.err
    again = shell.polos("invoke", "order", "id=5", "--idempotency-key", "k", "--json").json
    assert (again["kind"], again["number"], again["workflow"]) == ("started", 2, "order")
    assert shell.polos("invoke", "order", "id=5", "--idempotency-key", "k", "--json").json["number"] == 2
    assert shell.polos("invoke", "order", "id=6", "--idempotency-key", "k", "--json").code == 2
    attached = shell.polos("run", "--attach", invoked.out.strip(), "--json")
    assert (attached.code, attached.json["result"], attached.json["status"]) == (
        0,
        {"order": 5, "note": ""},
        "completed",
    )
    assert [e["status"] for e in shell.polos("ps", "--json").lines[:-1]] == ["queued", "completed"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_suspend_is_answered_before_or_after_it_is_reached(shell: Shell, when: str) -> None:
    if when == "before":
        shell.polos("invoke", "asks")
    else:
        run = shell.polos("run", "asks", "--timeout", "0.3")
        assert run.code == 5 and "polos resume 1 ask" in run.err
        waiting = shell.polos("ps", "--json").lines[0]
        assert waiting["status"] == "waiting" and waiting["waits"][0]["step"] == "ask"
    answered = shell.polos("resume", "last", "ask", '{"approved": true}', "--json")
    assert (answered.code, answered.json["kind"], answered.json["data"]) == (0, "resumed", {"approved": True})
    second = shell.polos("resume", "last", "ask", "approved:=false", "--json")
    assert (second.code, second.error["code"]) == (2, "POLOS105")
    ended = shell.polos("run", "--attach", "last")
    assert (ended.code, ended.json) == (0, {"answer": {"approved": True}})
    late = shell.polos("resume", "last", "other", "1", "--json")
    assert (late.code, late.error["code"]) == (2, "POLOS110")


def test_an_event_says_whom_it_woke_or_that_nothing_listens(shell: Shell) -> None:
    alone = shell.polos("send-event", "shop.news", '{"n": 1}', "--id", "evt_1")
    assert alone.code == 0 and "nothing waits" in alone.err and "number 1 on shop.news" in alone.out
    again = shell.polos("send-event", "shop.news", '{"n": 1}', "--id", "evt_1", "--json").json
    assert (again["kind"], again["created"], again["sequence"]) == ("published", False, 1)
    conflict = shell.polos("send-event", "shop.news", '{"n": 2}', "--id", "evt_1")
    assert conflict.code == 2 and "evt_1" in conflict.err
    assert shell.polos("send-event", "workflow/order/1", "1").code == 2
    run = shell.polos("run", "listens", "--timeout", "0.3")
    assert run.code == 5
    woken = shell.polos("send-event", "shop.news", "n:=2", "--json").json
    assert woken["woken"] == [1]
    assert shell.polos("run", "--attach", "last").json == {"heard": {"n": 2}}


def test_a_failed_workflow_exits_1_and_shows_the_users_frames_only(shell: Shell) -> None:
    failed = shell.polos("run", "fails")
    assert failed.code == 1 and failed.out == ""
    assert "the shelf is empty" in failed.err and "shop.py" in failed.err
    assert "polos/worker" not in failed.err and "polos/local" not in failed.err
    shown = shell.polos("show", "last", "--step", "break", "--json").json
    assert (shown["state"], len(shown["failed_attempts"])) == ("failed", 1)
    as_json = shell.polos("run", "fails", "--json")
    assert (as_json.code, as_json.json["status"], as_json.json["error"]["type"]) == (1, "failed", "StepExecutionError")


def test_mistakes_are_told_without_a_traceback_and_store_nothing(shell: Shell) -> None:
    bad = shell.polos("run", "order", '{"id": "one", "note": 5}')
    assert bad.code == 2 and re.search(r"\bid\b", bad.err) and re.search(r"\bnote\b", bad.err)
    as_json = shell.polos("invoke", "order", "{}", "--json")
    assert as_json.code == 2 and as_json.error["exit_code"] == 2 and as_json.error["errors"][0]["path"] == "id"
    unknown = shell.polos("run", "ordr", "id=1")
    assert unknown.code == 3 and "did you mean 'order'" in unknown.err
    assert shell.polos("run").code == 2
    command = shell.polos("shwo")
    assert command.code == 2 and "did you mean show" in command.err
    for done in (bad, unknown, command):
        assert "Traceback" not in done.err
    assert shell.polos("ps", "--json").lines == [{"kind": "end", "v": 1, "reason": "complete"}]
    shell.polos("invoke", "asks")
    missing = shell.polos("resume", "99", "ask", "1", "--json")
    assert (missing.code, missing.error["code"]) == (3, "POLOS109")


def test_an_import_error_shows_the_users_line(shell: Shell) -> None:
    half = "from polos import workflow\n@workflow\nasync def half(ctx): ...\nprint(absent)\n"
    (shell.folder / "workflows" / "broken.py").write_text(half)
    for typed in (("run", "half"), ("invoke", "half"), ("workflows", "half"), ("run", "absent")):
        done = shell.polos(*typed)
        assert done.code == 2 and "broken.py:4" in done.err and "NameError" in done.err
        assert "importlib" not in done.err
    assert shell.polos("ps").code == 0  # what only reads imports nothing


def test_a_broken_module_is_in_the_way_of_its_own_workflows_alone(shell: Shell) -> None:
    half = "from polos import workflow\n@workflow\nasync def half(ctx): ...\nprint(absent)\n"
    (shell.folder / "workflows" / "broken.py").write_text(half)
    done = shell.polos("run", "order", "id=1")
    assert done.code == 0 and done.json == {"order": 1, "note": ""}
    assert "warning" in done.err and "workflows.broken could not be imported: NameError" in done.err
    listed = shell.polos("workflows")
    assert listed.code == 0 and "order" in listed.out and "half" not in listed.out and "workflows.broken" in listed.err
    assert shell.polos("replay", "--all").code == 2, "a check passes nothing over"
    text = 'from polos import workflow\n@workflow(schedule="99 * * * *")\nasync def half(ctx): ...\n'
    (shell.folder / "workflows" / "broken.py").write_text(text)  # what polos refuses is no other thing
    done = shell.polos("invoke", "order", "id=1")
    assert done.code == 0 and "workflows.broken" in done.err and "99 * * * *" in done.err
    (shell.folder / "workflows" / "broken.py").write_text(text.replace('schedule="99 * * * *"', 'id="order"'))
    assert "two workflows have the id 'order'" in shell.polos("invoke", "order", "id=1").err


def test_changed_code_exits_6_with_both_lines_and_goes_on_when_put_back(shell: Shell) -> None:
    assert shell.polos("run", "versions", "--timeout", "0.3").code == 5
    shell.polos("send-event", "shop.news", "1")
    source = shell.folder / "workflows" / "shop.py"
    source.write_text(SHOP.replace('"first"', '"renamed"'))
    diverged = shell.polos("run", "--attach", "last")
    assert diverged.code == 6
    assert "'first'" in diverged.err and "'renamed'" in diverged.err and diverged.err.count("shop.py:") >= 2
    assert "blocked" in shell.polos("ps").out
    source.write_text(SHOP)
    assert shell.polos("run", "--attach", "last").code == 0


def test_a_file_needs_no_project(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "flows.py").write_text(SHOP)
    done = shell.polos("run", "flows.py:order", "id=3")
    assert (done.code, done.json["order"]) == (0, 3)
    assert ".polos" in done.err and (tmp_path / ".polos" / "polos.db").exists()
    assert shell.polos("run", "flows.py:absent").code == 3
    assert shell.polos("run", "absent.py:order").code == 2
    elsewhere = Shell(tmp_path.parent)
    assert elsewhere.polos("ps").code == 2


# ── other processes, signals ─────────────────────────────────────────────────────────────────────────────


def test_ctrl_c_exits_130_leaves_it_resumable_and_counts_no_death(shell: Shell) -> None:
    running = shell.start("run", "slow", SLOW="1")
    until_said(running, "in the body")
    os.kill(running.pid, signal.SIGINT)
    said = until_said(running, "run --attach 1")
    assert "nothing is lost" in said
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(0.3)  # it lets the body finish for a while
    os.kill(running.pid, signal.SIGINT)  # asked again, at once
    running.wait(5)
    done = end(running)
    assert done.code == 130 and "Traceback" not in done.err
    shown = shell.polos("show", "last", "--json").json
    assert (shown["deaths"], shown["status"]) == (0, "queued")
    assert shell.polos("run", "--attach", "last").out == '"done"\n'


def test_ctrl_c_while_it_waits_leaves_it_waiting(shell: Shell) -> None:
    running = shell.start("run", "listens")
    until_said(running, "send-event shop.news")
    os.kill(running.pid, signal.SIGINT)
    done = end(running)
    assert done.code == 130 and "Traceback" not in done.err
    shown = shell.polos("show", "last", "--json").json
    assert (shown["status"], shown["deaths"]) == ("waiting", 0)


def test_a_killed_run_is_taken_over_by_the_next(shell: Shell) -> None:
    running = shell.start("run", "slow", SLOW="1")
    until_said(running, "in the body")
    running.kill()
    end(running)
    assert shell.polos("run", "--attach", "last").code == 0


def test_while_one_process_owns_the_database_the_others_work_through_it(shell: Shell) -> None:
    running = shell.start("run", "listens")
    until_said(running, "send-event shop.news")
    try:
        assert shell.polos("run", "order", "id=1").json == {"order": 1, "note": ""}
        invoked = shell.polos("invoke", "order", "id=1", "--json")
        assert invoked.code == 0 and "nothing runs it yet" in invoked.err
        for command in (("ps",), ("show", "last"), ("events",), ("logs",), ("events", "last", "--json")):
            assert shell.polos(*command).code == 0, command
        sent = shell.polos("send-event", "shop.news", "--json").json
        assert sent["woken"] == [1]
        done = end(running)
        assert done.code == 0 and "Traceback" not in done.err
    finally:
        running.kill()


def test_a_question_is_answered_from_another_terminal(shell: Shell) -> None:
    running = shell.start("run", "asks")
    until_said(running, "polos resume")
    try:
        answered = shell.polos("resume", "last", "ask", '{"approved": true}')
        done = end(running)
        assert (answered.code, done.code) == (0, 0)
        assert done.json == {"answer": {"approved": True}}
    finally:
        running.kill()


# ── what reaches the terminal ────────────────────────────────────────────────────────────────────────────

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_stored_text_never_steers_the_terminal(shell: Shell) -> None:
    run = shell.polos("run", "hostile")
    assert run.code == 0
    outputs = [run, *(shell.polos(*command) for command in (
        ("show", "last"), ("show", "last", "--json"), ("events", "last"), ("logs", "last"), ("logs", "last", "--json"),
        ("show", "last", "--step", "raises"), ("ps",),
    ))]  # fmt: skip
    for done in outputs:
        assert done.code == 0
        assert not CONTROL.search(done.out), CONTROL.search(done.out)
        assert not CONTROL.search(done.err), CONTROL.search(done.err)
    shown = outputs[2].json
    assert "\x1b[31mred" in shown["steps"][0]["value"]  # as data it is what it was
    assert "[bold]x[/bold]" in outputs[4].out  # text, never markup


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1", "TERM": "xterm-256color"}])
def test_piped_output_is_plain(shell: Shell, env: dict[str, str]) -> None:
    run = shell.polos("run", "order", "id=1", "note=nice", **env)
    for done in (run, shell.polos("ps", **env), shell.polos("show", "last", **env), shell.polos("--help", **env)):
        assert done.code == 0
        assert "\x1b" not in done.out + done.err and "\r" not in done.out + done.err
    assert run.json == {"order": 1, "note": "nice"}


def test_a_file_with_one_workflow_needs_no_name_and_one_with_several_says_which(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    one = "from polos import workflow\n\n\n@workflow\nasync def one(ctx, n: int = 7) -> int:\n    return n\n"
    (tmp_path / "one.py").write_text(one)
    (tmp_path / "two.py").write_text(one + "\n\n@workflow\nasync def two(ctx) -> int:\n    return 2\n")
    done = shell.polos("run", "one.py")
    assert (done.code, done.json) == (0, 7)
    assert '"default": 7' in shell.polos("workflows", "one.py").out
    several = shell.polos("run", "two.py")
    assert several.code == 3 and "which workflow of two.py? it has one, two" in several.err
    other = shell.polos("run", "two.py:two", "--attach", "1")
    assert other.code == 2 and "execution 1 is of 'one', not of 'two'" in other.err


def test_small_mistakes_are_said_where_they_are_made(shell: Shell) -> None:
    star = shell.polos("send-event", "shop.*", "1")
    assert star.code == 2 and "one topic" in star.err and shell.polos("events").out == ""
    missing = shell.polos("show", "missing.polos")
    assert missing.code == 2 and "there is no file missing.polos" in missing.err
    assert "did you mean" not in shell.polos("bogus").err and "did you mean run" in shell.polos("runn").err


def test_an_answer_ahead_of_its_question_is_no_step(shell: Shell) -> None:
    shell.polos("run", "asks", "--timeout", "0.3")
    ahead = shell.polos("resume", "1", "later", "1")
    assert "has not asked yet" in ahead.err
    assert "later" not in shell.polos("show", "1").out.partition("next")[0]
