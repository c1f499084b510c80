"""`polos worker` drains when it is asked to stop; `polos run` leaves an execution to a worker, while there is one."""

from __future__ import annotations

import json
import signal

from polos import BatchWorkflowInput, PolosClient
from polos.core.model import Entry, Execution
from polos.core.status import Status
from tests.processes.checks import wrong
from tests.processes.place import Place


async def all_of(client: PolosClient) -> list[tuple[Execution, list[Entry]]]:
    return [(one, await client.journal(one)) for one in await client.list()]


def start(place: Place, workflow: str, *payloads: object) -> None:
    batch = [BatchWorkflowInput(workflow, payload) for payload in payloads]
    place.client(lambda client: client.batch_invoke(batch))


def test_a_worker_that_is_to_stop_records_what_runs_and_leaves_the_rest(place: Place) -> None:
    worker = place.polos_worker("--concurrency", "2")
    start(place, "slow", *[0.5] * 4)
    place.until(lambda: len(place.ran("first")) == 2, "two bodies run", worker)
    worker.stop()
    assert "stopping: 2 executions run" in worker.said and "stopped; nothing is lost" in worker.said
    found = place.client(all_of)
    assert [one.status for one, _ in found] == [Status.QUEUED] * 4
    assert [one.deaths for one, _ in found] == [0] * 4
    recorded = sorted(entry.key for _, entries in found for entry in entries)
    assert recorded == ["first", "first"] and len(place.facts().ran) == 2

    again = place.polos_worker()
    place.until_counted(lambda counts: counts == {Status.COMPLETED: 4}, "all complete", again)
    again.stop()
    assert len(place.facts().ran) == 8  # each body once
    assert wrong(place, {"slow": 4}) == []


def test_a_worker_that_is_asked_twice_stops_at_once(place: Place) -> None:
    worker = place.polos_worker()
    start(place, "held", "never")
    place.until(lambda: place.ran("held"), "its body runs", worker)
    worker.signal(signal.SIGTERM)
    place.until(lambda: "stopping: 1 execution runs" in worker.said, "it has heard", worker)
    assert worker.is_up  # it lets the body end
    worker.signal(signal.SIGTERM)
    worker.ends()
    [(execution, entries)] = place.client(all_of)
    assert (execution.status, execution.deaths) == (Status.QUEUED, 0)
    assert [entry.key for entry in entries] == ["before"]


def test_run_leaves_an_execution_and_its_children_to_the_worker(place: Place) -> None:
    worker = place.polos_worker()
    place.open_gate("open")
    run = place.polos("run", "family", '"open"')
    run.ends()
    assert f"it runs in process {worker.pid}" in run.said
    assert {one.pid for one in place.facts().ran} == {worker.pid}
    worker.stop()
    assert wrong(place, {"family": 1, "leaf": 2}) == []


def test_run_goes_on_itself_when_the_worker_is_killed(place: Place) -> None:
    worker = place.polos_worker()
    run = place.polos("run", "family", '"later"', "--json")
    place.until(lambda: place.ran("held"), "its body runs", worker, run)
    assert place.ran("held")[0].pid == worker.pid
    worker.kill()
    place.until(lambda: len(place.ran("held")) == 2, "its body runs again", run)
    place.open_gate("later")
    run.ends()
    document = json.loads(run.said[run.said.index("{") :])
    assert document["result"] == {"pid": run.pid, "attempt": 2}
    assert [one.pid for one in place.ran("only")] == [worker.pid, run.pid]
    assert wrong(place, {"family": 1, "leaf": 2}) == []
