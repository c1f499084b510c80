"""The ownership of a database goes from one process to the next, and what they run goes on in place."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from polos import PolosClient
from tests.processes.checks import wrong
from tests.processes.place import Place, Process


async def start(client: PolosClient, gate: str) -> str:
    return (await client.invoke("held", gate)).id


async def result(client: PolosClient, execution: str) -> dict[str, int]:
    return await client.result(execution, timeout=60)  # type: ignore[no-any-return]


def in_place(process: Process) -> dict[str, int]:
    """What comes of an execution that one process has run without a break."""
    return {"held": process.pid, "attempt": 1, "after": process.pid}


def test_an_owner_yields_and_goes_on_as_a_guest(place: Place) -> None:
    first = place.worker()
    assert place.owner_pid() == first.pid
    execution = place.client(lambda client: start(client, "first"))
    place.until(lambda: place.ran("held", execution), "its body runs", first)

    heir = place.act("serve", takes_ownership=True)
    place.until(lambda: place.owner_pid() == heir.pid, "the heir owns the database", first, heir)
    place.working(heir)
    place.working(first)
    place.open_gate("first")
    assert place.client(lambda client: result(client, execution)) == in_place(first)

    heir.stop()  # the guest becomes the owner again
    place.until(lambda: place.owner_pid() == first.pid, "the first owns the database", first)
    again = place.client(lambda client: start(client, "first"))
    assert place.client(lambda client: result(client, again)) == in_place(first)
    first.stop()
    assert wrong(place, {"held": 2}) == []


def test_an_owner_ends_while_its_guests_work(place: Place) -> None:
    owner = place.owner()
    guests = [place.worker(max_concurrent_workflows=2) for _ in range(2)]
    executions = [place.client(lambda client: start(client, "gate")) for _ in range(4)]
    place.until(lambda: len(place.ran("held")) == 4, "their bodies run", owner, *guests)
    owner.stop()
    place.until(lambda: place.owner_pid() in {one.pid for one in guests}, "a guest owns the database", *guests)
    for guest in guests:
        place.working(guest)
    place.open_gate("gate")
    results = [place.client(lambda client, id=id: result(client, id)) for id in executions]  # type: ignore[misc]
    assert sorted(map(str, results)) == sorted(str(in_place(guest)) for guest in guests for _ in range(2))
    for guest in guests:
        guest.stop()
    assert wrong(place, {"held": 4}) == []


def test_two_that_want_the_database_do_not_take_it_from_each_other_for_ever(place: Place) -> None:
    first = place.act("serve", takes_ownership=True)
    place.working(first)
    second = place.act("serve", takes_ownership=True)
    place.until(lambda: place.owner_pid() == second.pid, "the second owns the database", first, second)
    place.working(first)  # as its guest, which it has become once and for all
    assert place.owner_pid() == second.pid
    for process in (first, second):
        process.stop()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the helper by /proc, which this system has not")
def test_an_owner_that_can_write_no_more_lets_the_database_go(place: Place) -> None:
    """Its sync helper dies: its guests go on with another owner (S9.5)."""
    owner = place.owner()
    guest = place.worker()
    execution = place.client(lambda client: start(client, "gate"))
    place.until(lambda: place.ran("held", execution), "its body runs", owner, guest)
    children = [
        pid for task in Path(f"/proc/{owner.pid}/task").iterdir() for pid in (task / "children").read_text().split()
    ]
    (helper,) = [int(pid) for pid in children if b"fdatasync" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(helper, signal.SIGKILL)
    place.until(lambda: place.owner_pid() == guest.pid, "the guest owns the database", guest)
    place.open_gate("gate")
    assert place.client(lambda client: result(client, execution)) == in_place(guest)
    guest.stop()


def test_a_forked_child_does_not_hide_the_end_of_its_parent(place: Place) -> None:
    owner = place.act("serve", works=False, forks=True)
    place.until(lambda: place.owner_pid() == owner.pid, "it owns the database", owner)
    guest = place.worker()
    place.until(lambda: "forked" in owner.said, "it has forked", owner)
    owner.kill()
    place.until(lambda: place.owner_pid() == guest.pid, "the guest owns the database", guest)
    place.open_gate("child")
    guest.stop()


def test_an_owner_whose_socket_was_removed_listens_anew(place: Place) -> None:
    worker = place.worker()
    Path(f"{place.database}.sock").unlink()
    place.until(lambda: Path(f"{place.database}.sock").exists(), "it listens anew", worker)
    place.working(worker)
    worker.stop()


def test_an_owner_whose_lock_was_removed_stops(place: Place) -> None:
    """Another process could own the database by then: two may never do at a time."""
    owner = place.polos_worker()
    Path(f"{place.database}.lock").unlink()
    assert "was removed or replaced" in owner.ends(7)
