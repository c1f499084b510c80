"""All routes of the API. Handles none."""

from __future__ import annotations

from polos.http import routes_declared, routes_engine, routes_events, routes_executions
from polos.http.routes import Route

TABLE: tuple[Route, ...] = (
    *routes_executions.ROUTES,
    *routes_events.ROUTES,
    *routes_declared.ROUTES,
    *routes_engine.ROUTES,
)
