"""Every error is a problem: one shape, never the text of an exception."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pytest
from flask import Response
from flask.testing import FlaskClient
from msgspec import Meta
from werkzeug.test import TestResponse

from celeriac.errors import BrokerUnavailableError
from celeriac.sidecar import Frame, create_app
from celeriac.sidecar.auth import Gate, SharedSecret, TokenRules
from celeriac.sidecar.contract import BASE_PATH, Call, Role, Route, read_body
from celeriac.sidecar.limits import RateLimit
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.problems import ProblemError
from tokens import SECRET, bearer

CANARY = "canary5ecret"
JSON = {"Content-Type": "application/json"}


class Body(msgspec.Struct, forbid_unknown_fields=True):
    number: Annotated[int, Meta(ge=0)]
    words: list[str] = []


class Answer(msgspec.Struct):
    caller: str
    number: int | None = None


def echo(call: Call) -> Answer:
    return Answer(call.caller.subject, read_body(call, Body).number)


def fail(_: Call) -> Answer:
    raise RuntimeError(CANARY)


def lose_the_broker(_: Call) -> Answer:
    raise BrokerUnavailableError("redis://host: no connection")


def conflict(_: Call) -> Answer:
    raise ProblemError(409, "there is another")


def whoever(call: Call) -> Answer | Response:
    return Answer(f"{call.caller.address} {call.parameters.get('name')}")


ROUTES = (
    Route("POST", "/echo", Role.VIEWER, echo, "", Answer, Body),
    Route("GET", "/fails", Role.NONE, fail, ""),
    Route("GET", "/broker", Role.NONE, lose_the_broker, ""),
    Route("GET", "/conflict", Role.NONE, conflict, ""),
    Route("GET", "/who/<name>", Role.NONE, whoever, "", Answer),
    Route("GET", "/mine", Role.VIEWER, whoever, "", Answer),
)


def client(metrics: SidecarMetrics | None = None, rate: str = "100/day", proxies: int = 0) -> Any:
    gate = Gate(SharedSecret(SECRET), TokenRules())
    frame = Frame(gate, metrics or SidecarMetrics(), RateLimit(rate), 1000, proxies)
    return create_app(ROUTES, frame).test_client()


@pytest.fixture
def app() -> Iterator[FlaskClient]:
    with client() as opened:
        yield opened


def post(app: FlaskClient, data: Any, **headers: str) -> TestResponse:
    all_headers = JSON | bearer() | {name.replace("_", "-"): v for name, v in headers.items()}
    return app.post(f"{BASE_PATH}/echo", data=data, headers=all_headers)


def assert_problem(answer: TestResponse, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = answer.get_json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert (body["type"], body["status"]) == ("about:blank", status)
    return body


def test_a_good_body_is_read(app: FlaskClient) -> None:
    answer = post(app, b'{"number": 5}')
    assert (answer.status_code, answer.get_json()) == (200, {"caller": "somebody", "number": 5})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"5",
        b"{",
        b"\xff\xfe",
        b'{"number": "5"}',
        b'{"number": 5.0}',
        b'{"number": true}',
        b'{"number": -1}',
        b'{"number": 1, "more": 1}',
        b'{"number": 1, "words": [5]}',
        b'{"number": 1, "words": ["\\ud800"]}',
        b"[" * 999,
    ],
    ids=str,
)
def test_70_a_bad_body_is_refused(app: FlaskClient, body: bytes) -> None:
    assert_problem(post(app, body), 400)


def test_an_empty_body_needs_no_type_to_be_refused(app: FlaskClient) -> None:
    assert_problem(app.post(f"{BASE_PATH}/echo", headers=bearer()), 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_82_another_content_type_is_refused(app: FlaskClient, kind: str) -> None:
    assert_problem(post(app, b'{"number": 5}', Content_Type=kind), 415)


def test_85_a_packed_body_is_refused(app: FlaskClient) -> None:
    assert_problem(post(app, b'{"number": 5}', Content_Encoding="gzip"), 415)


def test_83_a_large_body_is_refused(app: FlaskClient) -> None:
    assert_problem(post(app, b'{"number": 5}' + b" " * 1000), 413)


def test_a_field_nobody_knows_is_named_shortly(app: FlaskClient) -> None:
    name = "x" * 900
    detail = assert_problem(post(app, f'{{"{name}": 1}}'.encode()), 400)["detail"]
    assert "xxx" in detail
    assert len(detail) <= 300


def test_a_path_nobody_knows_is_404(app: FlaskClient) -> None:
    assert_problem(app.get("/elsewhere"), 404)
    assert_problem(app.get(f"{BASE_PATH}//mine"), 404)
    assert_problem(app.get(f"{BASE_PATH}/mine/"), 404)


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE", "PUT", "TRACE", "NONSENSE"])
def test_a_method_nobody_knows_is_405(app: FlaskClient, method: str) -> None:
    answer = app.open(f"{BASE_PATH}/mine", method=method)
    assert_problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


def test_what_the_handler_refuses_is_said(app: FlaskClient) -> None:
    assert assert_problem(app.get(f"{BASE_PATH}/conflict"), 409)["detail"] == "there is another"


def test_a_broker_that_is_away_is_503(app: FlaskClient) -> None:
    assert "redis" not in str(assert_problem(app.get(f"{BASE_PATH}/broker"), 503))


def test_a_fault_of_ours_is_500_without_its_text(
    app: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = app.get(f"{BASE_PATH}/fails?ticket=shown")
    assert CANARY not in str(assert_problem(answer, 500))
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert "GET /celery-admin/fails" in record.getMessage()
    assert "shown" not in record.getMessage()


def test_no_answer_is_kept_by_a_cache(app: FlaskClient) -> None:
    for path in ("who/me", "fails", "conflict"):
        assert app.get(f"{BASE_PATH}/{path}").headers["Cache-Control"] == "no-store"


# -- who may, and how often --------------------------------------------------------------------


def test_a_call_without_token_is_401(app: FlaskClient) -> None:
    answer = app.get(f"{BASE_PATH}/mine")
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_refused_login_is_counted_by_its_reason() -> None:
    metrics = SidecarMetrics()
    with client(metrics) as app:
        app.get(f"{BASE_PATH}/mine")
        app.get(f"{BASE_PATH}/mine", headers=bearer("nobody"))
    page = metrics.page("")[0].decode()
    assert 'celeriac_sidecar_logins_refused_total{reason="missing"} 1.0' in page
    assert 'celeriac_sidecar_logins_refused_total{reason="role"} 1.0' in page


def test_answers_are_counted_by_the_route_of_the_table() -> None:
    metrics = SidecarMetrics()
    with client(metrics) as app:
        app.get(f"{BASE_PATH}/who/{CANARY}")
        app.get(f"/{CANARY}")
    page = metrics.page("")[0].decode()
    assert 'requests_total{code="200",route="/celery-admin/who/<name>"} 1.0' in page
    assert 'requests_total{code="404",route="none"} 1.0' in page
    assert CANARY not in page


def test_more_calls_than_allowed_are_429() -> None:
    with client(rate="2/hour") as app:
        answers = [app.get(f"{BASE_PATH}/mine", headers=bearer()) for _ in range(3)]
        other = app.get(f"{BASE_PATH}/mine", headers=bearer(sub="another"))
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert_problem(answers[-1], 429)
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 3600
    assert other.status_code == 200


def test_more_bad_tokens_than_allowed_are_429() -> None:
    with client(rate="2/hour") as app:
        codes = [app.get(f"{BASE_PATH}/mine").status_code for _ in range(3)]
        good = app.get(f"{BASE_PATH}/mine", headers=bearer())
    assert codes == [401, 401, 429]
    assert good.status_code == 200


@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "192.0.2.7")])
def test_a_proxy_tells_the_address_only_if_it_is_trusted(proxies: int, address: str) -> None:
    forwarded = {"X-Forwarded-For": "198.51.100.1, 192.0.2.7"}
    with client(proxies=proxies) as app:
        answer = app.get(f"{BASE_PATH}/who/me", headers=forwarded).get_json()
    assert answer["caller"] == f"{address} me"
