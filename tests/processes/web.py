"""A web application with polos behind it, as users write one: ``uvicorn tests.processes.web:app``."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from polos import PolosClient
from tests.processes.flows import held

client = PolosClient(os.environ["WEB_DATABASE"])


async def order(request: Request) -> JSONResponse:
    gate = (await request.json())["gate"]
    handle = await held.invoke(client, gate)
    return JSONResponse({"id": handle.id, "result": await client.result(handle)})


app = Starlette(routes=[Route("/orders", order, methods=["POST"])])
