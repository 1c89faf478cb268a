"""The table of routes against the contract: every row, every role."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields, replace
from pathlib import Path

import msgspec
import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from celeriac.settings import BrokerSettings
from celeriac.sidecar import Frame, create_app
from celeriac.sidecar.auth import Gate, SharedSecret, TokenRules
from celeriac.sidecar.composition import Sidecar
from celeriac.sidecar.contract import Call, Role, Route
from celeriac.sidecar.limits import RateLimit
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.openapi import document, problems
from celeriac.sidecar_settings import SidecarSettings, TokenSettings
from tokens import SECRET, bearer

SETTINGS = SidecarSettings(
    BrokerSettings("redis://127.0.0.1:9/0"), TokenSettings(SECRET), "sqlite:////nowhere/x.db"
)
ROUTES = Sidecar(SETTINGS).routes
BY_NAME = {f"{route.method} {route.base}{route.path}": route for route in ROUTES}
BASE = "/celery-admin"
CONTRACT = {
    f"GET {BASE}/system/health": Role.NONE,
    f"GET {BASE}/system/info": Role.NONE,
    f"GET {BASE}/system/status": Role.ADMIN,
    f"GET {BASE}/monitoring/metrics/realtime": Role.VIEWER,
    f"GET {BASE}/monitoring/dashboard": Role.VIEWER,
    f"POST {BASE}/monitoring/start": Role.OPERATOR,
    f"POST {BASE}/monitoring/stop": Role.OPERATOR,
    f"GET {BASE}/monitoring/status": Role.VIEWER,
    f"GET {BASE}/monitoring/ws": Role.VIEWER,
    f"POST {BASE}/monitoring/ws-ticket": Role.VIEWER,
    f"POST {BASE}/monitoring/reports/performance": Role.VIEWER,
    f"GET {BASE}/monitoring/reports": Role.VIEWER,
    f"GET {BASE}/monitoring/reports/<report_id>": Role.VIEWER,
    f"POST {BASE}/tasks/batch": Role.OPERATOR,
    f"GET {BASE}/tasks/<task_id>": Role.VIEWER,
    f"POST {BASE}/workers/<worker>/control": Role.ADMIN,
    f"DELETE {BASE}/queues/<queue>/messages": Role.ADMIN,
    f"GET {BASE}/audit": Role.ADMIN,
    f"POST {BASE}/alerts": Role.NONE,
    f"GET {BASE}/alerts": Role.VIEWER,
    f"GET {BASE}/openapi.json": Role.NONE,
    "GET /metrics": Role.NONE,
    "GET /livez": Role.NONE,
    "GET /readyz": Role.NONE,
}
every_route = pytest.mark.parametrize("route", ROUTES, ids=BY_NAME)


class Called(msgspec.Struct):
    role: int


def called(call: Call) -> Called:
    return Called(call.caller.role)


@pytest.fixture(scope="module")
def app() -> FlaskClient:
    """The real table with handlers that only say that they were called."""
    gate = Gate(SharedSecret(SECRET), TokenRules())
    frame = Frame(gate, SidecarMetrics(), RateLimit("100000/second"), 1000)
    rows = [replace(row, handler=called, status=200, asks_itself=False) for row in ROUTES]
    return create_app(rows, frame).test_client()


def plain(name: str) -> str:
    """Return the name of a row whose placeholders may match slashes as well."""
    return re.sub(r"<[a-z]+:", "<", name)


def test_the_table_is_the_contract() -> None:
    assert {plain(name): route.role for name, route in BY_NAME.items()} == CONTRACT


@every_route
@pytest.mark.parametrize("role", Role)
def test_who_may_may_and_nobody_else(app: FlaskClient, route: Route, role: Role) -> None:
    path = re.sub(r"<[^>]+>", "some", route.base + route.path)
    headers = {} if role is Role.NONE else bearer(role.name.lower())
    answer = app.open(path, method=route.method, headers=headers)
    if role >= route.role:
        assert answer.status_code == 200
        assert answer.get_json() == {"role": role if route.role else Role.NONE}
    else:
        assert answer.status_code == (401 if role is Role.NONE else 403)
        assert answer.content_type == "application/problem+json"


@every_route
@pytest.mark.parametrize("role", ["nobody", "Admin", "ADMIN", "admin "])
def test_no_other_role_may(app: FlaskClient, route: Route, role: str) -> None:
    path = re.sub(r"<[^>]+>", "some", route.base + route.path)
    answer = app.open(path, method=route.method, headers=bearer(role))
    assert answer.status_code == (403 if route.role else 200)


def test_a_row_cannot_leave_its_role_out() -> None:
    (role,) = [field for field in fields(Route) if field.name == "role"]
    assert (role.default, role.default_factory) == (MISSING, MISSING)


def test_only_two_find_out_by_themselves_who_calls() -> None:
    """The webhook has a token of its own; the WebSocket takes tokens in other places too."""
    asking = {name for name, route in BY_NAME.items() if route.asks_itself}
    assert asking == {f"POST {BASE}/alerts", f"GET {BASE}/monitoring/ws"}


def test_what_is_open_to_everybody_is_named_here() -> None:
    free = {name for name, route in BY_NAME.items() if not route.role and not route.asks_itself}
    assert free == {
        *(f"GET {BASE}/{path}" for path in ("system/health", "system/info", "openapi.json")),
        *(f"GET /{path}" for path in ("metrics", "livez", "readyz")),
    }


@every_route
def test_a_body_has_no_field_that_nobody_knows(route: Route) -> None:
    if route.body is not None and route.path != "/alerts":
        assert route.body.__struct_config__.forbid_unknown_fields


@every_route
def test_what_changes_something_is_no_get(route: Route) -> None:
    assert (route.method == "GET") or (route.role >= Role.VIEWER) or route.asks_itself


@every_route
def test_the_document_has_the_row(route: Route) -> None:
    path = re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", route.base + route.path)
    operation = document(ROUTES)["paths"][path][route.method.lower()]
    assert operation["summary"] == route.summary
    assert bool(operation["security"]) is bool(route.role)
    assert set(operation["responses"]) >= {str(route.status), *map(str, problems(route))}
    assert ("requestBody" in operation) is (route.body is not None)


def test_the_document_is_openapi() -> None:
    validate(document(ROUTES))


def test_the_document_names_each_operation_once() -> None:
    paths = document(ROUTES)["paths"].values()
    names = [operation["operationId"] for path in paths for operation in path.values()]
    assert len(names) == len(set(names)) == len(ROUTES)


def test_the_manual_has_every_route() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "sidecar.md").read_text(encoding="utf-8")
    missing = [name for name in CONTRACT if f"`{name.replace(BASE, '')}`" not in manual]
    assert missing == []
