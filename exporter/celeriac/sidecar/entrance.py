"""Who may open a stream: from which web page, and with a token in one of three ways."""

from __future__ import annotations

import ipaddress
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from flask import Request

from celeriac.sidecar.auth import Gate
from celeriac.sidecar.contract import Call, Caller, Role
from celeriac.sidecar.limits import RateLimit
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.problems import LoginRefusedError, ProblemError

PROTOCOL = "celeriac.bearer"
TICKET_SECONDS = 30.0
MAX_TICKETS = 10_000
_ORIGIN = re.compile(r"(https?://([^/:@\[\]]+|\[[0-9a-f:.]+\]))(:\d+)?")


class TicketAnswer(msgspec.Struct, frozen=True):
    """A ticket for one connection: ``/monitoring/ws?ticket=…``."""

    ticket: str
    expires_in_seconds: float


class Tickets:
    """Tickets that were given out, each good for one use within half a minute."""

    def __init__(self, clock_mono: Callable[[], float] = time.monotonic) -> None:
        self._clock_mono = clock_mono
        self._lock = threading.Lock()
        self._callers: dict[str, tuple[Caller, float]] = {}

    def issue(self, caller: Caller) -> str:
        ticket = secrets.token_urlsafe(32)
        with self._lock:
            self._callers[ticket] = caller, self._clock_mono() + TICKET_SECONDS
            if len(self._callers) > MAX_TICKETS:
                del self._callers[next(iter(self._callers))]
        return ticket

    def redeem(self, ticket: str) -> Caller:
        """Return whom the ticket was given to. Errors: LoginRefusedError."""
        with self._lock:
            caller, ends_mono = self._callers.pop(ticket, (None, 0.0))
        if caller is None or self._clock_mono() >= ends_mono:
            raise LoginRefusedError("ticket")
        return caller


@dataclass(frozen=True, slots=True)
class EntranceRules:
    """Which web pages may come in, and whether somebody without a token may, as a viewer.

    An origin is written as browsers send it; of a loopback one the port may be left out.
    """

    allowed_origins: frozenset[str] = frozenset()
    requires_token: bool = True


class Entrance:
    """Decides about each handshake."""

    def __init__(
        self, gate: Gate, rate_limit: RateLimit, metrics: SidecarMetrics, rules: EntranceRules
    ) -> None:
        self._gate = gate
        self._rate_limit = rate_limit
        self._metrics = metrics
        self._rules = rules
        self._tickets = Tickets()

    def issue_ticket(self, call: Call) -> TicketAnswer:
        return TicketAnswer(self._tickets.issue(call.caller), TICKET_SECONDS)

    def admit(self, request: Request) -> tuple[Caller, str | None]:
        """Return who comes in, and the subprotocol that was agreed on.

        Errors: ProblemError 401, 403, 429.
        """
        self._check_origin(request)
        address = request.remote_addr or ""
        offered = _protocols(request)
        try:
            caller = self._caller(request, offered, address)
        except LoginRefusedError as error:
            self._metrics.refused_login(error.reason)
            self._rate_limit.hit(f"address {address}")
            raise
        self._rate_limit.hit(
            f"subject {caller.subject}" if caller.subject else f"address {address}"
        )
        return caller, PROTOCOL if PROTOCOL in offered else None

    def _caller(self, request: Request, offered: list[str], address: str) -> Caller:
        authorization, ticket = request.headers.get("Authorization"), request.args.get("ticket")
        if authorization is not None:
            return self._gate.bearer(authorization, address)
        if PROTOCOL in offered:
            return self._gate.admit(" ".join(p for p in offered if p != PROTOCOL), address)
        if ticket is not None:
            return self._tickets.redeem(ticket)
        if self._rules.requires_token:
            raise LoginRefusedError("missing")
        return Caller("", Role.VIEWER, address)

    def _check_origin(self, request: Request) -> None:
        """Check the web page that asks; who is none sends no origin. Errors: ProblemError 403."""
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_allowed(origin.lower(), request.host.lower()):
            raise ProblemError(403, "web pages of this origin may not connect")

    def _is_allowed(self, origin: str, host: str) -> bool:
        if origin in self._rules.allowed_origins:
            return True
        parts = _ORIGIN.fullmatch(origin)
        if parts is None:
            return False
        without_port, name, port = parts.groups(default="")
        # Where no token is asked, a name that somebody points at us must not count as ours.
        if self._rules.requires_token and name + port == host:
            return True
        return _is_loopback(name) and without_port in self._rules.allowed_origins


def _is_loopback(host: str) -> bool:
    """Return whether a host can only be this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _protocols(request: Request) -> list[str]:
    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    return [protocol for word in offered if (protocol := word.strip())]
