"""Whoever starts by a bare id has the payload checked by a worker that has the code, before anything is stored (S9)."""

from __future__ import annotations

import pytest

from polos.core.codec import encode, plain
from polos.core.manifest import Declared, WorkerInfo
from polos.core.model import Stored
from polos.errors import InvalidInput
from polos.ports import Store


async def hello(store: Store, id: str = "wrk_1", *workflows: str, about: str | None = None) -> None:
    declared = tuple(Declared(workflow_id=one, about=about) for one in workflows)
    info = WorkerInfo(id=id, pid=1, project="p", complete=True, workflow_ids=workflows, declared=declared)
    await store.hello(info, {})


async def checks(workflow_id: str, payload: Stored) -> Stored:
    given = plain(payload)
    if given.get("amount") == "much":
        raise InvalidInput("it does not fit", errors=(("amount", "a number"),))
    return encode({**given, "checked_by": workflow_id})


async def test_a_worker_is_asked_and_what_it_says_is_stored(store: Store) -> None:
    await hello(store, "wrk_1", "wf")
    store.on_question("wrk_1", checks)
    checked = await store.check_input("wf", encode({"amount": 1}))
    assert checked is not None and plain(checked) == {"amount": 1, "checked_by": "wf"}


async def test_what_does_not_fit_is_refused_with_every_field(store: Store) -> None:
    await hello(store, "wrk_1", "wf")
    store.on_question("wrk_1", checks)
    with pytest.raises(InvalidInput) as refused:
        await store.check_input("wf", encode({"amount": "much"}))
    assert [tuple(one) for one in refused.value.errors] == [("amount", "a number")]


async def test_nobody_who_could_say_leaves_it_unchecked(store: Store) -> None:
    assert await store.check_input("wf", encode(1)) is None
    await hello(store, "wrk_1", "other")
    store.on_question("wrk_1", checks)
    assert await store.check_input("wf", encode(1)) is None


@pytest.mark.parametrize("how", ["goodbye", "retire", "forget"])
async def test_a_worker_that_leaves_is_asked_no_more(store: Store, how: str) -> None:
    await hello(store, "wrk_1", "wf")
    forget = store.on_question("wrk_1", checks)
    if how == "goodbye":
        await store.goodbye("wrk_1")
    elif how == "retire":
        await store.retire("wrk_1")
    else:
        forget()
    assert await store.check_input("wf", encode({"amount": 1})) is None


async def test_what_is_declared_is_there_for_readers(store: Store) -> None:
    await hello(store, "wrk_1", "wf", about='{"description":"one"}')
    await hello(store, "wrk_1", "wf")
    (found,) = await store.declared()
    assert (found.workflow_id, found.about) == ("wf", '{"description":"one"}'), "what one does not say stays"
