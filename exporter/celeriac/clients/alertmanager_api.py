"""Alertmanager's HTTP API, version 2: what fires just now."""

from __future__ import annotations

import datetime as dt
import time
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from celeriac.clients.bounded_http import HttpError, HttpServer
from celeriac.errors import CeleriacError

MAX_BYTES = 8 << 20
TIMEOUT_SECONDS = 2.0
MAX_LABELS = 64
# Whoever silenced or inhibited one does not want to hear of it.
LOUD = [("active", "true"), ("silenced", "false"), ("inhibited", "false")]

Time: TypeAlias = Annotated[dt.datetime, Meta(tz=True)]
Texts: TypeAlias = Annotated[dict[str, str], Meta(max_length=MAX_LABELS)]


class AlertmanagerError(CeleriacError):
    """Alertmanager could not be asked: check that it runs, and its address."""


class ToldAlert(msgspec.Struct, rename="camel", kw_only=True):
    """What Alertmanager says of an alert, in its API and to a webhook."""

    labels: Texts
    starts_at: Time
    annotations: Texts = {}
    generator_url: str = msgspec.field(default="", name="generatorURL")
    fingerprint: Annotated[str, Meta(max_length=128)] = ""


class AlertmanagerApi:
    """Where Alertmanager is. Safe for several threads."""

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        """Take a URL, which may carry user, password and a prefix of the path."""
        self._server = HttpServer(url, MAX_BYTES, ca_file)

    def firing(self) -> list[ToldAlert]:
        """Return every alert that fires and is not muted. Errors: AlertmanagerError."""
        try:
            answer = self._server.get("/api/v2/alerts", time.monotonic() + TIMEOUT_SECONDS, LOUD)
            if answer.status != HTTPStatus.OK:
                raise AlertmanagerError(f"Alertmanager answers {answer.status}")
            return msgspec.json.decode(answer.body, type=list[ToldAlert])
        except HttpError as error:
            raise AlertmanagerError(f"Alertmanager: {error}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise AlertmanagerError("Alertmanager's answer cannot be read") from None
