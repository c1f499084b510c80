"""Connections: who may ask what, which versions speak to each other, and how they end."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path

import pytest

from polos.core.model import NewEvent, Outcome
from polos.core.ops import Finish
from polos.errors import EngineError, LeaseLost, NobodyListens, OwnerLost, UsageError, WireVersionMismatch
from polos.wire import address
from polos.wire import peer as owner_side
from polos.wire import remote as remote_side
from polos.wire.address import own_folder, socket_path
from polos.wire.calls import METHODS, Role
from polos.wire.remote import Remote
from polos.wire.renewal import Renewal
from tests.conformance.acts import Hand, SetClock, claim, event, park, request, start, wait_event
from tests.conformance.over_the_wire import OwnerSide, worker
from tests.wire.conftest import Connect

# ── roles ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("role", Role)
async def test_a_role_is_refused_what_it_is_not_there_for(owner: OwnerSide, connect: Connect, role: Role) -> None:
    remote = await connect(role)
    refused = [name for name, method in METHODS.items() if role not in method.roles]
    for name in refused:
        number = 1000 + refused.index(name)
        answer = asyncio.get_running_loop().create_future()
        remote._waiting[number] = (answer, "yield", 0)
        remote._channel.send([number, name, []])
        with pytest.raises(UsageError, match=f"{role}.*'{name}'"):
            await answer
    assert not remote.is_lost and owner.yields == 0 and owner.store.submitted == []


def test_the_roles_are_no_more_than_they_need() -> None:
    may = {role: {name for name, method in METHODS.items() if role in method.roles} for role in Role}
    assert may[Role.RENEWAL] == {"renew"}
    assert may[Role.HEIR] == {"yield"}
    assert may[Role.CLIENT] == {
        "start", "publish", "resume", "get", "find", "changed", "cancel", "retry", "put_schedule", "change_schedule",
        "trigger_schedule", "backfill_schedule", "check_input", "fork",
    }  # fmt: skip
    assert not may[Role.WORKER] & {"renew", "yield"}


async def test_a_method_that_there_is_not_is_refused_and_the_connection_goes_on(connect: Connect) -> None:
    remote = await connect()
    answer = asyncio.get_running_loop().create_future()
    remote._waiting[99] = (answer, "yield", 0)
    remote._channel.send([99, "drop_everything", []])
    with pytest.raises(UsageError, match="drop_everything"):
        await answer
    assert await remote.get("absent") is None


async def test_an_heir_asks_the_owner_to_let_go(owner: OwnerSide, connect: Connect) -> None:
    heir = await connect(Role.HEIR)
    await heir.call("yield")
    assert owner.yields == 1


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("side", [remote_side, owner_side], ids=["newer caller", "newer owner"])
async def test_another_version_is_refused_and_both_are_named(
    owner: OwnerSide, monkeypatch: pytest.MonkeyPatch, side: object
) -> None:
    monkeypatch.setattr(side, "VERSION", 7)
    spoken = {remote_side: (1, 7), owner_side: (7, 1)}[side]  # type: ignore[index]
    with pytest.raises(WireVersionMismatch) as caught:
        await owner.connect()
    assert f"(wire {spoken[0]})" in caught.value.message and f"speaks wire {spoken[1]}" in caught.value.message
    assert "process 1 (a test)" in caught.value.message and "start it again" in caught.value.hint
    monkeypatch.undo()
    other = await owner.connect()
    assert await other.get("absent") is None
    other.close()


async def test_an_owner_tells_who_it_is(connect: Connect) -> None:
    remote = await connect()
    assert (remote.facts["pid"], remote.facts["command"], remote.facts["lease_seconds"]) == (1, "a test", 30.0)


# ── owners that are not there ────────────────────────────────────────────────────────────────────────────


async def test_a_path_where_nobody_listens_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(NobodyListens):
        await Remote.connect(tmp_path / "absent.sock", Role.CLIENT)
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    with pytest.raises(NobodyListens):
        await Remote.connect(left, Role.CLIENT)


async def test_an_owner_that_accepts_and_never_answers_is_lost_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_side, "GREETED_WITHIN", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s.sock"))
        silent.listen()
        with pytest.raises(OwnerLost, match="does not answer") as caught:
            async with asyncio.timeout(5):
                await Remote.connect(tmp_path / "s.sock", Role.CLIENT)
    assert not isinstance(caught.value, NobodyListens)
    await asyncio.sleep(0)


async def test_a_renewal_that_is_never_answered_is_lost_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polos.wire.renewal.ANSWERED_WITHIN", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s.sock"))
        silent.listen()
        renewal = Renewal(tmp_path / "s.sock", "wrk_1")
        with pytest.raises(OwnerLost, match="could not be renewed"):
            await asyncio.to_thread(renewal.renew)


async def test_a_process_that_hangs_up_instead_of_a_greeting_is_lost(tmp_path: Path) -> None:
    def hang_up(_: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        writing.close()

    listening = await asyncio.start_unix_server(hang_up, tmp_path / "s.sock")
    with pytest.raises(OwnerLost):
        await Remote.connect(tmp_path / "s.sock", Role.CLIENT)
    listening.close()


async def test_a_connect_that_is_given_up_leaves_no_connection_open(tmp_path: Path) -> None:
    closed = asyncio.Event()
    came = asyncio.Event()

    async def silent(reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        came.set()
        await reading.read()
        closed.set()
        writing.close()

    listening = await asyncio.start_unix_server(silent, tmp_path / "s.sock")
    connecting = asyncio.create_task(Remote.connect(tmp_path / "s.sock", Role.CLIENT))
    await came.wait()
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    try:
        async with asyncio.timeout(1):
            await closed.wait()
    finally:
        listening.close()


async def test_everything_under_way_is_lost_with_the_owner_and_what_comes_later_too(
    owner: OwnerSide, connect: Connect
) -> None:
    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    await remote.get("absent")
    waiting = [
        asyncio.create_task(remote.claim(request(), 30)), asyncio.ensure_future(remote.changed("exec_1")),
        remote.call("get", "absent"),
    ]  # fmt: skip
    await asyncio.sleep(0)
    await owner.server.close()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in done] == [OwnerLost] * 3
    assert remote.is_lost
    await remote.lost
    with pytest.raises(OwnerLost):
        await remote.publish([event("t")])


async def test_an_answer_that_cannot_be_read_fails_its_call_instead_of_leaving_it_open(
    owner: OwnerSide, connect: Connect
) -> None:
    remote = await connect()
    await remote.get("absent")
    asked = remote.call("get", "absent")
    (peer,) = owner.server._peers
    peer.channel.send([remote._number, 0, {"not": "an execution"}])
    async with asyncio.timeout(1):
        with pytest.raises(EngineError, match="cannot be read"):
            await asked


async def test_a_message_that_cannot_be_written_fails_its_own_call_only(connect: Connect) -> None:
    """Text with a lone surrogate is no JSON: the call fails, and what left in the same turn does not."""
    remote = await connect()
    good = remote.call("get", "absent")
    async with asyncio.timeout(1):
        with pytest.raises(Exception):  # whatever it is called, it is raised to whoever asked
            await remote.publish([NewEvent(topic="\ud800", type=None, data=event("t").data, id="evt_1")])
        assert await good is None


# ── the socket's file ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_was_just_accepted_ends_with_the_owner(owner: OwnerSide, turns: int) -> None:
    own, other = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with own, other:
        for one in (own, other):
            one.connect(str(owner.socket))
            one.setblocking(False)
        for _turn in range(turns):  # of the loop: before it is accepted, while, and after
            await asyncio.sleep(0)
        await owner.server.close()
        async with asyncio.timeout(10):
            for one in (own, other):
                try:
                    assert await asyncio.get_running_loop().sock_recv(one, 1) == b""
                except ConnectionResetError:
                    pass  # it was not accepted any more


async def test_only_its_user_may_connect(owner: OwnerSide) -> None:
    assert stat.S_IMODE(owner.socket.stat().st_mode) == 0o600
    assert owner.socket == owner.path.with_name("polos.db.sock")


async def test_a_socket_that_a_dead_process_left_is_replaced(tmp_path: Path, clock: SetClock) -> None:
    left = socket_path(tmp_path / "polos.db")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    side = OwnerSide(tmp_path / "polos.db", clock)
    await side.open()
    remote = await side.connect()
    assert await remote.get("absent") is None
    remote.close()
    await side.close()
    assert not left.exists()


@pytest.mark.parametrize("has_runtime_folder", [True, False])
def test_a_path_too_long_for_a_socket_falls_back_to_a_folder_of_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_runtime_folder: bool
) -> None:
    import tempfile

    short = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if has_runtime_folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    long = tmp_path / ("d" * 100) / "polos.db"
    found = socket_path(long)
    assert len(str(found).encode()) <= address.LONGEST
    assert found == socket_path(long) != socket_path(long.with_name("other.db"))
    assert found.parent.name.startswith("polos")
    if has_runtime_folder:
        assert found.parent == short / "polos"
        own_folder(found.parent)
        assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700
        found.parent.chmod(0o755)
        own_folder(found.parent)
        assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700
        found.parent.rmdir()
    short.rmdir()


def test_a_runtime_folder_that_is_too_long_itself_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/" + "r" * 90)
    assert str(socket_path(tmp_path / ("d" * 100))).startswith("/tmp/polos-")


async def test_an_owner_opens_its_socket_in_the_other_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: SetClock
) -> None:
    import tempfile

    from polos.local.owner import Owner

    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        database = tmp_path / ("d" * 100) / "polos.db"
        faults: list[BaseException] = []
        own = Owner(
            f"sqlite:///{database}", clock, durability="relaxed", lease_seconds=30, on_yield=lambda: None,
            on_fault=faults.append,
        )  # fmt: skip
        await own.open(frozenset())
        found = socket_path(database.resolve())
        assert found.parent == Path(short) / "polos"
        assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(found.stat().st_mode) == 0o600
        remote = await Remote.connect(found, Role.CLIENT)
        assert await remote.get("absent") is None
        remote.close()
        await own.close()
        assert faults == [] and not found.exists()


# ── long polls ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_watch_ends_with_a_change_with_its_time_or_with_its_caller(owner: OwnerSide, connect: Connect) -> None:
    remote = await connect()
    started = await start(remote)
    assert await remote.changed(started.id, 0.01) is None
    told, given_up = remote.changed(started.id), remote.changed(started.id)
    assert await remote.get("absent") is None  # both have reached the owner
    given_up.cancel()
    await remote.hello(worker("wrk_1"), {})
    await remote.get("absent")
    assert len(owner.store._watchers._waiting[started.id]) == 1
    hand = Hand(remote, (await claim(remote))[0])  # type: ignore[arg-type]
    await hand.commit(Finish(outcome=Outcome.COMPLETED))
    await asyncio.wait_for(told, 5)


async def test_a_watch_that_is_given_up_before_it_began_leaves_nothing_at_the_owner(
    owner: OwnerSide, connect: Connect
) -> None:
    remote = await connect()
    started = await start(remote)
    remote.changed(started.id).cancel()
    for _ in range(3):
        await remote.get("absent")
    assert len(owner.store._watchers._waiting.get(started.id, ())) == 0


# ── claims given up ──────────────────────────────────────────────────────────────────────────────────────


async def free(owner: OwnerSide, connect: Connect) -> list[tuple[str, int]]:
    """What another worker can have, as (id, deaths)."""
    other = await connect()
    await other.hello(worker("wrk_2"), {})
    return [(c.execution.id, c.execution.deaths) for c in await claim(other, "wrk_2")]


async def test_a_claim_given_up_while_it_waits_takes_nothing(owner: OwnerSide, connect: Connect) -> None:
    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    claiming = asyncio.create_task(remote.claim(request(), 30))
    await owner.store.until_submitted("claim")
    await owner.store.counts()
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    await remote.get("absent")
    started = await start(remote)
    assert await free(owner, connect) == [(started.id, 0)]


async def test_a_claim_given_up_in_the_turn_that_asked_takes_nothing(owner: OwnerSide, connect: Connect) -> None:
    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    started = await start(remote)
    claiming = asyncio.create_task(remote.claim(request(), 30))
    await asyncio.sleep(0)
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    await remote.get("absent")
    await remote.get("absent")
    assert await free(owner, connect) == [(started.id, 0)]


async def test_a_claim_given_up_while_its_answer_is_on_the_way_gives_back_what_it_took(
    owner: OwnerSide, connect: Connect
) -> None:
    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    started = await start(remote)
    remote._channel.pause()
    claiming = asyncio.create_task(remote.claim(request(), 30))
    await owner.store.until_submitted("claim")
    while (await owner.store.get(started.id)).worker_id is None:  # type: ignore[union-attr]
        pass
    (peer,) = owner.server._peers
    while peer._tasks:
        await asyncio.sleep(0)
    claiming.cancel()
    remote._channel.resume()
    await asyncio.gather(claiming, return_exceptions=True)
    await remote.get("absent")
    await remote.get("absent")
    assert await free(owner, connect) == [(started.id, 0)]


async def test_a_claim_on_a_connection_that_ends_frees_what_it_took(owner: OwnerSide, connect: Connect) -> None:
    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    started = await start(remote)
    claiming = asyncio.create_task(remote.claim(request(), 30))
    await owner.store.until_submitted("claim")
    keeping = asyncio.create_task(owner.leases.keep())
    remote.close()
    await asyncio.gather(claiming, return_exceptions=True)
    while owner.server._peers or owner.leases._dead:
        await asyncio.sleep(0)
    other = await connect()
    await other.hello(worker("wrk_2"), {})
    (claimed,) = await other.claim(request("wrk_2"), 5)
    assert claimed.execution.id == started.id
    keeping.cancel()


# ── what a worker hears ──────────────────────────────────────────────────────────────────────────────────


async def test_a_hot_execution_is_known_to_the_owner_from_the_commit_that_parked_it(connect: Connect) -> None:
    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    await start(remote)
    hand = Hand(remote, (await claim(remote))[0])  # type: ignore[arg-type]
    await hand.commit(wait_event("e", "t"), park("e"))
    await remote.publish([event("t")])
    (hot,) = await claim(remote)
    assert (hot.is_held, [e.key for e in hot.entries]) == (True, ["e"])
    hand = Hand(remote, hot)  # type: ignore[arg-type]
    await hand.commit(wait_event("f", "t"), park("f"))
    again = await connect()
    await again.hello(worker("wrk_1"), {})
    await remote.publish([event("t")])
    (cold,) = await claim(again)
    assert (cold.is_held, [e.key for e in cold.entries]) == (False, ["e", "f"])


async def test_a_worker_that_came_back_still_hears_of_outcomes_when_its_old_connection_ends(
    owner: OwnerSide, connect: Connect
) -> None:
    old, new = await connect(), await connect()
    await old.hello(worker("wrk_1"), {})
    await start(old)
    hand = Hand(new, (await claim(old))[0])  # type: ignore[arg-type]
    number = hand.execution.number
    await new.hello(worker("wrk_1"), {number: hand.lease.epoch})
    old.close()
    while len(owner.server._peers) > 1:
        await asyncio.sleep(0)
    told: asyncio.Queue[int] = asyncio.Queue()
    forget = new.on_outcome("wrk_1", told.put_nowait)
    await hand.commit(wait_event("e", "t"))
    await new.publish([event("t")])
    try:
        async with asyncio.timeout(1):
            assert await told.get() == number
    finally:
        forget()


async def test_a_worker_without_a_hello_may_not_claim(connect: Connect) -> None:
    remote = await connect()
    with pytest.raises(LeaseLost):
        await remote.claim(request(), 0)
