"""Workers of several processes share one database, and any of them, or its owner, or all may die in the middle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from polos import BatchWorkflowInput, PolosClient
from polos.core.status import Status
from tests.processes.checks import wrong
from tests.processes.place import Place, Process

HELD = 10
"""Executions that cannot end before the gate is open, so that something is always left to be killed."""
pytestmark = pytest.mark.timeout(900)  # a bound on hanging


@pytest.fixture
def size(request: pytest.FixtureRequest) -> int:
    return 2_000 if request.config.getoption("--long") else 300


def begin(place: Place, size: int) -> tuple[Process, list[Process]]:
    """Starts an owner, two workers and the executions."""
    owner = place.owner()
    workers = [place.worker(max_concurrent_workflows=50) for _ in range(2)]

    async def start(client: PolosClient) -> None:
        await client.batch_invoke([BatchWorkflowInput("mixed", -1 if n < HELD else 0.02) for n in range(size)])
        await client.publish("go", {})

    place.client(start)
    return owner, workers


def until_half(place: Place, size: int) -> None:
    """Half of them are at their end, and some cannot be over."""
    place.until(lambda: len(place.ran("last")) >= size // 2, "half of them are at their end")


def until_all(place: Place, size: int, *needed: Process) -> None:
    """Every execution and its child completes; none is left in another status."""
    place.until_counted(lambda counts: counts.get(Status.COMPLETED, 0) == 2 * size, "all complete", *needed)


def ends_well(place: Place, size: int, tell: Callable[[str], None], what: str) -> None:
    for process in place.processes:
        if process.is_up:
            process.stop()
        process.check()
    assert wrong(place, {"mixed": size, "leaf": size}) == []
    ran = place.facts().ran
    shares = ", ".join(str(count) for count in Counter(one.pid for one in ran).values())
    again = len(ran) - len({(one.execution, one.key) for one in ran})
    tell(f"{size} executions on two workers, {what}: bodies by process {shares}; {again} run again")


def test_two_workers_share_the_executions(place: Place, size: int, tell: Callable[[str], None]) -> None:
    place.open_gate("half")
    owner, workers = begin(place, size)
    until_all(place, size, owner, *workers)
    ends_well(place, size, tell, "undisturbed")
    ends = Counter(one.pid for one in place.ran("last"))
    assert set(ends) == {worker.pid for worker in workers}
    assert min(ends.values()) >= size // 4, ends
    assert max(one.attempt for one in place.facts().ran) == 1


def test_a_worker_is_killed_and_the_other_goes_on_with_its_executions(
    place: Place, size: int, tell: Callable[[str], None]
) -> None:
    owner, (first, second) = begin(place, size)
    until_half(place, size)
    first.kill()
    place.open_gate("half")
    until_all(place, size, owner, second)
    ends_well(place, size, tell, "one killed half-way")


def test_the_owner_is_killed_and_a_worker_takes_its_place(place: Place, size: int, tell: Callable[[str], None]) -> None:
    owner, workers = begin(place, size)
    until_half(place, size)
    owner.kill()
    place.open_gate("half")
    until_all(place, size, *workers)
    assert place.owner_pid() in {worker.pid for worker in workers}
    ends_well(place, size, tell, "the owner killed half-way")


def test_all_are_killed_and_started_again(place: Place, size: int, tell: Callable[[str], None]) -> None:
    owner, workers = begin(place, size)
    until_half(place, size)
    for process in (workers[0], owner, workers[1]):
        process.popen.kill()
    for process in (workers[0], owner, workers[1]):
        process.kill()
    place.open_gate("half")
    again = [place.owner(), place.worker(), place.worker()]
    until_all(place, size, *again)
    ends_well(place, size, tell, "all killed half-way")
