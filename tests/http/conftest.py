"""An engine with its API on a loopback port, and a client of it, on one loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from polos import Workflow, WorkflowContext
from polos.authoring.registry import Registry
from polos.clock import SystemClock
from polos.core.model import Kind
from polos.http.hosting import HostedApi
from polos.http.ports import bind
from polos.local.host import Host
from tests.conformance import looping

runner = looping.runner
pytest_pyfunc_call = looping.call
TOKEN = "a token of these tests"


def _workflow(fn: Any) -> Workflow:
    """A workflow that stays out of this process's registry, so that no other test meets it."""
    return Workflow(fn, id=None, description=None, run_timeout_seconds=None)


class Order(BaseModel):
    id: int
    note: str = ""


@_workflow
async def order(ctx: WorkflowContext, order: Order) -> dict[str, Any]:
    """Buys something."""
    ctx.logger.warning("ordering")
    await ctx.step.run("charge", lambda: order.id)
    return {"order": order.id, "note": order.note}


@_workflow
async def asks(ctx: WorkflowContext, form: dict[str, Any]) -> Any:
    answer = await ctx.step.suspend("ask/it", form)
    return answer.data


@_workflow
async def listens(ctx: WorkflowContext) -> Any:
    return (await ctx.step.wait_for_event("news", topic="shop.news")).data


@_workflow
async def fails(ctx: WorkflowContext) -> None:
    await ctx.step.run("break", _breaks, max_retries=0)


def _breaks() -> None:
    raise LookupError("the shelf is empty")


@dataclass
class Served:
    """The engine, its API, and ways to ask it."""

    url: str
    http: httpx.AsyncClient
    host: Host
    api: HostedApi

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.http.get(f"/api/v1{path}", params=query)
        assert answer.is_success, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, **query: Any) -> Any:
        answer = await self.refused(path, body, **query)
        assert answer.is_success, answer.text
        return answer.json()

    async def refused(self, path: str, body: Any = None, **query: Any) -> httpx.Response:
        return await self.http.post(f"/api/v1{path}", json=body, params=query)

    async def run(self, workflow: str, payload: Any = None, **options: Any) -> dict[str, Any]:
        """Starts one, and returns its end."""
        return await self.post(f"/workflows/{workflow}/run", {"payload": payload, **options}, wait_seconds=20)

    async def asking(self, form: Any) -> dict[str, Any]:
        """Starts one that asks a person, and returns its approval."""
        started = await self.post("/workflows/asks/run", {"payload": form})
        store = self.host.store
        assert store is not None
        while not any(wait.kind is Kind.SUSPEND for wait in await store.waits(started["id"])):
            await asyncio.sleep(0.005)
        (approval,) = await self.get(f"/executions/{started['id']}/approvals")
        return {**approval, "execution": started["id"], "number": started["number"]}


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Served]:
    """An engine that works, and its API."""
    registry = Registry([order, asks, listens, fails])
    host = Host(
        f"sqlite:///{folder}/polos.db", registry, durability="relaxed", project="shop", complete=True, echo=False
    )
    await host.start()
    await host.begin()
    assert host.store is not None and host.store.owner is not None
    api = HostedApi(host.store.owner.store, SystemClock(), bind(0, True), folder, TOKEN)
    await api.start()
    http = httpx.AsyncClient(
        base_url=api.url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30, trust_env=False
    )
    try:
        yield Served(api.url, http, host, api)
    finally:
        await http.aclose()
        await api.close()
        await host.stop(0)


@pytest.fixture
def served(runner: asyncio.Runner, tmp_path: Path) -> Iterator[Served]:
    context = serving(tmp_path)
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))
