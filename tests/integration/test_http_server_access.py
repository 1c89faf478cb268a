"""TLS, client certificates and passwords, over real sockets, with files that change meanwhile."""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

import bcrypt
import pytest
from cryptography import x509

from celeriac.exposition.web_config import WebConfig
from certificates import LOOPBACK, authority, signed
from http_clients import PAGE, connect, fetch, is_closed, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from celeriac.exposition.server import HttpServer

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users:\n  alice: {HASH}\n"
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
MUTUAL = TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: authority.crt\n"
ALLOWED = x509.DNSName("prometheus.test")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    signed("server", *LOOPBACK).write(tmp_path, "server")
    authority().write(tmp_path, "authority")
    authority("Other authority")
    return tmp_path / "web.yml"


@contextmanager
def guarded(path: Path, text: str) -> Iterator[HttpServer]:
    path.write_text(text)
    with running(web_config=WebConfig(path)) as server:
        yield server


def replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


def client(path: Path, *sans: x509.GeneralName, by: str | None = None) -> ssl.SSLContext:
    """Return a client's context, with a certificate of its own if ``by`` an authority."""
    context = ssl.create_default_context(cafile=str(path.parent / "authority.crt"))
    if by:
        signed("client", *sans, by=by).write(path.parent, "client")
        context.load_cert_chain(path.parent / "client.crt", path.parent / "client.key")
    return context


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_tls_is_spoken(path: Path) -> None:
    with guarded(path, TLS) as server:
        assert server.url.startswith("https://")
        assert fetch(server, "/metrics", tls=client(path)).body == PAGE


def test_a_connection_without_tls_is_not_served(path: Path) -> None:
    with guarded(path, TLS) as server, pytest.raises((OSError, ValueError)):
        fetch(server, "/livez")


def test_an_old_protocol_version_is_refused(path: Path) -> None:
    context = client(path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with guarded(path, TLS + "  min_version: TLS13\n") as server, pytest.raises(ssl.SSLError):
        fetch(server, "/livez", tls=context)


def test_only_the_configured_suites_are_spoken(path: Path) -> None:
    suite = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]\n"
    context = client(path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with guarded(path, TLS + suite) as server:
        assert fetch(server, "/livez", tls=context).status == 200
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with pytest.raises(ssl.SSLError):
            fetch(server, "/livez", tls=context)


def test_the_configured_headers_are_on_every_answer(path: Path) -> None:
    headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
    with guarded(path, headers + USERS) as server:
        for answer in (fetch(server, "/metrics"), fetch(server, "/livez")):
            assert answer.headers["X-Frame-Options"] == "deny"


def test_a_verified_client_certificate_comes_in(path: Path) -> None:
    with guarded(path, MUTUAL) as server:
        assert fetch(server, "/livez", tls=client(path, by="Test authority")).status == 200


@pytest.mark.parametrize("by", [None, "Other authority"])
def test_no_certificate_or_a_strangers_stays_out(path: Path, by: str | None) -> None:
    with guarded(path, MUTUAL) as server, pytest.raises(OSError):
        fetch(server, "/livez", tls=client(path, by=by))


def test_an_optional_certificate_may_be_left_out(path: Path) -> None:
    with guarded(
        path,
        MUTUAL.replace("RequireAndVerify", "Verify").replace(
            "VerifyClientCert", "VerifyClientCertIfGiven"
        ),
    ) as server:
        assert fetch(server, "/livez", tls=client(path)).status == 200
        with pytest.raises(OSError):
            fetch(server, "/livez", tls=client(path, by="Other authority"))


@pytest.mark.parametrize(
    "san",
    [
        ALLOWED,
        x509.RFC822Name("ops@example.test"),
        x509.UniformResourceIdentifier("spiffe://example.test/prometheus"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
        x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
    ],
)
def test_each_kind_of_allowed_san_comes_in(path: Path, san: x509.GeneralName) -> None:
    sans = f"  client_allowed_sans: [other, '{san.value}']\n"
    with guarded(path, MUTUAL + sans) as server:
        other = x509.DNSName("irrelevant.test")
        context = client(path, other, san, by="Test authority")
        assert fetch(server, "/livez", tls=context).status == 200


@pytest.mark.parametrize("san", [x509.DNSName("Prometheus.test.evil"), None])
def test_any_other_san_stays_out(path: Path, san: x509.GeneralName | None) -> None:
    sans = [san] if san else []
    with (
        guarded(path, MUTUAL + "  client_allowed_sans: [prometheus.test]\n") as server,
        pytest.raises((OSError, ValueError)),
    ):
        fetch(server, "/livez", tls=client(path, *sans, by="Test authority"))


def test_the_right_password_opens_the_page(path: Path) -> None:
    with guarded(path, TLS + USERS) as server:
        answer = fetch(server, "/metrics", basic("alice", "secret"), tls=client(path))
        assert answer.body == PAGE


@pytest.mark.parametrize(
    "headers", [{}, basic("alice", "guess"), basic("bob", "secret"), {"Authorization": "Bearer x"}]
)
@pytest.mark.parametrize("target", ["/metrics", "/none", "/livez/", "//livez/..", "/fails"])
def test_anything_else_is_asked_for_a_password(
    path: Path, headers: dict[str, str], target: str
) -> None:
    with guarded(path, USERS) as server:
        answer = fetch(server, target, headers)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Basic")


@pytest.mark.parametrize("probe", ["/livez", "/readyz"])
def test_probes_need_no_password(path: Path, probe: str) -> None:
    with guarded(path, USERS) as server:
        assert fetch(server, probe).status == 200


def test_a_new_password_holds_from_the_next_request_on(path: Path) -> None:
    with guarded(path, USERS) as server:
        assert fetch(server, "/metrics", basic("alice", "secret")).status == 200
        replace(path, USERS.replace(HASH, bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()))
        assert fetch(server, "/metrics", basic("alice", "secret")).status == 401
        assert fetch(server, "/metrics", basic("alice", "new")).status == 200


@pytest.mark.parametrize("broken", ["", "basic_auth_users: [", "basic_auth_users: {alice: oops}"])
def test_a_broken_file_leaves_the_doors_as_they_were(path: Path, broken: str) -> None:
    with guarded(path, TLS + USERS) as server:
        path.write_text(broken)
        assert fetch(server, "/metrics", tls=client(path)).status == 401
        answer = fetch(server, "/metrics", basic("alice", "secret"), tls=client(path))
        assert answer.status == 200


def test_a_renewed_certificate_is_shown_to_the_next_client(path: Path) -> None:
    with guarded(path, TLS) as server:
        fetch(server, "/livez", tls=client(path))
        authority("Other authority").write(path.parent, "authority")
        signed("renewed", *LOOPBACK, by="Other authority").write(path.parent, "server")
        assert fetch(server, "/livez", tls=client(path)).status == 200


def test_a_half_written_certificate_keeps_the_old_one(path: Path) -> None:
    with guarded(path, TLS) as server:
        certificate = path.parent / "server.crt"
        certificate.write_bytes(certificate.read_bytes()[:100])
        assert fetch(server, "/livez", tls=client(path)).status == 200


def test_a_client_that_never_shakes_hands_delays_no_other(path: Path) -> None:
    with guarded(path, TLS) as server:
        silent = [connect(server) for _ in range(20)]
        assert fetch(server, "/livez", tls=client(path)).status == 200
        server.stop()
        assert all(is_closed(sock) for sock in silent)
        for sock in silent:
            sock.close()
