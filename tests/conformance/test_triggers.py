"""Executions that events start: each event once, alone or in batches, from the moment of registration (S5.3)."""

from __future__ import annotations

from typing import Any

import pytest

from polos.core.codec import encode, plain
from polos.core.manifest import EventTrigger, WorkerInfo
from polos.core.model import Kind
from polos.core.ops import Publish
from polos.ports import ExecutionFilter, Store
from tests.conformance.acts import SetClock, begun, event


async def register(store: Store, *triggers: EventTrigger, complete: bool = True, **facts: Any) -> None:
    ids = tuple(trigger.workflow_id for trigger in triggers)
    fields = {"id": "wrk_1", "pid": 1, "project": "shop", "complete": complete, "workflow_ids": ids, **facts}
    await store.hello(WorkerInfo(triggers=triggers, **fields), {})


async def started(store: Store, workflow: str = "greet") -> list[Any]:
    """The payloads of a workflow's executions, oldest first."""
    found = await store.search(ExecutionFilter(workflow_id=workflow))
    return [plain((await store.get(one.id)).input) for one in reversed(found)]  # type: ignore[union-attr]


async def test_each_event_starts_one_execution_with_the_event_as_payload(store: Store) -> None:
    await store.publish([event("user.signup", 0)])
    await register(store, EventTrigger(workflow_id="greet", topic="user.signup"))
    (published,) = await store.publish([event("user.signup", {"user": 1})])
    await store.publish([event("user.left", {"user": 1})])
    (payload,) = await started(store)
    assert (payload["topic"], payload["sequence_id"], payload["data"]) == ("user.signup", 2, {"user": 1})
    (execution,) = await store.search(ExecutionFilter())
    assert published.started == (execution.number,)


async def test_an_event_that_is_published_again_starts_nothing(store: Store) -> None:
    await register(store, EventTrigger(workflow_id="greet", topic="t"))
    one = event("t", 1)
    first, again = (await store.publish([one]))[0], (await store.publish([one]))[0]
    assert len(first.started) == 1 and not again.created
    assert len(await started(store)) == 1


async def test_all_or_none(store: Store) -> None:
    from polos.errors import UsageError

    await register(store, EventTrigger(workflow_id="greet", topic="t"))
    with pytest.raises(UsageError):
        await store.publish([event("t", 1), event("workflow/x", 1)])
    assert await started(store) == []


async def test_the_start_of_topics(store: Store) -> None:
    await register(store, EventTrigger(workflow_id="greet", topic="user.*"), EventTrigger(workflow_id="all", topic="*"))
    await store.publish([event("user.a", 1), event("user", 2), event("userx.a", 3), event("user.", 4)])
    assert [payload["data"] for payload in await started(store)] == [1, 4]
    assert [payload["data"] for payload in await started(store, "all")] == [1, 2, 3, 4]


async def test_what_is_told_of_executions_starts_nothing(store: Store) -> None:
    await register(store, EventTrigger(workflow_id="greet", topic="*"))
    hand = await begun(store)
    publish = Publish(key="p", topic=None, type=None, data=encode(1), event_id="evt_own", after=0)
    answer = await hand.commit(publish)
    assert [entry.kind for entry in answer.outcomes] == [Kind.PUBLISH]
    assert await started(store) == []


async def test_an_event_that_a_workflow_publishes_starts_executions(store: Store) -> None:
    await register(store, EventTrigger(workflow_id="greet", topic="t"))
    hand = await begun(store)
    await hand.commit(Publish(key="p", topic="t", type=None, data=encode(7), event_id="evt_p", after=0))
    assert [payload["data"] for payload in await started(store)] == [7]


async def test_batches_by_size(store: Store) -> None:
    await register(store, EventTrigger(workflow_id="greet", topic="t", batch_size=3))
    for n in range(7):
        await store.publish([event("t", n)])
    assert [[e["data"] for e in batch["events"]] for batch in await started(store)] == [[0, 1, 2], [3, 4, 5]]


async def test_batches_by_age(store: Store, clock: SetClock) -> None:
    await register(store, EventTrigger(workflow_id="greet", topic="t", batch_size=3, batch_timeout=5_000_000))
    await store.publish([event("t", 0)])
    clock.move(3)
    await store.publish([event("t", 1)])
    assert await store.fire_due() == clock.now() + 2_000_000
    clock.move(2)
    await store.fire_due()
    assert [[e["data"] for e in batch["events"]] for batch in await started(store)] == [[0, 1]]
    await store.publish([event("t", n) for n in (2, 3, 4)])  # full: no age counts any more
    assert len(await started(store)) == 2
    clock.move(60)
    await store.fire_due()
    assert len(await started(store)) == 2


async def test_a_batch_is_full_by_its_bytes_too(store: Store) -> None:
    await register(store, EventTrigger(workflow_id="greet", topic="t", batch_size=100))
    await store.publish([event("t", "x" * 200_000) for _ in range(4)])
    assert [len(batch["events"]) for batch in await started(store)] == [3]


async def test_triggers_follow_the_code_of_a_complete_manifest(store: Store) -> None:
    greet, other = EventTrigger(workflow_id="greet", topic="t"), EventTrigger(workflow_id="other", topic="t")
    await register(store, greet, other)
    await register(store, other, complete=False)  # some of the project only: removes nothing
    await register(store, complete=True, project="elsewhere")  # another project's removes its own only
    await store.publish([event("t", 1)])
    assert (len(await started(store)), len(await started(store, "other"))) == (1, 1)
    await register(store, EventTrigger(workflow_id="other", topic="elsewhere"))
    await store.publish([event("t", 2), event("elsewhere", 3)])
    assert (len(await started(store)), len(await started(store, "other"))) == (1, 2)


async def test_a_worker_that_runs_only_its_own_registers_none(store: Store) -> None:
    await register(store, EventTrigger(workflow_id="greet", topic="t"), claims="own")
    (published,) = await store.publish([event("t", 1)])
    assert published.started == () and await started(store) == []


@pytest.mark.parametrize(
    ("rules", "at_once", "later"),
    [
        ({"batch_size": 1}, [0, 1, 2, 3, 4], []),
        ({"batch_size": 2}, [[0, 1], [2, 3]], []),
        ({"batch_size": 9, "batch_timeout": 5_000_000}, [], [[0, 1, 2, 3, 4]]),
        ({"batch_size": 2, "batch_timeout": 5_000_000}, [[0, 1], [2, 3]], [[4]]),
    ],
)
async def test_events_gathered_under_former_rules_follow_the_new_ones(
    store: Store, clock: SetClock, rules: dict[str, Any], at_once: list[Any], later: list[Any]
) -> None:
    def data(payload: dict[str, Any]) -> Any:
        return [one["data"] for one in payload["events"]] if "events" in payload else payload["data"]

    await register(store, EventTrigger(workflow_id="greet", topic="t", batch_size=10))
    await store.publish([event("t", n) for n in range(5)])
    clock.move(3)
    await register(store, EventTrigger(workflow_id="greet", topic="t", **rules))
    assert [data(payload) for payload in await started(store)] == at_once
    clock.move(2)
    await store.fire_due()
    assert [data(payload) for payload in await started(store)] == at_once + later
