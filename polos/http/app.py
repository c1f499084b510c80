"""The application: routes behind the gate, over an engine's store. Binds no socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Mounted

from polos import errors
from polos.client.inside import LoopAccess
from polos.clock import Clock
from polos.errors import InvalidInput, PolosError
from polos.http.approvals import approval_routes
from polos.http.gate import BODY_LIMIT, Gate, TooLarge
from polos.http.links import Links
from polos.http.routes import PREFIX, Call, Engine, EngineClient, NoBody, NoQuery, Route
from polos.http.routes_engine import front
from polos.http.table import TABLE
from polos.ports import Store

log = logging.getLogger(__name__)

STATUSES = {
    errors.UsageError: 400,
    errors.UnknownWorkflow: 404,
    errors.UnknownExecution: 404,
    errors.UnknownSchedule: 404,
    errors.IdempotencyConflict: 409,
    errors.AlreadyResumed: 409,
    errors.ExecutionEnded: 409,
    errors.PayloadTooLarge: 413,
    errors.InvalidInput: 422,
    errors.EngineError: 503,
    errors.WorkflowError: 500,
}


def build(store: Store, clock: Clock, *, token: str, links: Links, public_url: str | None = None) -> Gate:
    """Returns the application, for the running loop."""
    engine = Engine(store, EngineClient(LoopAccess(store, asyncio.get_running_loop())), links, clock)
    by_path: dict[str, list[Route]] = {}
    for route in TABLE:
        by_path.setdefault(PREFIX + route.path, []).append(route)
    mounted: list[BaseRoute] = [_mounted(path, routes, engine) for path, routes in by_path.items()]
    page = Route(method="GET", path="/", name="front", summary="", handler=front)
    mounted.append(Mounted("/", _endpoint(page, engine), methods=["GET"]))
    mounted += approval_routes(engine)
    app = Starlette(
        routes=mounted,
        exception_handlers={
            HTTPException: _not_served,
            TooLarge: _too_large,
            ClientDisconnect: _left,
            Exception: _broke,
        },
    )
    app.router.redirect_slashes = False
    is_open = frozenset(PREFIX + route.path for route in TABLE if route.is_open)
    return Gate(
        app, token=token, public_url=public_url,
        is_open=lambda path: path in is_open or path == "/" or path.startswith("/approve/"),
    )  # fmt: skip


def _mounted(path: str, routes: Sequence[Route], engine: Engine) -> BaseRoute:
    """Returns all methods of one path as one route: whoever asks for another is told of all of them."""
    endpoints: dict[str, Any] = {route.method: _endpoint(route, engine) for route in routes}

    async def endpoint(request: Request) -> Response:
        said: Response = await endpoints[request.method](request)
        return said

    mounted = Mounted(path, endpoint, methods=list(endpoints))
    mounted.methods = set(endpoints)  # starlette adds HEAD to GET, and a stream has no end to come to
    return mounted


def _endpoint(route: Route, engine: Engine) -> Any:
    gives = None if route.gives is None else TypeAdapter(route.gives)

    async def endpoint(request: Request) -> Response:
        try:
            call = Call(engine, request.path_params, await _body(route, request), _query(route, request))
            said = await route.handler(call)
        except ValidationError as error:
            return refusal(_misfit(error, route))
        except PolosError as error:
            return refusal(error)
        except UnicodeEncodeError:
            return refusal(errors.UsageError("a lone surrogate is no text", hint="send well-formed UTF-8"))
        if isinstance(said, Response):
            return said
        assert gives is not None
        return Response(gives.dump_json(said), status_code=route.status, media_type="application/json")

    return endpoint


async def _body(route: Route, request: Request) -> Any:
    if route.body is NoBody:
        return NoBody()
    raw = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "the body is application/json")
    return route.body.model_validate_json(raw or b"{}")


def _query(route: Route, request: Request) -> Any:
    given: dict[str, Any] = dict(request.query_params)
    if len(given) != len(request.query_params.multi_items()):
        raise errors.UsageError("a parameter is given twice", hint="give each once")
    if "after" in route.query.model_fields and "after" not in given:
        last = request.headers.get("last-event-id", "")
        if route.media == "text/event-stream" and last.isdecimal() and len(last) < 19:
            given["after"] = last
    if route.query is NoQuery and given:
        raise errors.UsageError(f"there is no parameter {next(iter(given))!r}", hint="leave it out")
    return route.query.model_validate(given)


def _misfit(error: ValidationError, route: Route) -> PolosError:
    found = tuple((".".join(str(part) for part in one["loc"]) or "body", one["msg"]) for one in error.errors())
    what = "; ".join(f"{path}: {message}" for path, message in found[:5])
    return errors.UsageError(
        f"the request does not fit: {what}", hint=f"{route.summary}: see /api/v1/openapi.json", errors=found
    )


def status_of(error: PolosError) -> int:
    """Returns the status of an error: its own class's, else the nearest base's."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def refusal(error: PolosError) -> Response:
    """Returns the answer that says an error."""
    problem: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "errors": [],
        "facts": {},
    }
    if isinstance(error, InvalidInput) or hasattr(error, "errors"):
        problem["errors"] = [list(one) for one in error.errors]
    body = orjson.dumps({"error": problem})
    return Response(body, status_code=status_of(error), media_type="application/json")


async def _not_served(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    words = {404: "there is nothing here", 405: "this cannot be done here"}
    said = words.get(status) or str(getattr(error, "detail", error))
    body = orjson.dumps(
        {"error": {"code": "POLOS100", "message": said, "hint": "see /api/v1/openapi.json", "errors": [], "facts": {}}}
    )
    return Response(body, status_code=status, media_type="application/json", headers=getattr(error, "headers", None))


async def _too_large(request: Request, error: Exception) -> Response:
    return refusal(errors.PayloadTooLarge(f"a body may have {BODY_LIMIT:,} bytes", hint="send less"))


async def _left(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # whoever asked has gone before all was said: nobody reads this


async def _broke(request: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    body = orjson.dumps(
        {
            "error": {
                "code": "POLOS000",
                "message": f"{type(error).__name__}",
                "hint": "this is a bug in polos",
                "errors": [],
                "facts": {},
            }
        }
    )
    return Response(body, status_code=500, media_type="application/json")
