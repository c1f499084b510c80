"""Leases of workers in other processes: renewed by them, ended by silence or by their socket (S8.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from polos.core.status import Status
from polos.engine import leases as leases_module
from polos.engine.leases import Leases
from polos.errors import LeaseLost
from polos.wire.renewal import Renewal
from tests.conformance.acts import claim, request, start
from tests.conformance.over_the_wire import OwnerSide, worker
from tests.wire.conftest import Connect


class TurnedClock:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> int:
        return round(self.at * 1_000_000)

    def monotonic(self) -> float:
        return self.at


class Graves:
    """Only what leases ask of a store."""

    def __init__(self) -> None:
        self.buried: list[str] = []

    async def bury(self, worker_id: str) -> int:
        self.buried.append(worker_id)
        return 0


class Book:
    """Leases of 30 s with a clock that is turned by hand, looked at when the test says."""

    def __init__(self) -> None:
        self.clock, self.graves = TurnedClock(), Graves()
        self.given_up: list[str] = []
        self.leases = Leases(self.graves, self.clock, 30.0, self.given_up.append)  # type: ignore[arg-type]
        self._keeper = asyncio.create_task(self.leases.keep())

    async def after(self, *steps: float) -> None:
        """Moves the clock and lets the leases be looked at, once a step."""
        for seconds in steps:
            self.clock.at += seconds
            self.leases._look.set()
            for _ in range(10):
                await asyncio.sleep(0)

    async def end(self) -> None:
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)


async def book(*workers: str) -> Book:
    made = Book()
    await made.after(0)
    for id in workers:
        made.leases.attached(id)
    return made


STEP = 5.0


async def test_a_lease_ends_after_its_seconds_of_silence_and_not_before() -> None:
    it = await book("w")
    await it.after(*[STEP] * 6)
    assert it.leases.is_alive("w") and it.graves.buried == []
    await it.after(0.1)
    assert not it.leases.is_alive("w")
    assert (it.graves.buried, it.given_up) == (["w"], ["w"])
    await it.after(*[STEP] * 8)
    assert it.graves.buried == ["w"]
    await it.end()


async def test_a_renewed_lease_goes_on_from_its_renewal() -> None:
    it = await book("w", "silent")
    for _ in range(6):
        await it.after(STEP, STEP)
        assert it.leases.renewed("w")
    assert it.leases.alive == {"w"} and it.graves.buried == ["silent"]
    await it.after(*[STEP] * 7)
    assert it.graves.buried == ["silent", "w"]
    await it.end()


async def test_a_worker_given_up_renews_nothing_until_it_says_hello() -> None:
    it = await book("w")
    await it.after(*[STEP] * 7)
    assert not it.leases.renewed("w") and not it.leases.is_alive("w")
    assert not it.leases.renewed("never heard of")
    it.leases.attached("w", again=True)
    assert it.leases.renewed("w") and it.leases.is_alive("w")
    it.leases.detached("w")
    await it.after(0)
    assert it.graves.buried == ["w", "w"]
    await it.end()


@pytest.mark.parametrize(("gap", "survives"), [(leases_module.SLEPT + 0.5, True), (leases_module.SLEPT - 0.5, False)])
async def test_a_gap_in_the_owners_own_clock_renews_everybody(gap: float, survives: bool) -> None:
    it = await book("w", "v")
    await it.after(*[STEP] * 5)
    await it.after(gap)
    assert it.leases.alive == ({"w", "v"} if survives else frozenset())
    if survives:  # for one lease, and not for ever
        await it.after(*[STEP] * 6)
        assert it.leases.alive == {"w", "v"}
        await it.after(STEP)
        assert it.leases.alive == frozenset()
    await it.end()


async def test_a_night_asleep_buries_nobody_who_wakes() -> None:
    it = await book("w")
    await it.after(8 * 3600)
    assert it.leases.is_alive("w") and it.graves.buried == []
    await it.end()


async def test_a_gap_brings_nobody_back_who_was_given_up() -> None:
    it = await book("w")
    await it.after(*[STEP] * 7)
    await it.after(100)
    assert not it.leases.is_alive("w")
    await it.end()


async def test_the_last_connection_of_a_worker_ends_its_lease_and_no_earlier_one() -> None:
    it = await book("w")
    it.leases.attached("w")
    it.leases.attached("w", again=True)
    it.leases.detached("w")
    await it.after(0)
    assert it.leases.is_alive("w") and it.graves.buried == []
    it.leases.detached("w")
    await it.after(0)
    assert not it.leases.is_alive("w") and it.graves.buried == ["w"]
    assert it.given_up == []  # nothing of its is left to be stopped
    await it.end()


async def test_a_goodbye_ends_a_lease_and_buries_nobody() -> None:
    it = await book("w")
    it.leases.left("w")
    it.leases.detached("w")
    await it.after(0, *[STEP] * 7)
    assert it.graves.buried == [] and it.leases.alive == frozenset()
    await it.end()


async def test_a_worker_back_before_it_was_buried_is_not_buried() -> None:
    it = await book("w")
    it.leases.detached("w")
    it.leases.attached("w")
    await it.after(0)
    assert it.graves.buried == [] and it.leases.is_alive("w")
    await it.end()


# ── at an owner ──────────────────────────────────────────────────────────────────────────────────────────


async def buried(owner: OwnerSide, done: Collection[str]) -> None:
    """Looks at the leases until these workers' burials are written."""
    keeping = asyncio.create_task(owner.leases.keep())
    while owner.store.submitted.count("bury") < len(done):
        await asyncio.sleep(0)
    await owner.store.get("absent")
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_closing_a_connection_buries_its_worker(owner: OwnerSide, connect: Connect) -> None:
    remote, other = await connect(), await connect()
    await remote.hello(worker("wrk_1"), {})
    await other.hello(worker("wrk_2"), {})
    started = await start(remote)
    await claim(remote)
    remote.close()
    keeping = asyncio.create_task(owner.leases.keep())
    (claimed,) = await other.claim(request("wrk_2"), 10)
    assert (claimed.execution.id, claimed.execution.deaths, claimed.lease.epoch) == (started.id, 1, 2)
    assert [w.ended_at is not None for w in sorted(await owner.store.workers(), key=lambda w: w.id)] == [True, False]
    keeping.cancel()


