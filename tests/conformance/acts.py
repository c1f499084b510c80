"""What the conformance tests do to a store, in few words. Asserts nothing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import orjson

from polos.core.codec import encode, plain
from polos.core.model import Entry, FailedAttempt, Failure, Kind, NewEvent, NewExecution, Outcome, Started, Stored
from polos.core.ops import Await, CommitAnswer, Lease, Op, Park, Publish, Record, RetryAt, StartChildren
from polos.core.waits import execution_channel, resume_channel, topic_channel
from polos.ports import Claim, ClaimRequest, Store

SECOND = 1_000_000
_numbers = itertools.count(1)


class SetClock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 1_800_000_000 * SECOND

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return time.monotonic()

    def move(self, seconds: float) -> None:
        self.at += round(seconds * SECOND)


def new_id(prefix: str = "exec") -> str:
    return f"{prefix}_{next(_numbers):026d}"


def new(workflow: str = "wf", payload: Any = None, **facts: Any) -> NewExecution:
    return NewExecution(id=new_id(), workflow_id=workflow, input=encode(payload), **facts)


async def start(store: Store, workflow: str = "wf", payload: Any = None, **facts: Any) -> Started:
    return (await store.start([new(workflow, payload, **facts)]))[0]


def request(worker: str = "wrk_1", limit: int = 10, workflows: Sequence[str] = ("wf",), **facts: Any) -> ClaimRequest:
    return ClaimRequest(worker_id=worker, workflow_ids=frozenset(workflows), limit=limit, **facts)


async def claim(store: Store, worker: str = "wrk_1", limit: int = 10, **facts: Any) -> list[Claim]:
    return await store.claim(request(worker, limit, **facts), 0)


class Hand:
    """A worker's hand on one execution: numbers its commits, and remembers the last `seq` it was told."""

    def __init__(self, store: Store, claimed: Claim) -> None:
        self.store = store
        self.claimed = claimed
        self.lease: Lease = claimed.lease
        self.execution = claimed.execution
        self.number = 0
        self.since = claimed.execution.seq

    async def commit(self, *ops: Op) -> CommitAnswer:
        self.number += 1
        answer = await self.store.commit(self.lease, self.number, ops, self.since)
        self.since = max([self.since, *(entry.seq for entry in answer.outcomes)])
        return answer

    async def reclaimed(self, worker: str = "wrk_1", **facts: Any) -> Hand:
        """The same execution under a new lease."""
        claims = await claim(self.store, worker, **facts)
        found = next(c for c in claims if c.execution.number == self.execution.number)
        return Hand(self.store, found)


async def begun(store: Store, workflow: str = "wf", payload: Any = None, worker: str = "wrk_1", **facts: Any) -> Hand:
    """Starts an execution and takes it."""
    started = await start(store, workflow, payload, **facts)
    claims = await claim(store, worker, workflows=[workflow], root_ids=frozenset({started.root_id}))
    assert [c.execution.id for c in claims] == [started.id]
    return Hand(store, claims[0])


def record(key: str, value: Any = None, **facts: Any) -> Record:
    return Record(key=key, kind=Kind.RUN, outcome=Outcome.COMPLETED, after=0, value=encode(value), **facts)


def wait_event(key: str, topic: str, match: Any = None, **facts: Any) -> Await:
    return Await(
        key=key, kind=Kind.EVENT, after=0, channel=topic_channel(topic),
        match=None if match is None else orjson.dumps(match).decode(), **facts,
    )  # fmt: skip


def wait_timer(key: str, deadline: int) -> Await:
    return Await(key=key, kind=Kind.SLEEP, after=0, deadline=deadline)


def wait_answer(hand: Hand, key: str, **facts: Any) -> Await:
    return Await(key=key, kind=Kind.SUSPEND, after=0, channel=resume_channel(hand.execution.id, key), **facts)


def wait_end(key: str, execution_id: str) -> Await:
    return Await(key=key, kind=Kind.CHILD, after=0, channel=execution_channel(execution_id))


def children(key: str, count: int, batch: bool = True, waits: bool = True, workflow: str = "child") -> StartChildren:
    return StartChildren(
        key=key, children=tuple(new(workflow, i) for i in range(count)), waits=waits, batch=batch, after=0
    )


def publish(key: str, topic: str | None, data: Any = None) -> Publish:
    return Publish(key=key, topic=topic, type=None, data=encode(data), event_id=new_id("evt"), after=0)


def retry(key: str, attempt: int, due_at: int, parks: bool) -> RetryAt:
    failed = FailedAttempt(
        key=key, attempt=attempt, failure=Failure(type_name="E", message="m"), started_at=0, ended_at=0, due_at=due_at
    )
    return RetryAt(failed=failed, kind=Kind.RUN, after=0, parks=parks)


def park(*keys: str) -> Park:
    return Park(on=keys)


def event(topic: str, data: Any = None, id: str | None = None) -> NewEvent:
    return NewEvent(topic=topic, type=None, data=encode(data), id=id or new_id("evt"))


def value_of(entry: Entry) -> Any:
    assert entry.value is not None
    return plain(entry.value)


def data_of(entry: Entry) -> Any:
    """The data of the event or answer that completed a wait."""
    return value_of(entry)["data"]


def stored(value: Any) -> Stored:
    return encode(value)
