"""`PolosClient("http://...")` is a client as any other."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest

from polos import PolosClient, events, schedules
from polos.core import codec
from polos.errors import (
    AlreadyResumed,
    EngineError,
    ExecutionFailed,
    InvalidInput,
    NoEngine,
    UnknownExecution,
    UnknownWorkflow,
    UsageError,
)
from polos.ports import EventFilter
from tests.dev.place import Stranger
from tests.http.conftest import TOKEN, Order, Served, listens, order


async def test_workflows_are_run_and_looked_at(served: Served) -> None:
    async with Stranger(served.url, token=TOKEN) as client:
        assert await order.run(client, Order(id=1, note="n")) == {"order": 1, "note": "n"}
        handle = await client.invoke("order", {"id": 2})
        assert await handle.result(timeout=20) == {"order": 2, "note": ""}
        assert [entry.key for entry in await client.journal(handle)] == ["charge"]
        found = await client.get(handle)
        assert found.result is not None and found.input.text == '{"id":2,"note":""}'
        assert [one.number for one in await client.list(workflow="order")] == [2, 1]
        assert [event.event_type async for event in handle.events()][-1] == "workflow_finish"
        assert [worker.project for worker in await client.workers()] == ["shop"]


async def test_integers_of_any_size_arrive(served: Served) -> None:
    async with Stranger(served.url, token=TOKEN) as client:
        assert await order.run(client, {"id": 10**30}) == {"order": 10**30, "note": ""}
        handle = await client.invoke("order", {"id": -(2**70)})
        assert await handle.result(timeout=20) == {"order": -(2**70), "note": ""}
        approval = await served.asking(
            {"form": {"properties": {"n": {"type": "array"}}, "required": ["n"]}, "of": 10**25}
        )
        assert str(10**25) in (await served.http.get(approval["url"])).text
        answer = await served.http.post(approval["url"], data={"n": f"[{10**30}]"})
        assert answer.status_code == 200, answer.text
        ended = await served.get(f"/executions/{approval['execution']}", wait_seconds=10)
        assert ended["result"] == {"n": [10**30]}


async def test_listings_are_as_long_as_they_are_asked_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests that takes: a page has 1,000 of them, and 4 MiB of values."""
    monkeypatch.setattr("polos.api.remote.PAGE", 3)
    async with Stranger(served.url, token=TOKEN) as client:
        for number in range(8):
            await client.invoke("order", {"id": number})
            await client.publish("big", {"n": number, "text": "x" * 1_000_000})
        assert [one.number for one in await client.list(limit=7)] == [8, 7, 6, 5, 4, 3, 2]
        assert len(await client.list()) == 8

        async def listed(wanted: EventFilter) -> list[int]:
            found = await client.access().read(lambda store: store.events(wanted))
            return [json.loads(one.data.text)["n"] for one in found]

        assert await listed(EventFilter(topic="big", newest=True, limit=7)) == [1, 2, 3, 4, 5, 6, 7]
        assert await listed(EventFilter(topic="big", limit=7)) == [0, 1, 2, 3, 4, 5, 6]
        assert await listed(EventFilter(topic="big")) == list(range(8))
        monkeypatch.undo()
        assert await listed(EventFilter(topic="big", newest=True)) == list(range(8))
        page = await served.get("/events", topic="big", after=0)
        assert [one["data"]["n"] for one in page] == [0, 1, 2, 3, 4], "4 MiB, and what they end in"
        fourth = (await client.access().read(lambda store: store.events(EventFilter(topic="big"))))[4]
        assert await listed(EventFilter(topic="big", since=fourth.created_at)) == [4, 5, 6, 7]
        assert await listed(EventFilter(topic="big", until=fourth.created_at)) == [0, 1, 2, 3]


async def test_an_initial_state_keeps_its_types(served: Served) -> None:
    async with Stranger(served.url, token=TOKEN) as client:
        state = {"due": date(2026, 1, 2), "sum": Decimal("1.10")}
        handle = await client.invoke("order", {"id": 1}, initial_state=state)
        await handle.result(timeout=20)
    found = await served.host.store.get(handle.id) if served.host.store else None
    assert found is not None and found.initial_state is not None
    assert codec.decode(found.initial_state) == state


async def test_errors_are_those_of_any_client(served: Served) -> None:
    async with Stranger(served.url, token=TOKEN) as client:
        with pytest.raises(InvalidInput) as refused:
            await client.invoke("order", {"id": "x"})
        assert refused.value.errors[0][0] == "id"
        with pytest.raises(UnknownWorkflow, match="odrer"):
            await client.invoke("odrer")
        with pytest.raises(UnknownExecution):
            await client.get(99)
        failed = await client.invoke("fails")
        with pytest.raises(ExecutionFailed, match="the shelf is empty"):
            await failed.result(timeout=20)
        with pytest.raises(UsageError):
            await client.publish("")
    async with Stranger(served.url, token="wrong") as stranger:
        with pytest.raises(UsageError, match="token"):
            await stranger.list()
    async with PolosClient("http://127.0.0.1:9", token=TOKEN) as nobody:
        with pytest.raises(NoEngine, match="does not answer"):
            await nobody.list()


async def test_waits_are_answered_and_executions_stopped(served: Served) -> None:
    approval = await served.asking({})
    async with Stranger(served.url, token=TOKEN) as client:
        await client.resume(approval["number"], "ask/it", {"yes": b"\x00"})
        assert await client.result(approval["number"], timeout=20) == {"yes": b"\x00"}
        with pytest.raises(AlreadyResumed):
            await client.resume(approval["number"], "ask/it", 1)
        waiting = await listens.invoke(client)
        while (await client.get(waiting)).status != "waiting":
            await client.workers()
        published = await events.publish(client, "shop.news", events.EventData(data={"n": 1}))
        assert published.woken == (waiting.number,)
        assert await waiting.result(timeout=20) == {"n": 1}
        stopped = await listens.invoke(client)
        await client.cancel(stopped)
        assert (await client.retry(stopped)).reopened == (stopped.number,)


async def test_schedules_are_made_and_changed(served: Served) -> None:
    async with Stranger(served.url, token=TOKEN) as client:
        made = await schedules.create(client, "order", "0 9 * * 1-5", "Europe/Berlin", "k")
        (found,) = await schedules.list(client)
        assert (found.id, found.rule.timezone, found.rule.key) == (made, "Europe/Berlin", "k")
        await schedules.pause(client, made)
        assert (await schedules.get(client, "order/k")).is_paused
        await schedules.delete(client, made)
        assert await schedules.list(client) == []


async def test_another_program_at_the_port_is_said() -> None:
    import asyncio

    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nconnection: close\r\n\r\nNope")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(odd, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with PolosClient(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(EngineError, match="not as polos does"):
                await client.list()