async def test_closing_an_old_connection_of_a_worker_that_is_back_buries_nobody(
    owner: OwnerSide, connect: Connect
) -> None:
    old, new = await connect(), await connect()
    await old.hello(worker("wrk_1"), {})
    started = await start(old)
    (claimed,) = await claim(old)
    await new.hello(worker("wrk_1"), {claimed.execution.number: claimed.lease.epoch})
    old.close()
    while len(owner.server._peers) > 1:
        await asyncio.sleep(0)
    assert owner.leases.is_alive("wrk_1") and owner.leases._dead == []
    found = await new.get(started.id)
    assert found is not None and (found.status, found.deaths) == (Status.RUNNING, 0)
    await new.commit(claimed.lease, 1, [], 0)


async def test_what_a_returning_worker_does_not_show_is_queued(owner: OwnerSide, connect: Connect) -> None:
    old, new = await connect(), await connect()
    await old.hello(worker("wrk_1"), {})
    await start(old)
    await start(old)
    one, two = await claim(old)
    await new.hello(worker("wrk_1"), {two.execution.number: two.lease.epoch})
    (again,) = await claim(new)
    assert again.execution.number == one.execution.number
    await new.commit(two.lease, 1, [], 0)


async def test_a_worker_that_says_goodbye_leaves_no_death(owner: OwnerSide, connect: Connect) -> None:
    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    await remote.goodbye("wrk_1")
    remote.close()
    while owner.server._peers:
        await asyncio.sleep(0)
    assert owner.leases._dead == [] and owner.leases.alive == frozenset()


async def test_a_given_up_worker_claims_nothing_until_it_says_hello_again(owner: OwnerSide, connect: Connect) -> None:
    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    waiting = asyncio.create_task(remote.claim(request(), 30))
    await owner.store.until_submitted("claim")
    owner.leases._until["wrk_1"] = float("-inf")  # it has said nothing for long
    await buried(owner, ["wrk_1"])
    assert owner.given_up == ["wrk_1"]
    with pytest.raises(LeaseLost):
        await waiting
    await start(remote)
    with pytest.raises(LeaseLost):
        await claim(remote)
    await remote.hello(worker("wrk_1"), {})
    assert len(await claim(remote)) == 1


async def test_a_thread_renews_over_a_connection_of_its_own(owner: OwnerSide, connect: Connect) -> None:
    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    renewal = Renewal(owner.socket, "wrk_1")
    before = owner.leases._until["wrk_1"] = owner.leases._until["wrk_1"] - 20
    assert await asyncio.to_thread(renewal.renew)
    assert owner.leases._until["wrk_1"] > before
    assert len(owner.server._peers) == 2
    assert await asyncio.to_thread(renewal.renew)
    assert len(owner.server._peers) == 2  # the same one
    renewal.close()
    while len(owner.server._peers) > 1:
        await asyncio.sleep(0)
    assert owner.leases.is_alive("wrk_1")  # its end is not the worker's
    owner.leases._until["wrk_1"] = float("-inf")
    await buried(owner, ["wrk_1"])
    assert not await asyncio.to_thread(renewal.renew)
    renewal.close()


async def test_renewals_go_on_at_an_owner_that_is_back(owner: OwnerSide, connect: Connect) -> None:
    from polos.errors import OwnerLost

    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    renewal = Renewal(owner.socket, "wrk_1")
    assert await asyncio.to_thread(renewal.renew)
    await owner.server.close()
    with pytest.raises(OwnerLost):
        await asyncio.to_thread(renewal.renew)
    await owner.server.start()
    again = await connect()
    await again.hello(worker("wrk_1"), {})
    assert await asyncio.to_thread(renewal.renew)
    renewal.close()
