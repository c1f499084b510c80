"""Requests made of the OpenAPI document (schemathesis): no answer breaks what the document says, and none is a 500."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from polos.http.openapi import document_of
from polos.http.table import TABLE
from tests.http.conftest import TOKEN, serving

schemathesis: Any = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install -e '.[dev]'")
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance  # noqa: E402  # after the skip

document = document_of(tuple(route for route in TABLE if route.media != "text/event-stream"))
schema = schemathesis.openapi.from_dict(document)


EXCLUDED = [
    ignored_auth,  # the token is given with each request here; test_gate.py goes without
    positive_data_acceptance,  # what the types allow may still be what cannot be (an impossible cron expression): a 400
    negative_data_rejection,  # "2" for a number in a query is that number
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An engine and its API on a thread of their own."""
    found: list[str] = []
    ready, stop = threading.Event(), threading.Event()

    async def serve(folder: Path) -> None:
        async with serving(folder) as served:
            await served.run("order", {"id": 1})
            found.append(served.url)
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(serve(tmp_path_factory.mktemp("api"))))
    thread.start()
    assert ready.wait(30)
    yield found[0]
    stop.set()
    thread.join(30)


@schema.parametrize()
@settings(max_examples=20, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_the_api_keeps_to_its_document(case: Any, url: str) -> None:
    answer = case.call(base_url=url, headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code != 500, answer.text
    case.validate_response(answer, excluded_checks=EXCLUDED)
