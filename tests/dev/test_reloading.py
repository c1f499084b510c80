"""Save a file and the new code is live: running executions go on with it, what does not fit is held, what failed is retried."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.dev.conftest import Start
from tests.dev.place import Dev, wait_until

SHIP = ('"ship one"', '"ship two"')


def waiting(server: Dev, count: int = 1) -> None:
    """Lets executions start and wait for their approval."""
    for _ in range(count):
        server.invoke()
        server.until("event", type="wait_start")


def test_an_execution_that_waits_goes_on_with_the_new_code(dev: Start) -> None:
    server = dev()
    first = server.until("live")
    assert first["generation"] == 1 and first["workflows"] == ["order"] and first["files"] == []
    waiting(server)
    server.edit(SHIP)
    live = server.until("live")
    assert live["files"] == ["workflows/order.py"] and live["code"] != first["code"]
    assert live["check"]["continues"] == 1 and live["check"]["diverges"] == []
    server.publish()
    server.until("event", type="workflow_finish")
    assert server.result() == "ship two"
    assert server.ledger == ["validate", "charge", "ship two"], "what was recorded did not run again"
    assert server.stop() == 0


def test_a_renamed_step_is_held_with_both_lines_and_released_when_it_is_renamed_back(dev: Start) -> None:
    server = dev()
    server.until("live")
    waiting(server)
    server.edit(('step.run("charge"', 'step.run("refund"'))
    live = server.until("live")
    (misfit,) = live["check"]["diverges"]
    assert misfit["execution"] == 1 and misfit["workflow_id"] == "order"
    assert "'charge' (run, workflows/order.py:17)" in misfit["message"]
    assert "'refund' instead (workflows/order.py:17)" in misfit["message"]
    assert server.status() == "blocked"
    server.publish()  # comes while it is held, and is not lost
    server.edit(('step.run("refund"', 'step.run("charge"'))
    live = server.until("live")
    assert live["check"]["released"] == [1]
    server.until("event", type="workflow_finish")
    assert server.ledger == ["validate", "charge", "ship one"]


def test_a_failed_execution_is_retried_when_its_code_is_mended(dev: Start) -> None:
    server = dev()
    server.until("live")
    server.edit(('note, "ship one")', 'broken, "ship one", max_retries=0)'),
                ("@workflow", 'def broken(word: str) -> str:\n    raise LookupError("no stock")\n\n\n@workflow'))  # fmt: skip
    server.until("live")
    waiting(server)
    server.publish()
    failed = server.until("event", type="workflow_failed")
    assert "no stock" in failed["error"]
    server.edit(('raise LookupError("no stock")', "return note(word)"))
    assert server.until("live")["retried"] == [1]
    server.until("event", type="workflow_finish")
    assert server.result(1) == "ship one"
    assert server.ledger == ["validate", "charge", "ship one"], "the steps before it did not run again"


def test_with_no_retry_on_save_it_stays_failed(dev: Start) -> None:
    server = dev("--no-retry-on-save", flow="""
        from polos import WorkflowContext, workflow

        @workflow
        async def order(ctx: WorkflowContext) -> None:
            raise LookupError("no stock")
    """)  # fmt: skip
    server.until("live")
    server.invoke()
    server.until("event", type="workflow_failed")
    server.edit(('raise LookupError("no stock")', "return None"))
    assert server.until("live")["retried"] == []
    assert server.status() == "failed"


def test_code_that_cannot_be_imported_leaves_the_last_good_code_running(dev: Start) -> None:
    server = dev()
    good = server.until("live")
    waiting(server)
    text = server.file.read_text()
    for broken, said in (
        ("x = (\n", "SyntaxError"), ("raise ValueError('at import')\n", "at import"),
        ("import sys\nsys.exit(3)\n", "SystemExit"), ("import nothing_there\n", "nothing_there"),
    ):  # fmt: skip
        server.file.write_text(text + broken)
        refused = server.until("refused")
        assert said in refused["message"] and refused["serving"] == good["code"]
        assert "order.py" in refused["traceback"] or "order.py" in refused["message"]
    server.publish()
    server.until("event", type="workflow_finish")
    server.file.write_text(text)
    assert server.until("live")["code"] == good["code"]


def test_a_first_import_that_fails_ends_nothing(dev: Start) -> None:
    server = dev(flow="raise LookupError('not yet')\n")
    assert server.until("refused")["serving"] is None
    server.file.write_text("from polos import workflow\n\n\n@workflow\nasync def later(ctx) -> int:\n    return 7\n")
    assert server.until("live")["workflows"] == ["later"]
    assert server.result(server.invoke("later")) == 7


def test_a_save_that_changes_nothing_is_none(dev: Start) -> None:
    server = dev()
    server.until("live")
    server.file.write_text(server.file.read_text())
    server.file.touch()
    (server.folder / "workflows" / "notes.txt").write_text("not code")
    server.edit(SHIP)
    assert server.until("live")["generation"] == 2


def test_variables_and_settings_are_code_too(dev: Start) -> None:
    server = dev(flow="""
        import os
        from polos import WorkflowContext, workflow

        @workflow
        async def order(ctx: WorkflowContext) -> str:
            return os.environ.get("SHOP_COLOUR", "none")
    """)  # fmt: skip
    server.until("live")
    (server.folder / ".env").write_text("SHOP_COLOUR=red\n")
    assert server.until("live")["files"] == [".env"]
    assert server.result(server.invoke()) == "red"
    (server.folder / ".env").write_text("SHOP_COLOUR=blue\n")
    server.until("live")
    assert server.result(server.invoke()) == "blue"


def test_a_new_folder_of_modules_is_seen(dev: Start) -> None:
    server = dev()
    server.until("live")
    (server.folder / "shop").mkdir()
    (server.folder / "shop" / "prices.py").write_text("PRICE = 3\n")
    server.edit(
        ("from pathlib", "from shop.prices import PRICE\nfrom pathlib"), SHIP, ('"ship two"', 'f"ship for {PRICE}"')
    )
    server.until("live")
    wait_until(lambda: server.process.poll() is None, "it is up")
    (server.folder / "shop" / "prices.py").write_text("PRICE = 4\n")
    server.until("live", files=lambda files: "shop/prices.py" in files)
    waiting(server)
    server.publish()
    server.until("event", type="workflow_finish")
    assert server.result() == "ship for 4"


def test_many_saves_end_in_one_generation_and_one_process(dev: Start) -> None:
    server = dev()
    server.until("live")
    waiting(server)
    text = server.file.read_text()
    for number in range(30):
        server.file.write_text(text.replace("ship one", f"ship {number}"))
    server.file.write_text(text.replace("ship one", "ship the last"))
    server.publish()
    server.until("event", type="workflow_finish")
    wait_until(lambda: runs_now(server) == "ship the last", "the last code runs")
    wait_until(lambda: len(server.children()) == 1, "there is one process")


def runs_now(server: Dev) -> str:
    """Returns what an execution that is started now gives."""
    number = server.invoke()
    server.publish()
    return str(server.result(number))


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments], cwd=folder, check=True, capture_output=True,
        timeout=60,
    )  # fmt: skip


def test_a_switch_of_branches_and_a_deleted_file(dev: Start) -> None:
    server = dev()
    server.until("live")
    (server.folder / ".gitignore").write_text(".polos/\nhome/\nledger.txt\n")
    git(server.folder, "init", "-q", "-b", "main")
    git(server.folder, "add", "-A")
    git(server.folder, "commit", "-qm", "one")
    git(server.folder, "checkout", "-qb", "other")
    server.edit(SHIP)
    (server.folder / "workflows" / "more.py").write_text(
        "from polos import workflow\n\n\n@workflow\nasync def more(ctx) -> int:\n    return 1\n"
    )
    server.until("live", workflows=["more", "order"])
    git(server.folder, "add", "-A")
    git(server.folder, "commit", "-qm", "two")
    git(server.folder, "checkout", "-q", "main")
    server.until("live", workflows=["order"])
    git(server.folder, "checkout", "-q", "other")
    server.until("live", workflows=["more", "order"])
    (server.folder / "workflows" / "more.py").unlink()
    server.until("live", workflows=["order"])
    wait_until(lambda: len(server.children()) == 1, "there is one process")
    waiting(server)
    server.publish()
    server.until("event", type="workflow_finish")
    assert server.result() == "ship two"


def test_a_body_of_older_code_ends_on_it_and_the_rest_runs_on_the_new(dev: Start) -> None:
    server = dev(flow="""
        import asyncio
        from pathlib import Path
        from polos import WorkflowContext, workflow

        HERE = Path(__file__).parents[1]

        async def work() -> str:
            (HERE / "begun").touch()
            while not (HERE / "go").exists():
                await asyncio.sleep(0.01)
            return "body of one"

        @workflow
        async def order(ctx: WorkflowContext) -> list:
            return [await ctx.step.run("work", work), await ctx.step.run("then", lambda: "then of one")]
    """)  # fmt: skip
    server.until("live")
    server.invoke()
    wait_until((server.folder / "begun").exists, "the body runs")
    server.edit(("of one", "of two"))
    server.until("live")
    assert len(server.children()) == 2, "the older one ends what it runs"
    (server.folder / "go").touch()
    server.until("left", generation=1)
    assert server.result() == ["body of one", "then of two"]
    assert len(server.children()) == 1


def test_what_is_refused_at_the_hello_leaves_the_last_good_code_running(dev: Start) -> None:
    """Another project, which is up, has a workflow of the same id (S7.3): known only when the new code says what it has."""
    server = dev()
    good = server.until("live")
    waiting(server)
    other = server.folder.parent / "other"
    (other / "workflows").mkdir(parents=True)
    (other / "pyproject.toml").write_text('[tool.polos]\nname = "other"\n')
    (other / "workflows" / "taken.py").write_text(
        "from polos import workflow\n\n\n@workflow\nasync def taken(ctx) -> None: ...\n"
    )
    url = f"sqlite:///{server.folder}/.polos/polos.db"
    worker = subprocess.Popen(
        [sys.executable, "-m", "polos_cli", "worker", "--database", url], cwd=other, env=server.env, text=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert worker.stderr is not None and "worker of other" in worker.stderr.readline()
        server.edit(
            ("@workflow", "@workflow\nasync def taken(ctx: WorkflowContext) -> None: ...\n\n\n@workflow"),
            ('step.run("charge"', 'step.run("refund"'),
        )  # what is refused holds nothing, either
        refused = server.until("refused")
        assert "also one of the project 'other'" in refused["message"] and refused["serving"] == good["code"]
        assert refused["message"].count("give one of them another id") == 0, "that is the hint's to say"
        server.publish()
        assert server.result(1) == "ship one"
    finally:
        worker.terminate()
        worker.communicate(timeout=30)


def attached(server: Dev, *words: str) -> subprocess.Popen[str]:
    """Types a command beside the server, and leaves it running."""
    return subprocess.Popen(
        [sys.executable, "-m", "polos_cli", *words], cwd=server.folder, env=server.env, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def until_it_says(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it ended and never said {text!r}")


def test_a_run_that_watches_takes_nothing_over_while_the_server_is_up(dev: Start) -> None:
    """Its own code is that of when it was started: the server's newer code, or none, is what counts."""
    server = dev()
    server.until("live")
    run = attached(server, "run", "order")
    until_it_says(run, "waits for")
    text = server.file.read_text()
    server.file.write_text("x = 1\n")
    server.until("live", workflows=[])
    until_it_says(run, "no worker of it has 'order' just now")
    server.publish()
    server.file.write_text(text.replace("ship one", "ship two"))
    out, _ = run.communicate(timeout=30)
    assert run.returncode == 0 and out == '"ship two"\n'
    assert server.ledger == ["validate", "charge", "ship two"]


