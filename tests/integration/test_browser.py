"""The WebSocket in a browser, which sends an origin and cannot send a header."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from parts.browser import Browser
from parts.crowd import PATH
from parts.exporter import Exporter
from parts.sidecar import Sidecar
from tokens import token

pytestmark = pytest.mark.slow

FIRST = ("connection_established", "dashboard_data", "metrics_update")
NEVER_OPENED = "closed 1006"


@pytest.fixture(scope="module")
def sidecar(idle_exporter: Exporter) -> Iterator[Sidecar]:
    with Sidecar(exporter_url=idle_exporter.url, extra=["--allowed-origins", "null"]) as sidecar:
        yield sidecar


@pytest.fixture(scope="module")
def open_sidecar(idle_exporter: Exporter) -> Iterator[Sidecar]:
    origins = "http://localhost,null"
    extra = ["--allowed-origins", origins, "--ws-auth", "optional"]
    with Sidecar(exporter_url=idle_exporter.url, extra=extra) as sidecar:
        yield sidecar


def url(sidecar: Sidecar, query: str = "") -> str:
    return f"ws://127.0.0.1:{sidecar.port}{PATH}{query}"


def test_a_page_shows_its_token_as_a_subprotocol(sidecar: Sidecar) -> None:
    with Browser(url(sidecar), ["celeriac.bearer", token()], is_from_disk=True) as browser:
        browser.hears(*FIRST)


def test_a_page_comes_with_a_ticket(sidecar: Sidecar) -> None:
    ticket = sidecar.post("/monitoring/ws-ticket", None, "viewer").json()["ticket"]
    with Browser(url(sidecar, f"?ticket={ticket}"), is_from_disk=True) as browser:
        browser.hears(*FIRST)


@pytest.mark.parametrize("is_from_disk", [True, False], ids=["disk", "loopback"])
def test_a_page_on_this_machine_needs_no_token_where_they_are_optional(
    open_sidecar: Sidecar, is_from_disk: bool
) -> None:
    with Browser(url(open_sidecar), is_from_disk=is_from_disk) as browser:
        browser.hears(*FIRST)


def test_a_page_of_somebody_else_is_refused(sidecar: Sidecar) -> None:
    with Browser(url(sidecar), ["celeriac.bearer", token()]) as browser:
        browser.hears(NEVER_OPENED)


def test_a_page_without_a_token_is_refused(sidecar: Sidecar) -> None:
    with Browser(url(sidecar), is_from_disk=True) as browser:
        browser.hears(NEVER_OPENED)
