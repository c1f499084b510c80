"""Frames: any split of the stream, long batches, and what is no frame of ours."""

from __future__ import annotations

import asyncio
from struct import pack
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polos.core.status import Status
from polos.wire import frames
from polos.wire.frames import FRAME, Unpacker, packed
from tests.conformance.acts import start
from tests.conformance.over_the_wire import OwnerSide
from tests.wire.conftest import Connect

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc☃", max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=30, deadline=None, database=None)
@given(st.lists(st.lists(VALUES, min_size=1, max_size=4), max_size=5), st.data())
def test_a_stream_split_anywhere_gives_the_same_messages(batches: list[list[Any]], data: st.DataObject) -> None:
    stream = b"".join(part for batch in batches for part in packed(batch))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    unpacker, got = Unpacker(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += unpacker.feed(stream[begin:end])
    assert got == [message for batch in batches for message in batch]


def test_one_byte_at_a_time_gives_the_same_messages() -> None:
    unpacker, got = Unpacker(), []
    for byte in b"".join([*packed([[1, "a"]]), *packed([[2, "☃"], [3]])]):
        got += unpacker.feed(bytes([byte]))
    assert got == [[1, "a"], [2, "☃"], [3]]


@pytest.mark.parametrize("over", [-1, 0, 1, FRAME, FRAME + 1])
def test_a_batch_longer_than_a_frame_goes_in_several_and_comes_as_one(over: int) -> None:
    text = "x" * (FRAME + over - len(orjson.dumps([["", 7]])))
    sent = packed([[text, 7]])
    assert len(sent) // 2 == (1 if over <= 0 else 2 if over <= FRAME else 3)
    assert all(len(part) <= FRAME for part in sent)
    unpacker, got = Unpacker(), []
    stream = b"".join(sent)
    for begin in range(0, len(stream), 1_000_003):
        got += unpacker.feed(stream[begin : begin + 1_000_003])
    assert got == [[text, 7]]
    assert unpacker.feed(b"".join(packed([["next"]]))) == [["next"]]


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match=str(FRAME + 1)):
        Unpacker().feed(pack(">I", FRAME + 1))


def test_a_batch_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MESSAGES_LIMIT", 100)
    unpacker = Unpacker()
    unpacker.feed(pack(">I", 60 | 1 << 31) + b"[" * 60)
    with pytest.raises(ValueError, match="end"):
        unpacker.feed(pack(">I", 60 | 1 << 31) + b"[" * 60)


HELLO = b"".join(packed([[0, "hello", [{"wire": frames.VERSION, "role": "worker", "pid": 1}]]]))
GARBAGE = {
    "noise": b"\xff\xfe" * 50,
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "over the limit": pack(">I", FRAME + 1) + b"x" * 100,
    "no json": pack(">I", 4) + b"{{{{",
    "a number": pack(">I", 2) + b"17",
    "an object": b"".join(packed({"a": 1})),  # type: ignore[arg-type]
    "short messages": b"".join(packed([[1]])),
    "hello without facts": b"".join(packed([[0, "hello", []]])),
    "hello of no role": b"".join(packed([[0, "hello", [{"wire": frames.VERSION, "role": "king"}]]])),
}
WRONG = {
    "wrong arguments": [1, "start", [[{"id": 7}]]],
    "too many arguments": [1, "get", ["a", "b", "c"]],
    "a commit of no operation": [
        1,
        "commit",
        [{"execution": 1, "epoch": 1, "worker_id": "w"}, 1, [["Nothing", {}]], 0],
    ],
}


@pytest.mark.parametrize("message", WRONG.values(), ids=WRONG)
async def test_a_call_that_makes_no_sense_is_answered_with_an_error(owner: OwnerSide, message: list[Any]) -> None:
    reading, writing = await asyncio.open_unix_connection(str(owner.socket))
    writing.write(HELLO + b"".join(packed([message])))
    unpacker, answers = Unpacker(), []
    async with asyncio.timeout(5):
        while len(answers) < 2:
            answers += unpacker.feed(await reading.read(65536))
    assert answers[1][:2] == [1, 1] and "called wrongly" in answers[1][2]["message"]
    writing.close()


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_ends_its_connection_and_the_owner_goes_on(
    owner: OwnerSide, connect: Connect, garbage: bytes
) -> None:
    other = await connect()
    reading, writing = await asyncio.open_unix_connection(str(owner.socket))
    writing.write(garbage)
    async with asyncio.timeout(5):
        await reading.read()  # until the owner ends it
    writing.close()
    assert len(owner.server._peers) == 1
    started = await start(other)
    found = await other.get(started.id)
    assert found is not None and found.status is Status.QUEUED


async def test_a_batch_of_many_megabytes_arrives_both_ways(connect: Connect) -> None:
    from tests.conformance.acts import new

    remote = await connect()
    payloads = ["x" * 1_000_000 + str(n) for n in range(9)]
    started = await remote.start([new(payload=payload) for payload in payloads])
    assert len(started) == 9
    (last,) = await remote.find("last")
    assert last.input.text == orjson.dumps(payloads[-1]).decode()


async def test_messages_of_one_turn_of_the_loop_leave_as_one_batch(
    owner: OwnerSide, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = await connect()
    batches: list[int] = []
    real = frames.packed

    def counted(messages: Any) -> list[bytes]:
        batches.append(len(messages))
        return real(messages)

    monkeypatch.setattr(frames, "packed", counted)
    asked = [remote.call("get", f"absent_{n}") for n in range(50)]
    await asyncio.sleep(0)
    assert batches == [50]
    assert await asyncio.gather(*asked) == [None] * 50
