"""The web configuration file: what it may say, and what happens when it changes."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import bcrypt
import pytest

from celeriac.errors import ConfigurationError
from celeriac.exposition.web_config import WebConfig
from certificates import LOOPBACK, authority, signed

if TYPE_CHECKING:
    from pathlib import Path

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
USERS = f"basic_auth_users:\n  alice: {HASH}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    signed("server", *LOOPBACK).write(tmp_path, "server")
    authority().write(tmp_path, "authority")
    return tmp_path / "web.yml"


def read(path: Path, text: str) -> WebConfig:
    replace(path, text)
    return WebConfig(path)


def replace(path: Path, text: str) -> None:
    """Put a new file in the old one's place, as kubelet and editors do."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


def refusal(path: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read(path, text)
    return str(refused.value)


def tls(*lines: str) -> str:
    return TLS + "".join(f"  {line}\n" for line in lines)


def test_an_empty_mapping_means_neither_tls_nor_passwords(path: Path) -> None:
    access = read(path, "{}").current()
    assert (access.tls, access.passwords, access.headers) == (None, None, {})


def test_relative_paths_are_relative_to_the_file(path: Path) -> None:
    assert read(path, TLS).is_tls


def test_a_section_without_a_value_is_as_if_left_out(path: Path) -> None:
    config = read(path, "tls_server_config:\nhttp_server_config:\n  headers:\nbasic_auth_users:\n")
    assert not config.is_tls


@pytest.mark.parametrize(
    "text",
    [
        tls("client_auth_type: NoClientCert"),
        tls("client_auth_type: RequireAndVerifyClientCert", "client_ca_file: authority.crt"),
        tls("client_auth_type: VerifyClientCertIfGiven", "client_ca_file: authority.crt"),
        tls("min_version: TLS13", "max_version: TLS13"),
        tls("min_version: TLS12", "max_version: TLS12"),
        tls("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]"),
        tls("cipher_suites: [TLS_AES_128_GCM_SHA256]", "min_version: TLS13"),
        tls("prefer_server_cipher_suites: false"),
        tls("curve_preferences: [X25519]"),
        tls("curve_preferences: [CurveP256]"),
    ],
)
def test_what_python_can_do_is_accepted(path: Path, text: str) -> None:
    assert read(path, text).is_tls


def test_an_authority_may_stand_in_the_file_itself(path: Path) -> None:
    pem = authority().pem.decode().replace("\n", "\n    ")
    text = tls("client_auth_type: RequireAndVerifyClientCert", f"client_ca: |\n    {pem}")
    assert read(path, text).is_tls


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("[]", "the file: Expected `object`"),
        ("tls: {}", "the file: has an unknown key `tls`"),
        (tls("certfile: x"), "tls_server_config: has an unknown key `certfile`"),
        ("http_server_config: {http3: true}", "http_server_config: has an unknown key `http3`"),
        ("http_server_config: {http2: often}", "http_server_config.http2: Expected `bool`"),
        ("rate_limit: {burst: 1}", "rate_limit: is not supported"),
        (TLS + TLS, r"has a key twice in a mapping \(line 1, column 1\)"),
        ("a: [", r"is not valid YAML \(line 1, column 5\)"),
        ("a: !!python/object:os.system {}", "is not valid YAML"),
        ("tls_server_config: {min_version: TLS12, key_file: k}", "tls_server_config.cert_file: is"),
        ("tls_server_config: {cert_file: server.crt}", "tls_server_config.key_file: is missing"),
        (TLS.replace("server.key", "no.key"), "key_file: cannot be read: No such file"),
        (TLS.replace("server.key", "authority.key"), "cert_file and key_file: are no PEM cert"),
        (TLS.replace("server.crt", '"a\\0b"'), "cert_file: cannot be read: not the name"),
        (tls("cert: inline"), "tls_server_config.cert and key: Python's ssl reads files only"),
        (tls("client_auth_type: RequestClientCert"), "client_auth_type: Python's ssl takes no"),
        (tls("client_auth_type: RequireAnyClientCert"), "client_auth_type: Python's ssl takes no"),
        (tls("client_auth_type: Perhaps"), "client_auth_type: must be NoClientCert, Verify"),
        (tls("client_auth_type: RequireAndVerifyClientCert"), "client_ca_file: goes with"),
        (tls("client_ca_file: authority.crt"), "client_ca_file: goes with"),
        (
            tls("client_auth_type: RequireAndVerifyClientCert", "client_ca_file: server.key"),
            "client_ca_file or client_ca: holds no PEM",
        ),
        (tls("client_allowed_sans: [a]"), "client_allowed_sans: needs client_auth_type: Req"),
        (tls("min_version: TLS10"), "min_version: OpenSSL 3 no longer speaks this"),
        (tls("max_version: SSL3"), "max_version: must be TLS12 or TLS13"),
        (tls("min_version: TLS13", "max_version: TLS12"), "min_version: is above max_version"),
        (tls("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]"), "cipher_suites: has a name that is"),
        (tls("cipher_suites: [TLS_AES_128_GCM_SHA256]"), "cipher_suites: has only suites of TLS 1"),
        (tls("curve_preferences: [CurveP255]"), "curve_preferences: can be none but CurveP256"),
        (
            tls("curve_preferences: [X25519, CurveP256]"),
            "curve_preferences: Python's ssl takes one",
        ),
        ("http_server_config: {headers: {Server: x}}", "headers: can only be Content-Security"),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}",
            "headers.X-Frame-Options: must be deny or sameorigin",
        ),
        (
            'http_server_config: {headers: {X-XSS-Protection: "0\\r\\nSet-Cookie: a"}}',
            "headers.X-XSS-Protection: must be one line",
        ),
        ("basic_auth_users: {alice: hunter2}", "basic_auth_users: entry 1 has no bcrypt hash"),
        ("basic_auth_users: {alice: 5}", r"basic_auth_users\[...\]: Expected `str`"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_key(
    path: Path, text: str, message: str
) -> None:
    said = refusal(path, text)
    assert re.search(message, said), said
    assert said.startswith("--web.config.file: ")
    assert "\n" not in said


def test_a_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        WebConfig(path)


def test_an_encrypted_key_is_refused_without_asking_for_its_password(path: Path) -> None:
    key = signed("server", *LOOPBACK).key_pem(password=b"hush")
    (path.parent / "server.key").write_bytes(key)
    assert "unencrypted private key" in refusal(path, TLS)


@pytest.mark.parametrize(
    "text",
    [
        "basic_auth_users: {alice: hunter2}",
        "basic_auth_users: {hunter2: alice}",
        "basic_auth_users: {alice: {hunter2: x}}",
        "basic_auth_users: {alice: *hunter2}",
        "basic_auth_users: {alice: 'hunter2}",
        "basic_auth_users: [hunter2]",
        "tls_server_config: {cert_file: server.crt, key: hunter2}",
        "tls_server_config: {cert_file: server.crt, key_file: hunter2}",
        "http_server_config: {headers: {X-Frame-Options: hunter2}}",
    ],
)
def test_a_refusal_shows_no_value(path: Path, text: str) -> None:
    assert "hunter2" not in refusal(path, text)


def test_http2_is_accepted_with_one_line_of_log(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    read(path, "http_server_config: {http2: true}").current()
    assert [record.message for record in caplog.records] == [
        "--web.config.file: http_server_config.http2: this server speaks HTTP/1.1 only"
    ]


def test_a_new_version_is_used_at_the_next_look(path: Path) -> None:
    config = read(path, "{}")
    replace(path, "http_server_config: {headers: {X-Frame-Options: deny}}")
    assert config.current().headers == {"X-Frame-Options": "deny"}


def test_an_unchanged_file_is_not_read_again(path: Path) -> None:
    config = read(path, TLS + USERS)
    assert config.current() is config.current()


def test_a_renewed_certificate_is_read(path: Path) -> None:
    config = read(path, TLS)
    before = config.current().tls
    signed("renewed", *LOOPBACK).write(path.parent, "server")
    assert config.current().tls is not before
    assert config.reload_success


@pytest.mark.parametrize(
    "broken", ["", "tls_server_config: [", "basic_auth_users: {alice: x}", TLS]
)
def test_a_broken_version_keeps_the_last_good_one(path: Path, broken: str) -> None:
    config = read(path, USERS)
    good = config.current()
    path.write_text(broken)
    assert config.current() is good
    assert not config.reload_success


def test_a_vanished_file_keeps_the_last_good_version(path: Path) -> None:
    config = read(path, USERS)
    good = config.current()
    path.unlink()
    assert config.current() is good
    assert not config.reload_success


def test_a_broken_version_is_logged_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = read(path, USERS)
    replace(path, "nonsense: true")
    for _ in range(3):
        config.current()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_repaired_file_is_used_again(path: Path) -> None:
    config = read(path, "{}")
    replace(path, "nonsense: true")
    config.current()
    replace(path, USERS)
    assert config.current().passwords is not None
    assert config.reload_success


def test_a_certificate_without_its_key_waits_for_the_key(path: Path) -> None:
    config = read(path, TLS)
    good = config.current()
    renewed = signed("renewed", *LOOPBACK)
    (path.parent / "server.crt").write_bytes(renewed.pem)
    assert config.current() is good
    assert not config.reload_success
    (path.parent / "server.key").write_bytes(renewed.key_pem())
    assert config.current() is not good
    assert config.reload_success