def test_a_run_that_watches_does_not_go_on_with_older_code_than_the_disk_has(dev: Start) -> None:
    server = dev()
    server.until("live")
    run = attached(server, "run", "order")
    until_it_says(run, "waits for")
    server.edit(SHIP)
    server.until("live", files=["workflows/order.py"])
    assert server.stop() == 0
    _, err = run.communicate(timeout=30)
    assert run.returncode == 2 and "order.py has changed since" in err and "polos run --attach 1" in err
    server.polos("send-event", "approval")
    assert server.polos("run", "--attach", "1") == '"ship two"\n'


def test_a_run_that_watches_leaves_it_to_the_server_whose_worker_dies(dev: Start) -> None:
    server = dev()
    server.until("live")
    run = attached(server, "run", "order")
    until_it_says(run, "waits for")
    (child,) = server.children()
    os.kill(child, signal.SIGKILL)
    server.until("live")
    (runner,) = server.children()
    server.publish()
    out, _ = run.communicate(timeout=30)
    assert run.returncode == 0 and out == '"ship one"\n'
    assert server.ledger == ["validate", "charge", "ship one"] and runner in server.children()


CRASHING = """
    import os
    from pathlib import Path
    from polos import WorkflowContext, workflow

    HERE = Path(__file__).parents[1]
    SAVE = 1

    @workflow
    async def crash(ctx: WorkflowContext) -> str:
        with (HERE / "tries.txt").open("a") as file:
            file.write(f"{SAVE}\\n")
        os._exit(9)

    @workflow
    async def order(ctx: WorkflowContext) -> str:
        await ctx.step.wait_for_event("approval", topic="approval")
        return "done"
"""


