"""The WebSocket: everybody gets the same frames, and nobody waits for anybody."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Any

import msgspec
from flask import Request, Response
from werkzeug.utils import environ_property

from celeriac.service import Periodic
from celeriac.sidecar.alerts import Alert, Alerts
from celeriac.sidecar.contract import Call, Caller, Upgraded
from celeriac.sidecar.entrance import Entrance
from celeriac.sidecar.live import Live
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.numbers import LiveNumbers
from celeriac.sidecar.problems import ProblemError
from celeriac.sidecar.websocket import Client, accept, check_handshake, text_frame

MAX_CLIENTS = 1_000
TICK_SECONDS, MAX_TICK_SECONDS = 0.25, 1.0
# So many clients that come at once get the same picture.
PICTURE_SECONDS = 1.0
STOP_SECONDS = 2.0
# The version of HTTP, for which Flask's request has no name.
SPOKEN = environ_property[str]("SERVER_PROTOCOL", "")


class Message(msgspec.Struct, frozen=True):
    """What every frame carries."""

    message_type: str
    timestamp: dt.datetime
    data: Any


class Stream(Periodic):
    """All clients; as a service it looks after them four times a second."""

    def __init__(
        self,
        live: Live,
        alerts: Alerts,
        entrance: Entrance,
        metrics: SidecarMetrics,
        max_clients: int = MAX_CLIENTS,
    ) -> None:
        super().__init__("stream", TICK_SECONDS, self.look_after)
        self._live = live
        self._entrance = entrance
        self._metrics = metrics
        self._max_clients = max_clients
        self._changed = threading.Condition()
        self._clients: set[Client] = set()
        self._looked_mono = time.monotonic()
        self._picture = b""
        self._pictured_mono = float("-inf")
        live.listen(self.publish)
        alerts.listen(self.pass_on)

    def upgrade(self, call: Call) -> Response:
        """Serve one client until it leaves. Errors: ProblemError 400, 401, 403, 426, 429, 503."""
        check_handshake(call.request.headers, SPOKEN.__get__(call.request, Request))
        caller, protocol = self._entrance.admit(call.request)
        source: Any = call.request.input_stream
        client = self._enter(source.fileno(), caller)
        try:
            client.greet(accept(call.request.headers, protocol))
            self._welcome(client)
            client.read(source.read1)
        except OSError:
            pass  # It has gone already.
        finally:
            self._leave(client)
        return Upgraded(status=101)

    def publish(self, live: LiveNumbers) -> None:
        """Send everybody the numbers; who has not got the last ones yet gets only these."""
        frame = _frame("metrics_update", {"metrics": live})
        for client in self._everybody():
            if client.is_welcome:
                client.outbox.put("numbers", frame)

    def pass_on(self, alert: Alert) -> None:
        """Send everybody an alert."""
        self._pictured_mono = float("-inf")
        frame = _frame("alert", alert)
        for client in self._everybody():
            client.outbox.put(f"alert {alert.fingerprint}", frame)

    def look_after(self) -> None:
        """Let the clients know how much time has passed; not all of it, if we were held up."""
        now_wall, now_mono = time.time(), time.monotonic()
        seconds = min(now_mono - self._looked_mono, MAX_TICK_SECONDS)
        self._looked_mono = now_mono
        for client in self._everybody():
            client.tick(seconds, now_wall)

    def stop(self) -> None:
        """Take leave of everybody."""
        super().stop()
        for client in self._everybody():
            client.leave()
        with self._changed:
            self._changed.wait_for(lambda: not self._clients, STOP_SECONDS)
        for client in self._everybody():
            client.cut()

    def _enter(self, file_number: int, caller: Caller) -> Client:
        full = ProblemError(503, "too many clients are connected", {"Retry-After": "10"})
        with self._changed:
            if len(self._clients) >= self._max_clients:
                raise full
            try:
                client = Client(file_number, caller.expires_at)
            except OSError:
                raise full from None
            self._clients.add(client)
            self._metrics.websocket_clients(len(self._clients))
        self._live.join()
        return client

    def _leave(self, client: Client) -> None:
        self._live.leave()
        client.close()
        with self._changed:
            self._clients.discard(client)
            self._metrics.websocket_clients(len(self._clients))
            self._changed.notify_all()

    def _welcome(self, client: Client) -> None:
        """Send a greeting and the full picture; the news of each second come after them."""
        greeting = {"message": "Connected to Celeriac", "client_count": len(self._clients)}
        client.outbox.put("greeting", _frame("connection_established", greeting))
        client.outbox.put("picture", self._full_picture())
        client.is_welcome = True

    def _full_picture(self) -> bytes:
        now_mono = time.monotonic()
        if now_mono - self._pictured_mono > PICTURE_SECONDS:
            self._picture = _frame("dashboard_data", self._live.look_around())
            self._pictured_mono = now_mono
        return self._picture

    def _everybody(self) -> list[Client]:
        with self._changed:
            return list(self._clients)


def _frame(message_type: str, data: object) -> bytes:
    message = Message(message_type, dt.datetime.now(dt.UTC), data)
    return text_frame(msgspec.json.encode(message))
