"""Many commits at once over one connection: bounded in flight, and each answered."""

from __future__ import annotations

import asyncio

import pytest

from polos.errors import EngineError
from polos.wire import peer as owner_side
from polos.wire import remote as remote_side
from polos.wire.peer import Peer
from polos.wire.remote import Remote
from tests.conformance.acts import Hand, children, claim, record, start
from tests.conformance.over_the_wire import OwnerSide, worker
from tests.wire.conftest import Connect


async def hand_of(connect: Connect) -> tuple[Remote, Hand]:
    remote = await connect()
    await remote.hello(worker("wrk_1"), {})
    await start(remote)
    return remote, Hand(remote, (await claim(remote))[0])  # type: ignore[arg-type]


class Watch:
    """The most that was ever in flight, on both sides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent = self.sent_bytes = self.taken = self.taken_bytes = 0
        send, committing = Remote._send_commit, Peer._commit

        def watched_send(remote: Remote, message: list[object], size: int) -> None:
            send(remote, message, size)  # type: ignore[arg-type]
            self.sent, self.sent_bytes = max(self.sent, remote._commits), max(self.sent_bytes, remote._bytes)

        def watched_commit(peer: Peer, *args: object) -> None:
            committing(peer, *args)  # type: ignore[arg-type]
            self.taken, self.taken_bytes = max(self.taken, peer._commits), max(self.taken_bytes, peer._bytes)

        monkeypatch.setattr(Remote, "_send_commit", watched_send)
        monkeypatch.setattr(Peer, "_commit", watched_commit)


async def test_thousands_of_commits_at_once_are_all_answered_with_no_more_than_the_limit_in_flight(
    owner: OwnerSide, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch)
    remote, hand = await hand_of(connect)
    commits = [remote.commit(hand.lease, n, [record(f"k{n}", n)], n - 1) for n in range(1, 3001)]
    answers = await asyncio.gather(*commits)
    assert [answer.outcomes[-1].key for answer in answers] == [f"k{n}" for n in range(1, 3001)]
    assert watch.sent == 1000 and watch.taken <= 1000
    assert (remote._commits, remote._bytes, len(remote._later)) == (0, 0, 0)
    (peer,) = owner.server._peers
    assert (peer._commits, peer._bytes, peer._paused) == (0, 0, False)


async def test_bytes_in_flight_are_bounded_too(
    owner: OwnerSide, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for side in (remote_side, owner_side):
        monkeypatch.setattr(side, "COMMIT_BYTES", 100_000)
    watch = Watch(monkeypatch)
    remote, hand = await hand_of(connect)
    value = "x" * 9_000
    answers = await asyncio.gather(
        *(remote.commit(hand.lease, n, [record(f"k{n}", value)], n - 1) for n in range(1, 101))
    )
    assert len(answers) == 100
    assert watch.sent_bytes <= 100_000 + 9_300 and watch.taken_bytes <= 100_000 + 9_300
    assert remote._bytes == 0


async def test_one_commit_over_the_limit_of_bytes_goes_alone(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of children may hold more than the limit: it has to go some day."""
    for side in (remote_side, owner_side):
        monkeypatch.setattr(side, "COMMIT_BYTES", 100_000)
    remote, hand = await hand_of(connect)
    async with asyncio.timeout(2):
        answer = await remote.commit(hand.lease, 1, [record("big", "x" * 150_000)], 0)
    assert [e.key for e in answer.outcomes] == ["big"]
    many = children("c", 20, waits=False)
    async with asyncio.timeout(2):
        await remote.commit(hand.lease, 2, [many, record("bigger", "x" * 150_000)], 1)


async def test_an_owner_that_takes_less_than_it_is_sent_reads_no_further_until_it_can(
    owner: OwnerSide, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_side, "COMMITS", 10)
    paused: list[bool] = []
    from polos.wire.frames import Channel

    pause = Channel.pause
    monkeypatch.setattr(Channel, "pause", lambda channel: (paused.append(True), pause(channel))[1])
    remote, hand = await hand_of(connect)
    for _ in range(3):
        number = hand.number
        answers = await asyncio.gather(
            *(remote.commit(hand.lease, number + n, [record(f"k{number + n}")], number + n - 1) for n in range(1, 101))
        )
        hand.number += 100
        assert len(answers) == 100
    assert paused
    assert await remote.get("absent") is None


async def test_commits_that_their_callers_gave_up_are_written_and_counted_out(
    owner: OwnerSide, connect: Connect
) -> None:
    remote, hand = await hand_of(connect)
    commits = [remote.commit(hand.lease, n, [record(f"k{n}")], n - 1) for n in range(1, 1501)]
    for commit in commits[::2]:
        commit.cancel()
    await asyncio.gather(*commits, return_exceptions=True)
    await remote.commit(hand.lease, 1501, [], 1500)
    assert len(await owner.store.journal(hand.execution.id)) == 1500
    assert (remote._commits, remote._bytes, len(remote._later)) == (0, 0, 0)


async def test_a_given_up_commit_still_counts_until_it_is_answered(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch)
    remote, hand = await hand_of(connect)
    for n in range(1, 2001):
        remote.commit(hand.lease, n, [record(f"k{n}")], n - 1).cancel()
    await asyncio.sleep(0)
    await remote.commit(hand.lease, 2001, [], 2000)
    assert watch.taken <= 1000


async def test_one_bad_commit_among_many_fails_alone(connect: Connect) -> None:
    remote, hand = await hand_of(connect)
    await hand.commit(record("a"))
    done = await asyncio.gather(
        remote.commit(hand.lease, 2, [record("b")], 0), remote.commit(hand.lease, 3, [record("a")], 0),
        remote.commit(hand.lease, 4, [record("c")], 0), return_exceptions=True,
    )  # fmt: skip
    assert [isinstance(one, BaseException) for one in done] == [False, True, False]
    assert isinstance(done[1], EngineError) and "IntegrityError" in done[1].message
