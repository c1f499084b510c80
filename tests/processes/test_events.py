"""Many publishers at once, while the process that owns the log is killed, again and again (S4.2, S5.1, S5.2)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from polos import PolosClient
from polos.core.status import Status
from polos.ports import EventFilter
from tests.processes.place import BareClient, Place

pytestmark = pytest.mark.timeout(400)  # a bound on hanging
TOPICS = ("news-0", "news-1", "news-2")
PUBLISHERS, LISTENERS, KILLS = 20, 50, 3


def test_every_acknowledged_event_is_there_in_order(
    place: Place, tell: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    each = 500 if request.config.getoption("--long") else 40
    seen = 40 if request.config.getoption("--long") else 12
    workers = [place.worker() for _ in range(KILLS + 1)]
    acknowledged: dict[str, set[str]] = {topic: set() for topic in TOPICS}

    async def listeners(client: PolosClient) -> list[str]:
        started = [
            await client.invoke("listens", {"topic": TOPICS[n % 3], "count": seen}) for n in range(LISTENERS)
        ]  # fmt: skip
        return [handle.id for handle in started]

    ids = place.client(listeners)
    place.until_counted(lambda counts: counts.get(Status.WAITING, 0) == LISTENERS, "all listen", *workers)

    async def publish(number: int) -> None:
        async with BareClient(place.url) as client:
            for n in range(each):
                topic, id_ = TOPICS[(number + n) % 3], f"evt-{number}-{n}"
                await client.publish(topic, {"n": n, "by": number}, event_id=id_)
                acknowledged[topic].add(id_)

    async def kill() -> None:
        for part in range(1, KILLS + 1):
            while sum(map(len, acknowledged.values())) < PUBLISHERS * each * part / (KILLS + 1):
                await asyncio.sleep(0.002)
            owner = next(one for one in workers if one.pid == place.owner_pid())
            await asyncio.to_thread(owner.kill)
            workers.remove(owner)
            while place.owner_pid() not in {one.pid for one in workers}:
                await asyncio.sleep(0.002)

    async def load() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(kill())
            for number in range(PUBLISHERS):
                group.create_task(publish(number))

    place.ask(load)
    place.until_counted(lambda counts: counts.get(Status.COMPLETED, 0) == LISTENERS, "all have heard", *workers)

    async def look(client: PolosClient) -> dict[str, list[tuple[int, str]]]:
        found: dict[str, list[tuple[int, str]]] = {}
        for topic in TOPICS:
            wanted = EventFilter(topic=topic, limit=100_000)
            events = await client.access().read(lambda store, wanted=wanted: store.events(wanted))  # type: ignore[misc]
            found[topic] = [(event.sequence, event.id) for event in events]
        for n, id_ in enumerate(ids):
            result = await client.result(id_, 10)
            assert result == list(range(1, seen + 1)), f"listener {n} saw {result}"
        return found

    log = place.client(look)
    for topic, events in log.items():
        assert [sequence for sequence, _ in events] == list(range(1, len(events) + 1)), topic
        assert len({id_ for _, id_ in events}) == len(events)
        assert {id_ for _, id_ in events} == acknowledged[topic]
    total = sum(map(len, itertools.chain(log.values())))
    assert total == PUBLISHERS * each
    tell(
        f"{total} events of {PUBLISHERS} publishers on 3 topics, {LISTENERS} listeners, {KILLS} owners killed: all there, in order"
    )
    for worker in workers:
        worker.stop()
