"""The OpenAPI document (3.1), made of the routes and their models. Knows no route by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter

from polos import __version__
from polos.api.values import ErrorOut
from polos.http.routes import PREFIX, NoBody, Route

_REFERENCE = "#/components/schemas/{model}"
_REFUSALS = {
    400: "The request cannot be understood, or asks for what cannot be",
    401: "A token is needed",
    403: "A request of another origin",
    404: "There is none of that name",
    409: "It has ended, has its answer, or the key was used with another payload",
    413: "The body, or a value, is too large",
    415: "The body is no JSON",
    421: "Another host is asked for",
    422: "The payload does not fit the workflow",
    503: "The database cannot be used",
}
_ALWAYS = (400, 401, 403, 421, 503)


def document_of(routes: Sequence[Route]) -> dict[str, Any]:
    """Returns the document."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    error = _schema(ErrorOut, schemas, "serialization")
    for route in routes:
        operation: dict[str, Any] = {
            "operationId": route.name, "summary": route.summary,
            "parameters": [*_path_parameters(route), *_query_parameters(route, schemas)],
            "responses": {str(route.status): _answer(route, schemas)},
        }  # fmt: skip
        if route.is_open:
            operation["security"] = []
        refusals = set(_ALWAYS) | set(route.refuses)
        if route.body is not NoBody:
            operation["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": _schema(route.body, schemas, "validation")}},
            }
            refusals |= {413, 415}
        if "{schedule}" in route.path:
            refusals.add(404)
        if route.is_open:
            refusals.discard(401)
        for status in sorted(refusals):
            operation["responses"][str(status)] = {
                "description": _REFUSALS[status], "content": {"application/json": {"schema": error}},
            }  # fmt: skip
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "polos",
            "version": __version__,
            "description": "Durable workflows: start, follow, answer, stop.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _schema(kind: Any, schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    schema = TypeAdapter(kind).json_schema(ref_template=_REFERENCE, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        schemas[kind.__name__] = schema
        return {"$ref": _REFERENCE.format(model=kind.__name__)}
    return schema


def _answer(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "string"} if route.media != "application/json" else {"type": "object"}
    if route.gives is not None:
        schema = _schema(route.gives, schemas, "serialization")
    return {"description": route.summary, "content": {route.media: {"schema": schema}}}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    schema = route.query.model_json_schema(ref_template=_REFERENCE)
    schemas.update(schema.get("$defs", {}))
    found = []
    for name, field in schema.get("properties", {}).items():
        shown = {key: value for key, value in field.items() if key not in ("title", "description")}
        if "anyOf" in shown:  # a parameter that is left out is not "null"
            options = [one for one in shown.pop("anyOf") if one != {"type": "null"}]
            shown = {**shown, **(options[0] if len(options) == 1 else {"anyOf": options})}
        if shown.get("default", 0) is None:
            del shown["default"]
        parameter = {"name": name, "in": "query", "required": False, "schema": shown}
        if "description" in field:
            parameter["description"] = field["description"]
        found.append(parameter)
    return found
