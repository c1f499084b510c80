"""A worker that stands still loses what it runs, can record nothing late, and works on afterwards (S8.1, S8.2)."""

from __future__ import annotations

import signal
import time

import pytest

from polos import PolosClient
from polos.core.status import Status
from tests.processes.checks import wrong
from tests.processes.place import ROOT, Place

LEASE = 3.0
"""Short, and long enough for a busy machine: it is renewed every second or so."""


def line_of(text: str) -> int:
    """Returns the number of the line of the workflows' file that has a text in it."""
    lines = (ROOT / "tests" / "processes" / "flows.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.mark.parametrize("opened", ["before", "after"])
def test_a_stopped_worker_loses_its_lease_and_its_late_record_is_refused(place: Place, opened: str) -> None:
    place.env["POLOS_LEASE_SECONDS"] = f"{LEASE:g}"
    owner, first = place.owner(), place.worker()

    async def start(client: PolosClient, gate: str) -> str:
        return (await client.invoke("held", gate)).id

    async def result(client: PolosClient, execution: str) -> dict[str, int]:
        return await client.result(execution, timeout=60)  # type: ignore[no-any-return]

    stolen = place.client(lambda client: start(client, "stolen"))
    place.until(lambda: place.ran("held", stolen), "its body runs", owner, first)
    second = place.worker()
    first.signal(signal.SIGSTOP)
    place.until(lambda: len(place.ran("held", stolen)) == 2, "its body runs in the other worker", owner, second)
    if opened == "before":  # the stopped worker wakes with an outcome in its hands
        place.open_gate("stolen")
        got = place.client(lambda client: result(client, stolen))
        first.signal(signal.SIGCONT)
    else:  # both bodies end at about the same time
        first.signal(signal.SIGCONT)
        place.until(lambda: "leases of" in first.said, "it learns that its lease has ended", first)
        place.open_gate("stolen")
        got = place.client(lambda client: result(client, stolen))
    assert got == {"held": second.pid, "attempt": 2, "after": second.pid}

    place.until(lambda: "leases of 1 executions ended" in first.said, "it has learnt that its lease has ended", first)
    place.working(first)
    second.stop()
    fresh = place.client(lambda client: start(client, "stolen"))
    assert place.client(lambda client: result(client, fresh)) == {"held": first.pid, "attempt": 1, "after": first.pid}
    assert place.client(lambda client: result(client, stolen)) == got
    assert [(one.pid, one.attempt) for one in place.ran("held", stolen)] == [(first.pid, 1), (second.pid, 2)]
    for process in (first, owner):
        process.stop()
    assert wrong(place, {"held": 2}) == []


def test_a_blocked_loop_is_told_with_the_line_that_blocks_it_and_keeps_its_lease(place: Place) -> None:
    place.env["POLOS_LEASE_SECONDS"] = f"{LEASE:g}"
    owner, worker = place.owner(), place.polos_worker()

    async def start(client: PolosClient) -> str:
        return (await client.invoke("blocking", "unblocked")).id

    execution = place.client(start)
    begun = time.monotonic()
    line = f"flows.py:{line_of('# the line that is told')} in blocking"
    place.until(lambda: line in worker.said and "stood still" in worker.said, "it is told", owner, worker)
    place.until(lambda: time.monotonic() > begun + 1.5 * LEASE, "its lease would have ended", owner, worker)
    place.open_gate("unblocked")
    assert place.client(lambda client: client.result(execution, timeout=60)) == "done"
    assert [(one.pid, one.attempt) for one in place.ran("only")] == [(worker.pid, 1)]
    worker.stop()
    owner.stop()
    assert wrong(place, {"blocking": 1}) == []


def test_an_execution_comes_back_to_a_worker_that_still_holds_it_hot(place: Place) -> None:
    """Parked in one worker, which is too slow to take it; run and parked by the other; then the first has it again."""
    owner, workers = place.owner(), [place.worker(max_concurrent_workflows=1) for _ in range(2)]
    execution = place.client(lambda client: client.invoke("wanders")).id
    place.until_counted(lambda counts: counts == {Status.WAITING: 1}, "it waits", owner, *workers)
    for turn in range(3):
        if turn:  # both workers are given something to do, and the one that does not hold it ends that
            before = len(place.ran("held"))
            for name in "ab":
                place.client(lambda client, gate=f"{turn}{name}": client.invoke("held", gate))  # type: ignore[misc]
                count = before + "ab".index(name) + 1
                place.until(lambda count=count: len(place.ran("held")) == count, "it is busy", owner, *workers)  # type: ignore[misc]
            last = place.ran(f"body-{turn - 1}")[-1].pid
            busy = [one.pid for one in place.ran("held")[-2:]]
            place.open_gate(f"{turn}{'ab'[busy[0] == last]}")
        place.client(lambda client, turn=turn: client.publish(f"turn-{turn}", {}))  # type: ignore[misc]
        place.until(lambda turn=turn: place.ran(f"body-{turn}"), "it goes on", owner, *workers)  # type: ignore[misc]
        if turn:
            place.open_gate(f"{turn}{'ab'[busy[0] != last]}")
        done = 2 * turn
        place.until_counted(
            lambda counts, done=done: counts.get(Status.COMPLETED, 0) >= done, "they end", owner, *workers
        )  # type: ignore[misc]
    got = place.client(lambda client: client.result(execution, timeout=60))
    assert got[0] == got[2] != got[1]
    for process in (*workers, owner):
        process.stop()
    assert wrong(place, {"wanders": 1, "held": 4}) == []
