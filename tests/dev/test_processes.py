"""The server and its children as processes: killed at any time, doubled, stopped; nothing is lost, and nobody is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from polos.dev.generation import Child
from tests.dev.conftest import Start
from tests.dev.place import PATIENCE, Dev, is_alive, wait_until

LOAD = """
import asyncio
import json
from pathlib import Path
from polos import WorkflowContext, workflow

LEDGER = Path(__file__).parents[1] / "ledger.txt"


async def note(word: str) -> str:
    await asyncio.sleep(0.01)
    with LEDGER.open("a") as file:
        file.write(word + "\\n")
    return word


@workflow
async def load(ctx: WorkflowContext, number: int) -> list:
    first = await ctx.step.run("first", note, f"{number} first")
    await ctx.step.wait_for("rest", seconds=0.05)
    both = await asyncio.gather(*(ctx.step.run(key, note, f"{number} {key}") for key in ("left", "right")))
    return [first, *both]
"""


def test_a_killed_worker_is_said_and_started_again(dev: Start) -> None:
    server = dev()
    server.until("live")
    server.invoke()
    server.until("event", type="wait_start")
    (child,) = server.children()
    os.kill(child, signal.SIGKILL)
    assert server.until("worker_died")["how"] == "ended by SIGKILL"
    assert server.until("live")["check"]["continues"] == 1
    server.publish()
    assert server.result() == "ship one"
    assert server.ledger == ["validate", "charge", "ship one"]


def test_a_worker_that_cannot_go_on_is_started_again(dev: Start) -> None:
    """A fault of ours, made by the code itself: one that stayed up would claim nothing, and nobody would know."""
    server = dev(flow="""
        import gc
        from polos import WorkflowContext, workflow
        from polos.local.host import Host

        @workflow
        async def order(ctx: WorkflowContext, is_faulty: bool = False) -> str:
            if is_faulty:
                (host,) = (one for one in gc.get_objects() if isinstance(one, Host))
                host._failed(RuntimeError("out of paper"))
            await ctx.step.wait_for("rest", seconds=0.2)
            return "done"
    """)  # fmt: skip
    server.until("live")
    server.invoke("order", True)
    assert "out of paper" in server.until("warning")["message"]
    assert server.until("worker_died")["how"] == "exited with 4"
    server.edit(("if is_faulty", "if False"))
    server.until("live")
    assert server.result(1) == "done"


def test_a_killed_server_leaves_no_child_and_the_next_goes_on(dev: Start) -> None:
    server = dev()
    server.until("live")
    server.invoke()
    server.until("event", type="wait_start")
    (child,) = server.children()
    server.process.kill()
    wait_until(lambda: not is_alive(child), "its child is gone")
    server.stop()
    server.start()
    server.until("live")
    server.publish()
    assert server.result() == "ship one"
    assert server.ledger == ["validate", "charge", "ship one"]


def test_a_process_waits_for_the_next_save_and_goes_with_its_server(dev: Start) -> None:
    server = dev()
    server.until("live")
    wait_until(server.spares, "a spare one is there")
    (spare,) = server.spares()
    server.edit(('"ship one"', '"ship two"'))
    server.until("live")
    assert spare in server.children()
    wait_until(server.spares, "another one is there")
    (killed,) = server.spares()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not is_alive(killed), "it is gone")
    server.edit(('"ship two"', '"ship three"'))
    server.until("live")
    wait_until(server.spares, "another one is there")
    (spare,) = server.spares()
    server.process.kill()
    wait_until(lambda: not is_alive(spare), "it went with the server")


def test_a_child_whose_loop_is_blocked_dies_with_its_server(dev: Start) -> None:
    server = dev(flow="""
        import time
        from pathlib import Path
        from polos import WorkflowContext, workflow

        @workflow
        async def order(ctx: WorkflowContext) -> None:
            (Path(__file__).parents[1] / "begun").touch()
            time.sleep(3600)
    """)  # fmt: skip
    server.until("live")
    server.invoke()
    wait_until((server.folder / "begun").exists, "the loop is blocked")
    warning = server.until("warning", message=lambda text: "stood still" in text)
    assert "order.py:9 in order" in warning["message"]
    (child,) = server.children()
    server.process.kill()
    wait_until(lambda: not is_alive(child), "its child is gone")


def test_everything_is_killed_at_random_under_load_and_nothing_is_lost(
    dev: Start, request: pytest.FixtureRequest, tell: object
) -> None:
    kills = 50 if request.config.getoption("--long") else 6
    dice = random.Random(5)
    server = dev(flow=LOAD)
    server.until("live")
    numbers: list[int] = []
    for kill in range(kills):
        for _ in range(5):
            numbers.append(server.invoke("load", len(numbers)))
        wait_until(
            lambda least=2 * len(numbers) - 8: len(server.ledger) >= min(least, 4 * len(numbers)) // 2, "it works"
        )
        what = ("worker", "engine", "both")[kill % 3] if kill < 3 else dice.choice(("worker", "engine", "both"))
        children = server.children()
        if what != "engine":
            for child in children:
                os.kill(child, signal.SIGKILL)
        if what == "worker":
            if kill > 6:  # by now the pause before another one is long; a save ends it
                (server.folder / ".env").write_text(f"KILL={kill}\n")
            server.until("live")
            continue
        server.process.kill()
        wait_until(lambda left=children: not any(is_alive(pid) for pid in left), "its children are gone")
        server.stop()
        server.start()
        server.until("live")
    for place, number in enumerate(numbers):
        assert server.result(number) == [f"{place} first", f"{place} left", f"{place} right"]
    ran = Counter(server.ledger)
    assert set(ran) == {f"{place} {key}" for place in range(len(numbers)) for key in ("first", "left", "right")}
    assert len(server.children()) == 1


def test_the_next_start_says_what_it_goes_on_with(dev: Start, tmp_path: Path) -> None:
    server = dev()
    server.until("live")
    for _ in range(3):
        server.invoke()
        server.until("event", type="wait_start")
    assert server.stop(signal.SIGTERM) == 0
    said = human(server, "3 executions (3 waiting)")
    assert "resumed" in said and "durability relaxed" in said


def human(server: Dev, until: str) -> str:
    """Starts it without --json, reads what it says until a text is there, and stops it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "polos_cli", "dev"], cwd=server.folder, env=server.env, text=True, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if until in said:
            process.send_signal(signal.SIGINT)
            break
    said += process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 0, said
    return said


