"""The OpenAPI 3.1 document of the table of routes, made from its rows and their shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from celeriac import __version__
from celeriac.sidecar.contract import Role, Route
from celeriac.sidecar.problems import CONTENT_TYPE, Problem

JSON = "application/json"
_REFERENCE = "#/components/schemas/{name}"
_PLACEHOLDER = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>")
_DESCRIPTION = (
    "Errors are problem+json. Roles: viewer < operator < admin; each may do what those before may."
)


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document, ready to be encoded as JSON."""
    shapes = {shape for route in routes for shape in (route.answer, route.body) if shape}
    kinds = [Problem, *sorted(shapes, key=str)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    by_shape = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PLACEHOLDER.sub(r"{\1}", route.base + route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, by_shape)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Celeriac sidecar",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _operation(route: Route, by_shape: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": _responses(route, by_shape),
        "security": [{"bearer": []}] if route.role else [],
    }
    if route.role:
        operation["description"] = f"Role: {route.role.name.lower()}."
    if route.body:
        content = {JSON: {"schema": by_shape[route.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"[a-z]+", _PLACEHOLDER.sub(r"by_\1", route.path))
    return "_".join([route.method.lower(), *words])


def _path_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name in _PLACEHOLDER.findall(route.path):
        schema = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name, text in route.query.items():
        yield {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}


def _responses(route: Route, by_shape: dict[Any, Any]) -> dict[str, Any]:
    problem = {CONTENT_TYPE: {"schema": by_shape[Problem]}}
    contents = dict.fromkeys(problems(route), problem)
    answer = {kind: _content(kind, route, by_shape) for kind in route.content_types}
    contents |= dict.fromkeys((route.status, *route.also_with_answer), answer)
    return {str(status): _response(status, contents[status]) for status in sorted(contents)}


def _response(status: int, content: dict[str, Any]) -> dict[str, Any]:
    description = HTTPStatus(status).phrase
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        return {"description": description}
    return {"description": description, "content": content}


def _content(kind: str, route: Route, by_shape: dict[Any, Any]) -> dict[str, Any]:
    if kind == JSON and route.answer:
        return {"schema": by_shape[route.answer]}
    return {} if kind == JSON else {"schema": {"type": "string"}}


def problems(route: Route) -> set[int]:
    """Return every status of an error that the route may answer with."""
    found = set(route.problems)
    if route.role is not Role.NONE:
        found |= {401, 403, 429}
    if route.body:
        found |= {400, 413, 415}
    if route.query or "<" in route.path:
        found |= {400, 404}
    return found
