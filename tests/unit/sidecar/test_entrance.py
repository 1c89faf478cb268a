"""Who may open a stream: three ways to say who one is, and web pages of other origins."""

from __future__ import annotations

import time

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from celeriac.sidecar.auth import Gate, SharedSecret, TokenRules
from celeriac.sidecar.contract import Call, Caller, Role
from celeriac.sidecar.entrance import (
    MAX_TICKETS,
    PROTOCOL,
    TICKET_SECONDS,
    Entrance,
    EntranceRules,
    Tickets,
)
from celeriac.sidecar.limits import RateLimit
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.problems import LoginRefusedError, ProblemError
from tokens import SECRET, token

SOMEBODY = Caller("somebody", Role.OPERATOR, "192.0.2.1", 2e9)


def entrance(*origins: str, requires_token: bool = True, rate: str = "1000/second") -> Entrance:
    rules = EntranceRules(frozenset(origins), requires_token)
    gate = Gate(SharedSecret(SECRET), TokenRules())
    return Entrance(gate, RateLimit(rate), SidecarMetrics(), rules)


def handshake(query: str = "", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    builder = EnvironBuilder(
        path="/", query_string=query, headers=named.items(), base_url="http://sidecar:8000"
    )
    return Request(builder.get_environ())


def status_of(door: Entrance, request: Request) -> int:
    """Return 101, or the status of the refusal."""
    try:
        door.admit(request)
    except ProblemError as problem:
        return problem.status
    return 101


def test_a_token_in_the_header() -> None:
    caller, protocol = entrance().admit(handshake(Authorization=f"Bearer {token('admin')}"))
    assert (caller.subject, caller.role, protocol) == ("somebody", Role.ADMIN, None)


def test_a_token_beside_the_subprotocol() -> None:
    offered = f"{PROTOCOL}, {token('viewer', exp=int(time.time()) + 60)}"
    caller, protocol = entrance().admit(handshake(Sec_WebSocket_Protocol=offered))
    assert (caller.role, protocol) == (Role.VIEWER, PROTOCOL)
    assert caller.expires_at is not None


def test_a_ticket_stands_for_whom_it_was_given_to() -> None:
    door = entrance()
    ticket = door.issue_ticket(Call(None, SOMEBODY, {})).ticket  # type: ignore[arg-type]
    caller, _ = door.admit(handshake(f"ticket={ticket}"))
    assert caller == SOMEBODY


def test_a_ticket_is_good_once() -> None:
    door = entrance()
    ticket = door.issue_ticket(Call(None, SOMEBODY, {})).ticket  # type: ignore[arg-type]
    statuses = [status_of(door, handshake(f"ticket={ticket}")) for _ in range(2)]
    assert statuses == [101, 401]


def test_a_ticket_does_not_last() -> None:
    clock = [0.0]
    tickets = Tickets(lambda: clock[0])
    ticket = tickets.issue(SOMEBODY)
    clock[0] = TICKET_SECONDS
    with pytest.raises(LoginRefusedError):
        tickets.redeem(ticket)


def test_tickets_nobody_uses_give_way() -> None:
    tickets = Tickets()
    first, *_, last = [tickets.issue(SOMEBODY) for _ in range(MAX_TICKETS + 1)]
    assert tickets.redeem(last) == SOMEBODY
    with pytest.raises(LoginRefusedError):
        tickets.redeem(first)


@pytest.mark.parametrize(
    "request_",
    [
        handshake(),
        handshake(Authorization="Bearer x"),
        handshake(Authorization=token()),
        handshake(Sec_WebSocket_Protocol=PROTOCOL),
        handshake(Sec_WebSocket_Protocol=f"{PROTOCOL}, x"),
        handshake(Sec_WebSocket_Protocol=f"{PROTOCOL}, {token()}, {token()}"),
        handshake(Sec_WebSocket_Protocol=token()),
        handshake("ticket=x"),
        handshake("ticket="),
        handshake(f"token={token()}"),
    ],
    ids=lambda request: str(request.headers)[:40],
)
def test_whoever_cannot_say_who_he_is_is_refused(request_: Request) -> None:
    assert status_of(entrance(), request_) == 401


def test_a_role_nobody_knows_is_refused() -> None:
    request = handshake(Authorization=f"Bearer {token('owner')}")
    assert status_of(entrance(), request) == 403


def test_where_no_token_is_asked_anybody_is_a_viewer() -> None:
    caller, _ = entrance(requires_token=False).admit(handshake())
    assert (caller.role, caller.expires_at) == (Role.VIEWER, None)


def test_where_no_token_is_asked_a_bad_one_is_refused_all_the_same() -> None:
    door = entrance(requires_token=False)
    assert status_of(door, handshake(Authorization="Bearer x")) == 401


def test_guessing_has_an_end() -> None:
    door = entrance(rate="3/minute")
    statuses = [status_of(door, handshake("ticket=x")) for _ in range(4)]
    assert statuses == [401, 401, 401, 429]


@pytest.mark.parametrize(
    ("origin", "allowed", "status"),
    [
        ("https://evil.example", (), 403),
        ("http://sidecar:8000", (), 101),
        ("http://sidecar:8001", (), 403),
        ("null", (), 403),
        ("null", ("null",), 101),
        ("https://ops.example", ("https://ops.example",), 101),
        ("https://OPS.example", ("https://ops.example",), 101),
        ("https://ops.example:8443", ("https://ops.example",), 403),
        ("https://ops.example.evil", ("https://ops.example",), 403),
        ("http://ops.example", ("https://ops.example",), 403),
        ("http://localhost:3000", ("http://localhost",), 101),
        ("http://127.0.0.1:3000", ("http://127.0.0.1",), 101),
        ("http://[::1]:3000", ("http://[::1]",), 101),
        ("http://localhost.evil:3000", ("http://localhost",), 403),
        ("http://localhost:3000", ("http://localhost:4000",), 403),
        ("http://[", ("http://localhost",), 403),
        ("", (), 403),
    ],
)
def test_origins(origin: str, allowed: tuple[str, ...], status: int) -> None:
    request = handshake(Origin=origin, Authorization=f"Bearer {token()}")
    assert status_of(entrance(*allowed), request) == status


def test_where_no_token_is_asked_a_name_that_points_here_is_foreign() -> None:
    request = handshake(Origin="http://sidecar:8000")
    assert status_of(entrance(requires_token=False), request) == 403
