"""The ownership of a database goes from one process to the next, and what they run goes on in place."""

from __future__ import annotations

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
