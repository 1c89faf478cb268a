"""The sidecar: act, report, stream, remember. A client of the exporter, Prometheus and Celery."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from celeriac.errors import BrokerError
from celeriac.sidecar.auth import Gate
from celeriac.sidecar.contract import Call, Caller, Role, Route
from celeriac.sidecar.limits import RateLimit
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.problems import LoginRefusedError, ProblemError

logger = logging.getLogger(__name__)

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
NO_ROUTE = "none"


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every route."""

    gate: Gate
    metrics: SidecarMetrics
    rate_limit: RateLimit
    max_body_bytes: int
    trusted_proxies: int = 0


def create_app(routes: Sequence[Route], frame: Frame) -> Flask:
    """Return the application that serves *routes*."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = frame.max_body_bytes
    # A redirect would be an answer that no row of the table has.
    app.url_map.merge_slashes = False
    for route in routes:
        _add(app, route, _view(route, frame))
    app.register_error_handler(ProblemError, ProblemError.response)
    app.register_error_handler(HTTPException, _refuse)
    app.register_error_handler(BrokerError, _broker_away)
    app.register_error_handler(Exception, _fail)
    app.after_request(_finish(frame.metrics))
    if frame.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=frame.trusted_proxies)  # type: ignore[method-assign]
    return app


def _add(app: Flask, route: Route, view: Callable[..., Response]) -> None:
    """Add one row; that of a WebSocket also without an upgrade, to say what is missing."""
    for is_websocket in (False, True)[: 1 + (route.status == HTTPStatus.SWITCHING_PROTOCOLS)]:
        app.add_url_rule(
            route.base + route.path,
            f"{route.method} {route.path}",
            view,
            methods=[route.method],
            provide_automatic_options=False,
            websocket=is_websocket,
        )


def _view(route: Route, frame: Frame) -> Callable[..., Response]:
    def view(**parameters: str) -> Response:
        call = Call(request, _admit(route, frame), parameters)
        answer = route.handler(call)
        if isinstance(answer, Response):
            return answer
        body = msgspec.json.encode(answer)
        return Response(body, route.status, content_type="application/json")

    return view


def _admit(route: Route, frame: Frame) -> Caller:
    """Return who calls. Errors: ProblemError 401, 403, 429."""
    address = request.remote_addr or ""
    anonymous = Caller("", Role.NONE, address)
    if route.role is Role.NONE or route.asks_itself:
        return anonymous
    try:
        caller = frame.gate.bearer(request.headers.get("Authorization"), address)
    except LoginRefusedError as error:
        frame.metrics.refused_login(error.reason)
        frame.rate_limit.hit(f"address {address}")
        raise
    frame.rate_limit.hit(f"subject {caller.subject}")
    require(caller, route.role)
    return caller


def require(caller: Caller, role: Role) -> None:
    """Check that *caller* may do what *role* may. Errors: ProblemError 403."""
    if caller.role < role:
        raise ProblemError(403, f"this needs the role {role.name.lower()}")


def _refuse(error: HTTPException) -> Response:
    """Answer what Flask itself refuses: 404, 405, 413."""
    status = HTTPStatus(error.code or 500)
    headers = {name: text for name, text in error.get_headers() if name == "Allow"}
    return ProblemError(status, status.description or status.phrase, headers).response()


def _broker_away(error: BrokerError) -> Response:
    logger.warning("%s %s: %s", request.method, _route_name(), error)
    return ProblemError(503, "the broker cannot be reached, or refuses").response()


def _fail(error: Exception) -> Response:
    route = _route_name()
    logger.error("%s %s failed; please report it", request.method, route, exc_info=error)
    return ProblemError(500, "the sidecar failed; its log says why").response()


def _route_name() -> str:
    return request.url_rule.rule if request.url_rule else NO_ROUTE


def _finish(metrics: SidecarMetrics) -> Callable[[Response], Response]:
    def finish(response: Response) -> Response:
        metrics.request(_route_name(), response.status_code)
        for name, text in HEADERS.items():
            response.headers.setdefault(name, text)
        return response

    return finish