def test_a_second_server_names_the_first(dev: Start) -> None:
    server = dev()
    server.until("live")
    wait_until((server.folder / ".polos" / "server.json").exists, "the API is up")
    second = subprocess.run(
        [sys.executable, "-m", "polos_cli", "dev"], cwd=server.folder, env=server.env, text=True, capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert second.returncode == 7
    assert f"process {server.process.pid}" in second.stderr and "http://127.0.0.1:" in second.stderr
    assert len(server.children()) == 1


def test_a_worker_that_owns_the_database_lets_it_go(dev: Start, tmp_path: Path) -> None:
    (tmp_path / "shop" / "workflows").mkdir(parents=True)
    server = dev()
    server.until("live")
    server.stop()
    worker = subprocess.Popen(
        [sys.executable, "-m", "polos_cli", "worker"],
        cwd=server.folder,
        env=server.env,
        text=True,
        stderr=subprocess.PIPE,
    )
    assert worker.stderr is not None
    while "owns" not in worker.stderr.readline():
        pass
    server.start()
    server.until("live")
    server.invoke()
    server.until("event", type="wait_start")
    assert worker.poll() is None, "it goes on as a guest"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    worker.stderr.close()


def test_several_processes_run_a_generation(dev: Start) -> None:
    server = dev("--workers", "2", flow=LOAD)
    server.until("live")
    assert len(server.children()) == 2
    numbers = [server.invoke("load", place) for place in range(20)]
    for place, number in enumerate(numbers):
        assert server.result(number)[0] == f"{place} first"
    server.edit(("0.01", "0.02"))
    server.until("live")
    wait_until(lambda: len(server.children()) == 2, "the older ones are gone")


def test_a_body_that_does_not_end_is_cut_when_the_server_stops_and_runs_again(dev: Start) -> None:
    server = dev(flow="""
        import asyncio
        from pathlib import Path
        from polos import WorkflowContext, workflow

        HERE = Path(__file__).parents[1]

        async def work() -> str:
            with (HERE / "ledger.txt").open("a") as file:
                file.write("begun\\n")
            while not (HERE / "go").exists():
                await asyncio.sleep(0.01)
            return "done"

        @workflow
        async def order(ctx: WorkflowContext) -> str:
            return await ctx.step.run("work", work)
    """)  # fmt: skip
    server.until("live")
    server.invoke()
    wait_until(lambda: server.ledger == ["begun"], "the body runs")
    server.process.send_signal(signal.SIGINT)
    wait_until(lambda: any("bodies still run" in line for line in server.said), "it counts down")
    assert server.stop(signal.SIGINT) == 0, "a second one: at once"
    (server.folder / "go").touch()
    server.start()
    assert server.until("live")["check"]["continues"] == 1
    assert server.result() == "done" and server.ledger == ["begun", "begun"]


def test_a_hurry_that_comes_before_the_order_to_retire_leaves_no_grace(dev: Start) -> None:
    """Two Ctrl-C at once."""
    server = dev()
    server.until("live")
    warned: list[str] = []

    async def hurried() -> int | None:
        child = await Child.spawn(warned.append)
        settings = {
            "root": str(server.folder), "database": f"sqlite:///{server.folder}/.polos/polos.db", "durability": "relaxed",
            "lease_seconds": 10.0, "project": "shop", "concurrency": 1,
        }  # fmt: skip
        child.tell(do="load", settings=settings)
        await child.answer(PATIENCE)
        child.tell(do="work", is_checked=True)
        await child.answer(PATIENCE)
        child.tell(do="hurry")
        assert await child.leave(PATIENCE)
        return child.process.returncode

    assert asyncio.run(hurried()) == 0
    assert warned == []


@pytest.mark.long
def test_two_hundred_saves_in_twenty_seconds(dev: Start) -> None:
    import time

    server = dev()
    server.until("live")
    server.invoke()
    text = server.file.read_text()
    for number in range(200):
        broken = "x = (" if number % 7 == 3 else ""
        server.file.write_text(text.replace("ship one", f"ship {number}") + broken)
        time.sleep(0.1)  # the pace of the saves, not a wait for anything
    server.file.write_text(text.replace("ship one", "ship the last"))
    server.publish()
    assert server.result()

    def serves_the_last() -> bool:
        number = server.invoke()
        server.publish()
        return server.result(number) == "ship the last"

    wait_until(serves_the_last, "the code that was saved last is served")
    wait_until(lambda: len(server.children()) == 1, "there is one process")


def test_paused_schedules_are_said_wherever_they_are_listed(dev: Start) -> None:
    server = dev("--no-schedules", flow="""
        from polos import SchedulePayload, WorkflowContext, workflow

        @workflow(schedule="0 9 * * *")
        async def report(ctx: WorkflowContext, slot: SchedulePayload) -> None: ...
    """)  # fmt: skip
    server.until("live")
    listed = [json.loads(line) for line in server.polos("schedules", "--json").splitlines()]
    assert listed[0]["held"] is True and listed[0]["paused"] is False
    assert server.stop() == 0
    assert json.loads(server.polos("schedules", "--json").splitlines()[0])["held"] is False


def test_another_worker_of_the_project_with_other_code_is_named(dev: Start) -> None:
    server = dev()
    server.until("live")
    worker = subprocess.Popen(
        [sys.executable, "-m", "polos_cli", "worker"],
        cwd=server.folder,
        env=server.env,
        text=True,
        stderr=subprocess.PIPE,
    )
    try:
        assert worker.stderr is not None and "worker of" in worker.stderr.readline()
        server.edit(('"ship one"', '"ship two"'))
        server.until("live")
        assert f"process {worker.pid} works for this project, too" in server.until("warning")["message"]
    finally:
        worker.terminate()
        worker.communicate(timeout=30)


def test_what_workflows_print_says_whose_it_is(dev: Start) -> None:
    """Line by line, whatever else is printed at that moment."""
    server = dev(flow="""
        import asyncio
        import sys
        from polos import WorkflowContext, workflow

        def reserve() -> None:
            print("reserving", end=" ")
            print("one\\nand two")
            sys.stdout.write("no end")

        @workflow
        async def order(ctx: WorkflowContext) -> str:
            print("begins")
            await asyncio.gather(*(ctx.step.run(key, reserve) for key in ("left", "right")))
            return "done"
    """)  # fmt: skip
    server.until("live")
    server.invoke()
    server.until("event", type="workflow_finish")
    expected = {"order #1: begins"} | {
        f"order #1 {key}: {line}" for key in ("left", "right") for line in ("reserving one", "and two", "no end")
    }
    wait_until(lambda: {line.strip(" │") for line in server.printed} == expected, f"it is printed: {server.printed}")
