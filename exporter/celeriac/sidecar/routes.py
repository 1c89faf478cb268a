"""THE table of routes: whoever has handlers names its rows, and here they meet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec
from flask import Response

from celeriac.sidecar.contract import Call, Role, Route
from celeriac.sidecar.openapi import document


class Handlers(Protocol):
    """Something whose methods are handlers."""

    def routes(self) -> tuple[Route, ...]: ...


def table(parts: Iterable[Handlers]) -> tuple[Route, ...]:
    """Return the rows of all *parts*, and that of the document that describes them all."""
    rows = [row for part in parts for row in part.routes()]
    described: list[bytes] = []

    def show(_: Call) -> Response:
        return Response(described[0], content_type="application/json")

    rows.append(Route("GET", "/openapi.json", Role.NONE, show, "This document"))
    described.append(msgspec.json.encode(document(rows)))
    return tuple(rows)
