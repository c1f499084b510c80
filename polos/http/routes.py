"""What a route is: method, path, models, handler. Names no route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from polos.api.values import Taken
from polos.client.client import Client
from polos.client.inside import LoopAccess
from polos.clock import Clock
from polos.http.links import Links
from polos.ports import Store

B = TypeVar("B", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)
PREFIX = "/api/v1"


class NoQuery(Taken):
    """A request without parameters."""


class NoBody(BaseModel):
    """A request without a body."""


class EngineClient(Client):
    """The client beside the engine's own store."""

    def __init__(self, access: LoopAccess) -> None:
        self._loop_access = access

    def _access(self) -> LoopAccess:
        return self._loop_access

    def _known(self, workflow_id: str) -> None:
        return None  # the engine imports no user code; a worker is asked (S9)


@dataclass(frozen=True, slots=True)
class Engine:
    """What handlers work on."""

    store: Store
    client: Client
    links: Links
    clock: Clock


@dataclass(frozen=True, slots=True)
class Call(Generic[B, Q]):
    """One request, as it was understood. `path`: the names in the path."""

    engine: Engine
    path: Mapping[str, str]
    body: B
    query: Q


Handler = Callable[[Call[Any, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of the API. `gives`: the model of its answer; None: the handler makes the response itself."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    name: str
    summary: str
    handler: Handler
    body: type[BaseModel] = NoBody
    query: type[BaseModel] = NoQuery
    gives: Any = None
    status: int = 200
    is_open: bool = False
    media: str = "application/json"
    refuses: tuple[int, ...] = field(default=())
