"""What programs do over HTTP: start, follow, answer, stop, publish; every refusal says what and why."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from polos import PolosClient
from polos.errors import InvalidInput
from tests.http.conftest import TOKEN, Served


async def test_a_workflow_is_started_and_its_end_waited_for(served: Served) -> None:
    ended = await served.run("order", {"id": 1})
    assert (ended["status"], ended["result"]) == ("completed", {"order": 1, "note": ""})
    assert ended["input"] == {"id": 1, "note": ""}, "the payload is stored as the worker has checked it"
    (listed,) = await served.get("/executions", workflow="order")
    assert listed["number"] == ended["number"] and listed["result"] is None, "listings leave values out"
    assert (await served.get(f"/executions/{ended['number']}"))["id"] == ended["id"]
    journal = await served.get("/executions/last/journal")
    assert [(entry["key"], entry["value"]) for entry in journal["entries"]] == [("charge", 1)]
    (line,) = await served.get("/executions/last/logs")
    assert (line["text"], line["level"], line["step"]) == ("ordering", "WARNING", None)


async def test_a_bad_payload_is_refused_with_every_field_before_anything_is_stored(served: Served) -> None:
    answer = await served.refused("/workflows/order/run", {"payload": {"id": "x", "note": 3}})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "POLOS103")
    assert [path for path, _ in error["errors"]] == ["id", "note"]
    assert await served.get("/executions") == []


@pytest.mark.parametrize("name", [5, 10**30, None, ["a"]])
async def test_a_shape_that_is_none_is_refused(served: Served, name: Any) -> None:
    answer = await served.refused("/workflows/order/run", {"payload": {"id": 1}, "payload_shape": {"": name}})
    assert answer.status_code == 400 and "payload_shape" in answer.text
    answer = await served.refused("/events", {"events": [{"topic": "t", "data": 1, "shape": {"": name}}]})
    assert answer.status_code == 400 and "shape" in answer.text
    assert await served.get("/executions") == [] == await served.get("/events")


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/workflows/odrer/run", {}, 404, "'order'"),
        ("/workflows/no such/run", {}, 400, "neither a workflow"),
        ("/workflows/order/run", {"payloda": 1}, 400, "payloda"),
        ("/workflows/order/run", {"delay_seconds": -1}, 400, "delay_seconds"),
        ("/workflows/order/run", [], 400, "body"),
        ("/executions/99/cancel", None, 404, "99"),
        ("/executions/99/resume", {"step": "x"}, 404, "99"),
        ("/events", {"events": []}, 400, "events"),
        ("/events", {"events": [{"topic": "workflow/x"}]}, 400, "workflow/"),
        ("/events", {"events": [{"topic": "a\u0000b"}]}, 400, "topic"),
        ("/schedules", {"workflow": "order", "cron": "61 * * * *"}, 400, "61"),
        ("/schedules/none/pause", None, 404, "none"),
    ],
)
async def test_what_cannot_be_is_said(served: Served, path: str, body: Any, status: int, said: str) -> None:
    answer = await served.refused(path, body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert said in error["message"] + error["hint"] and error["code"].startswith("POLOS")


async def test_a_repeated_start_starts_once(served: Served) -> None:
    id_ = "exec_" + "0" * 26
    first = await served.post("/workflows/order/run", {"payload": {"id": 1}, "id": id_})
    again = await served.post("/workflows/order/run", {"payload": {"id": 1}, "id": id_})
    assert first["number"] == again["number"]
    keyed = await served.post("/workflows/order/run", {"payload": {"id": 2}, "idempotency_key": "k"})
    same = await served.post("/workflows/order/run", {"payload": {"id": 2}, "idempotency_key": "k"})
    assert (keyed["created"], same["created"], same["id"]) == (True, False, keyed["id"])
    conflict = await served.refused("/workflows/order/run", {"payload": {"id": 3}, "idempotency_key": "k"})
    assert conflict.status_code == 409


async def test_a_batch_is_all_or_nothing(served: Served) -> None:
    started = await served.post(
        "/executions", {"executions": [{"workflow": "order", "payload": {"id": i}} for i in range(3)]}
    )
    assert len({one["number"] for one in started}) == 3
    bad = {"executions": [{"workflow": "order", "payload": {"id": 9}}, {"workflow": "order", "payload": {}}]}
    assert (await served.refused("/executions", bad)).status_code == 422
    assert len(await served.get("/executions")) == 3


async def test_events_wake_and_are_told(served: Served) -> None:
    started = await served.post("/workflows/listens/run", {})
    while (await served.get(f"/executions/{started['id']}"))["status"] != "waiting":
        await asyncio.sleep(0.005)
    (published,) = await served.post("/events", {"events": [{"topic": "shop.news", "data": {"n": 1}, "id": "mine"}]})
    assert published["woken"] == [started["number"]]
    (again,) = await served.post("/events", {"events": [{"topic": "shop.news", "data": {"n": 1}, "id": "mine"}]})
    assert (again["created"], again["sequence"]) == (False, published["sequence"])
    ended = await served.get(f"/executions/{started['id']}", wait_seconds=10)
    assert ended["result"] == {"n": 1}
    (event,) = await served.get("/events", topic="shop.*")
    assert event["data"] == {"n": 1}
    life = [event["type"] for event in await served.get("/events", execution=started["id"])]
    assert life[0] == "workflow_start" and life[-1] == "workflow_finish"


async def test_a_stream_goes_on_where_a_reader_was(served: Served) -> None:
    long = 10**30  # more than 64 bits
    await served.post("/events", {"events": [{"topic": "t", "data": n} for n in (0, long, 2)]})
    url = "/api/v1/events/stream"

    async def read(count: int, **headers: str) -> list[tuple[int, Any]]:
        found: list[tuple[int, Any]] = []
        async with served.http.stream("GET", url, params={"topic": "t"}, headers=headers) as answer:
            position = 0
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    position = int(line[4:])
                elif line.startswith("data: "):
                    found.append((position, json.loads(line[6:])["data"]))
                    if len(found) == count:
                        return found
        raise AssertionError("the stream ended")

    first = await read(2, **{"last-event-id": "0"})
    assert [data for _, data in first] == [0, long]
    rest = asyncio.ensure_future(read(2, **{"last-event-id": str(first[-1][0])}))
    while not rest.done():
        await served.post("/events", {"events": [{"topic": "t", "data": 3}]})
        await asyncio.wait({rest}, timeout=0.05)
    assert [data for _, data in rest.result()] == [2, 3]


async def test_cancel_retry_and_their_refusals(served: Served) -> None:
    started = await served.post("/workflows/listens/run", {})
    while (await served.get(f"/executions/{started['id']}"))["status"] != "waiting":
        await asyncio.sleep(0.005)
    await served.post(f"/executions/{started['id']}/cancel")
    assert (await served.get(f"/executions/{started['id']}", wait_seconds=10))["status"] == "cancelled"
    failed = await served.run("fails")
    assert (failed["status"], failed["cause"]) == ("failed", "break")
    assert failed["error"]["message"].endswith("the shelf is empty")
    assert (await served.post(f"/executions/{failed['id']}/retry"))["superseded"] == ["break"]
    done = await served.run("order", {"id": 1})
    assert (await served.refused(f"/executions/{done['id']}/cancel")).status_code == 409
    assert (await served.refused(f"/executions/{done['id']}/retry")).status_code == 409


async def test_a_suspend_is_answered_once(served: Served) -> None:
    approval = await served.asking({"question": "Go on?"})
    path = f"/executions/{approval['execution']}/resume"
    await served.post(path, {"step": "ask/it", "data": {"approved": True}})
    assert (await served.get(f"/executions/{approval['execution']}", wait_seconds=10))["result"] == {"approved": True}
    assert (await served.refused(path, {"step": "ask/it", "data": {}})).status_code == 409


async def test_what_is_declared_is_listed(served: Served) -> None:
    found = {one["id"]: one for one in await served.get("/workflows")}
    assert set(found) == {"order", "asks", "listens", "fails"}
    assert found["order"]["description"] == "Buys something." and "conftest.py" in found["order"]["site"]
    assert found["order"]["input_schema"]["required"] == ["id"]
    assert (await served.get("/workflows/order")) == found["order"]
    made = await served.post(
        "/schedules", {"workflow": "order", "cron": "0 9 * * *", "timezone": "Europe/Berlin", "key": "k"}
    )
    (schedule,) = await served.get("/schedules")
    assert schedule["id"] == made["id"] and schedule["next_at"] is not None and not schedule["is_declared"]
    await served.post(f"/schedules/{made['id']}/pause")
    assert (await served.get(f"/schedules/{made['id']}"))["is_paused"]
    await served.post(f"/schedules/{made['id']}/resume")
    assert (await served.post(f"/schedules/{made['id']}/trigger"))["workflow"] == "order"
    assert (await served.http.delete(f"/api/v1/schedules/{made['id']}")).status_code == 200
    assert await served.get("/schedules") == []
    (worker,) = await served.get("/workers")
    assert worker["project"] == "shop"
    assert await served.get("/queues") == []


async def test_metrics_are_in_the_text_format_of_prometheus(served: Served) -> None:
    await served.run("order", {"id": 1})
    answer = await served.http.get("/api/v1/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'polos_executions{status="completed"} 1' in lines and "polos_workers 1" in lines
    for line in lines:
        assert line.startswith("# ") or (len(line.rpartition(" ")) == 3 and float(line.rpartition(" ")[2]) >= 0)


async def test_the_document_describes_every_route(served: Served) -> None:
    from polos.http.table import TABLE

    document = await served.get("/openapi.json")
    told = {(method.upper(), path) for path, of in document["paths"].items() for method in of}
    assert told == {(route.method, f"/api/v1{route.path}") for route in TABLE}
    assert len({of["operationId"] for path in document["paths"].values() for of in path.values()}) == len(TABLE)
    text = json.dumps(document)
    for reference in {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in document["components"]["schemas"]


async def test_an_answer_fits_its_form_or_is_refused(served: Served) -> None:
    form = {"form": {"properties": {"count": {"type": "integer", "maximum": 10}}, "required": ["count"]}}
    approval = await served.asking(form)
    path = f"/executions/{approval['execution']}/resume"
    for data in ({"approved": "yes"}, {"count": 99}, {"count": "3"}, True):
        refused = await served.refused(path, {"step": "ask/it", "data": data})
        assert refused.status_code == 422 and refused.json()["error"]["code"] == "POLOS103", refused.text
    async with PolosClient(served.url, token=TOKEN) as client:
        with pytest.raises(InvalidInput, match="at most 10"):
            await client.resume(approval["execution"], "ask/it", {"count": 11})
    assert (await served.post(path, {"step": "ask/it", "data": {"count": 3}})) == {"ok": True}


async def test_a_batch_names_the_item_that_is_wrong(served: Served) -> None:
    items = [{"workflow": "order", "payload": {"id": 1}}, {"workflow": "order", "payload": {"id": "x"}}]
    refused = await served.refused("/executions", {"executions": items})
    assert refused.status_code == 422 and refused.json()["error"]["message"].startswith("executions[1]: ")