def test_one_that_brings_its_process_down_is_in_no_other_ones_way(dev: Start) -> None:
    """It is blocked after five deaths; each save gives it one try, and the check of all others goes on."""
    server = dev(flow=CRASHING)
    server.until("live")
    server.invoke("order")
    server.until("event", type="wait_start")
    server.invoke("crash")
    server.until("event", type="workflow_blocked")
    wait_until(lambda: server.children(), "a worker is back")
    tries = (server.folder / "tries.txt").read_text().split()
    assert tries == ["1"] * 5
    server.edit(("SAVE = 1", "SAVE = 2"), ('"approval", topic', '"renamed", topic'))
    # The save, or the restart of the worker that died just before, whichever comes first.
    server.until("live", check=lambda check: [one["execution"] for one in check["diverges"]] == [1])
    wait_until(lambda: (server.folder / "tries.txt").read_text().split() == ["1"] * 5 + ["2"], "it had its try")
    wait_until(lambda: server.status(2) == "blocked", "which it did not survive")
    assert server.status(1) == "blocked"
    server.edit(('"renamed", topic', '"approval", topic'))
    assert server.until("live", check=lambda check: 1 in check["released"])
    server.publish()
    assert server.result(1) == "done"


def test_a_check_that_dies_gives_what_is_blocked_its_try_with_the_new_code_alone(dev: Start) -> None:
    """Of one that was not blocked yet the check does not know that it kills: then nothing is replayed, and nothing lost."""
    server = dev(flow=CRASHING.replace("os._exit(9)", 'return "mended"').replace(
        'return "done"', 'os._exit(9) if (HERE / "kills").exists() else None\n        return "done"'))  # fmt: skip
    server.until("live")
    server.invoke("order")
    server.until("event", type="wait_start")
    server.edit(('"approval", topic', '"renamed", topic'))
    server.until("live")
    assert server.status(1) == "blocked"
    server.publish()
    (server.folder / "kills").touch()
    server.edit(('"renamed", topic', '"approval", topic'))  # to be checked it goes on to where it kills
    assert "did not end" in server.until("warning")["message"]
    server.until("worker_died")
    (server.folder / "kills").unlink()
    assert server.result(1) == "done"


def test_what_failed_is_not_retried_by_code_that_has_it_no_more(dev: Start) -> None:
    """A deleted file, another branch: it would be queued for ever. With the code back it is retried all the same."""
    server = dev(flow="""
        from polos import WorkflowContext, workflow

        @workflow
        async def order(ctx: WorkflowContext) -> str:
            raise LookupError("no stock")
    """)  # fmt: skip
    server.until("live")
    server.invoke()
    server.until("event", type="workflow_failed")
    text = server.file.read_text()
    server.file.write_text("x = 1\n")
    assert server.until("live", workflows=[])["retried"] == []
    assert server.status(1) == "failed"
    server.file.write_text(text.replace('raise LookupError("no stock")', 'return "mended"'))
    assert server.until("live", workflows=["order"])["retried"] == [1]
    assert server.result(1) == "mended"


def test_a_declaration_that_is_refused_is_shown_with_its_line(dev: Start) -> None:
    server = dev()
    server.until("live")
    server.file.write_text(server.file.read_text() + "\n\n@workflow\nasync def three(ctx, a, b) -> None: ...\n")
    refused = server.until("refused")
    assert "takes 3 parameters" in refused["message"] and "order.py:2" in refused["message"]
