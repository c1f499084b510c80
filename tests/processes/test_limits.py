"""Limits of queues and clearing up after a cancel, measured by the bodies themselves, while processes are killed (S7.4, S8.4)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

import pytest

from polos import BatchWorkflowInput, PolosClient
from polos.core.status import Status
from tests.processes.place import Place, Process

pytestmark = pytest.mark.timeout(400)  # a bound on hanging
LIMITS = {"one/a": 1, "one/b": 1, "three": 3}
SECOND = 1_000_000_000


def starts(each: int) -> list[BatchWorkflowInput]:
    """The executions, the lines mixed; each has its number in its line."""
    found = []
    for n in range(each):
        for line, limit in LIMITS.items():
            workflow = "one_at_once" if limit == 1 else "three_at_once"
            key = line.partition("/")[2] or None
            queue = workflow.partition("_")[0]
            for half in range(2 if limit == 3 else 1):
                payload = {"line": line, "n": 2 * n + half if limit == 3 else n}
                found.append(BatchWorkflowInput(workflow, payload, queue=queue, concurrency_key=key))
    return found


def most_at_once(place: Place, deaths: dict[str, int]) -> dict[str, int]:
    """Returns how many bodies of a line ran at once, at most; one that was killed ended with its process."""
    ends = {(pid, *which): int(at) for pid, *which, at in place.noted("ends")}
    changes: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for pid, line, n, part, at in place.noted("begins"):
        changes[line] += [(int(at), 1), (ends.get((pid, line, n, part), deaths.get(pid, 1 << 62)), -1)]
    most = {}
    for line, all_ in changes.items():
        running = peak = 0
        for _, change in sorted(all_):
            running += change
            peak = max(peak, running)
        most[line] = peak
    return most


def out_of_order(place: Place) -> list[str]:
    """Returns who began before its turn: among `limit` that run at once, so many may be noted in another order."""
    said = []
    first: dict[str, list[int]] = defaultdict(list)
    for _, line, n, part, _ in sorted(place.noted("begins"), key=lambda noted: int(noted[-1])):
        if part == "first" and int(n) not in first[line]:
            first[line].append(int(n))
    for line, order in first.items():
        for place_, n in enumerate(order):
            if n > place_ + LIMITS[line] - 1:
                said.append(f"{line}: {n} began as number {place_}")
    return said


def test_limits_hold_whatever_is_killed(
    place: Place, tell: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    each = 125 if request.config.getoption("--long") else 25
    inputs = starts(each)
    deaths: dict[str, int] = {}

    def kill(process: Process) -> None:
        process.popen.kill()
        deaths[str(process.pid)] = time.monotonic_ns()  # not once it was reaped: its place may be another's by then
        process.kill()

    owner = place.owner()
    workers = [place.worker(), place.worker()]
    place.client(lambda client: client.batch_invoke(inputs))
    begun = lambda: len(place.noted("begins"))  # noqa: E731

    place.until(lambda: begun() > len(inputs) * 0.3, "some have begun", *workers, owner)
    kill(workers.pop(0))
    place.client(lambda client: client.publish("lines", "go"))
    workers.append(place.worker())
    place.until(lambda: begun() > len(inputs) * 0.9, "most have begun", *workers, owner)
    kill(workers.pop(0))
    place.until(lambda: begun() > len(inputs) * 1.2, "some were woken", *workers, owner)
    kill(owner)
    place.until_counted(lambda counts: counts.get(Status.COMPLETED, 0) == len(inputs), "all have completed", *workers)
    most = most_at_once(place, deaths)
    tell(f"{len(inputs)} executions in three lines, 2 workers and the owner killed: at most {most} at once")
    assert most == LIMITS
    assert out_of_order(place) == []
    for worker in workers:
        worker.stop()


def test_a_clean_up_goes_on_through_a_kill(place: Place) -> None:
    owner, worker = place.owner(), place.worker()

    async def cancel(client: PolosClient) -> str:
        handle = await client.invoke("trip")
        while not (found := await client.list(workflow="waits_for_ever", status="waiting")):
            await client.access().changed(handle.id, 0.02)
        assert found[0].parent_id == handle.id
        while (await client.get(handle.id)).status is not Status.WAITING:
            await client.access().changed(handle.id, 0.02)
        await client.cancel(handle.id)
        return handle.id

    execution = place.client(cancel)
    place.until(lambda: place.ran("undo-0"), "it makes up for what it did", worker, owner)
    worker.kill()
    place.open_gate("undo")
    second = place.worker()

    async def ended(client: PolosClient) -> bool:
        return {one.status for one in await client.list()} == {Status.CANCELLED}

    place.until_true(ended, "both are cancelled", second, owner)
    journal = place.client(lambda client: client.journal(execution))
    assert [entry.key for entry in journal if entry.key != "pay"] == [
        "book",
        "polos:stop",
        "undo-0",
        "undo-1",
        "undo-2",
    ]
    assert [len(place.ran(f"undo-{n}", execution)) for n in range(3)] == [2, 1, 1]
    assert place.ran("undo-0")[1].attempt == 2
    second.stop()
