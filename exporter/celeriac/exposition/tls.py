"""``tls_server_config``, said to Python's ssl; what that cannot do is refused, never ignored."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celeriac.errors import ConfigurationError
from celeriac.exposition.web_config_format import TlsSection, refused

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_CLIENT_AUTH_UNVERIFIED = {"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"}
_CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
# Those that Go calls secure, by Go's names.
_TLS12_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
# Allowed in the list and without effect on TLS 1.3, in Go as here.
_TLS13_SUITES = {
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
}


class TlsServer:
    """Speaks TLS with the clients that one version of ``tls_server_config`` lets in."""

    def __init__(self, section: TlsSection, directory: Path) -> None:
        """Read the certificates; raise ConfigurationError for what is missing or impossible."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.options |= ssl.OP_NO_RENEGOTIATION
        self._context.set_alpn_protocols(["http/1.1"])
        self._allowed_sans = section.client_allowed_sans
        _set_versions(self._context, section)
        _set_ciphers(self._context, section)
        _set_curve(self._context, section)
        _load_certificate(self._context, section, directory)
        _set_client_auth(self._context, section, directory)

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """Return the socket as TLS' own, which takes it over; nothing is read or sent yet."""
        return self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def handshake(self, sock: ssl.SSLSocket, timeout_seconds: float) -> None:
        """Agree on a session within the time; raise OSError when the client may not come in."""
        sock.settimeout(timeout_seconds)
        sock.do_handshake()
        if self._allowed_sans is not None and not _sans(sock) & set(self._allowed_sans):
            raise ssl.SSLError("the client certificate has none of client_allowed_sans")


def files(section: TlsSection, directory: Path) -> list[Path]:
    """Return the files that the section names; relative ones are relative to the directory."""
    names = (section.cert_file, section.key_file, section.client_ca_file)
    return [directory / name for name in names if name]


def _sans(sock: ssl.SSLSocket) -> set[str]:
    certificate: Mapping[str, Any] = sock.getpeercert() or {}
    return {_canonical(kind, str(name)) for kind, name in certificate.get("subjectAltName", ())}


def _canonical(kind: str, name: str) -> str:
    """Write an address as Go does: OpenSSL gives all eight groups of IPv6."""
    if kind != "IP Address":
        return name
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name


def _set_versions(context: ssl.SSLContext, section: TlsSection) -> None:
    context.minimum_version = _version("min_version", section.min_version)
    context.maximum_version = _version("max_version", section.max_version)
    if context.minimum_version > context.maximum_version:
        raise _refused("min_version", "is above max_version")


def _version(key: str, name: str) -> ssl.TLSVersion:
    if name in ("TLS10", "TLS11"):
        raise _refused(key, "OpenSSL 3 no longer speaks this; use TLS12 or TLS13")
    if name not in _VERSIONS:
        raise _refused(key, f"must be {' or '.join(_VERSIONS)}")
    return _VERSIONS[name]


def _set_ciphers(context: ssl.SSLContext, section: TlsSection) -> None:
    if not section.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if set(section.cipher_suites) - _TLS12_SUITES.keys() - _TLS13_SUITES:
        raise _refused("cipher_suites", "has a name that is not among Go's secure cipher suites")
    suites = [_TLS12_SUITES[name] for name in section.cipher_suites if name in _TLS12_SUITES]
    if suites:
        context.set_ciphers(":".join(suites))
    elif section.cipher_suites and section.min_version != "TLS13":
        raise _refused("cipher_suites", "has only suites of TLS 1.3; say min_version: TLS13")


def _set_curve(context: ssl.SSLContext, section: TlsSection) -> None:
    if set(section.curve_preferences) - _CURVES.keys():
        raise _refused("curve_preferences", f"can be none but {', '.join(_CURVES)}")
    # Python 3.15 can: SSLContext.set_groups().
    if len(section.curve_preferences) > 1:
        raise _refused("curve_preferences", "Python's ssl takes one curve; name one, or none")
    for name in section.curve_preferences:
        context.set_ecdh_curve(_CURVES[name])


def _load_certificate(context: ssl.SSLContext, section: TlsSection, directory: Path) -> None:
    if section.cert or section.key:
        raise _refused("cert and key", "Python's ssl reads files only; use cert_file and key_file")
    certificate = _readable("cert_file", section.cert_file, directory)
    key = _readable("key_file", section.key_file, directory)
    try:
        # Without a password of ours, OpenSSL would ask for an encrypted key's on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        problem = "are no PEM certificate and its own unencrypted private key"
        raise _refused("cert_file and key_file", problem) from error


def _set_client_auth(context: ssl.SSLContext, section: TlsSection, directory: Path) -> None:
    policy = section.client_auth_type
    if policy in _CLIENT_AUTH_UNVERIFIED:
        raise _refused("client_auth_type", "Python's ssl takes no certificate without verifying it")
    if policy not in _CLIENT_AUTH:
        raise _refused("client_auth_type", f"must be {', '.join(filter(None, _CLIENT_AUTH))}")
    if section.client_allowed_sans is not None and policy != "RequireAndVerifyClientCert":
        raise _refused("client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert")
    context.verify_mode = _CLIENT_AUTH[policy]
    has_authorities = bool(section.client_ca_file or section.client_ca)
    if has_authorities != (context.verify_mode != ssl.CERT_NONE):
        raise _refused("client_ca_file", "goes with a client_auth_type that verifies, and only so")
    if has_authorities:
        _load_authorities(context, section, directory)


def _load_authorities(context: ssl.SSLContext, section: TlsSection, directory: Path) -> None:
    try:
        if section.client_ca:
            context.load_verify_locations(cadata=section.client_ca)
        else:
            file = _readable("client_ca_file", section.client_ca_file, directory)
            context.load_verify_locations(cafile=file)
    except (ssl.SSLError, ValueError) as error:
        raise _refused("client_ca_file or client_ca", "holds no PEM certificate") from error


def _readable(key: str, name: str, directory: Path) -> Path:
    """Return the file's path, after an attempt to read it: OpenSSL's own errors name no file."""
    if not name:
        raise _refused(key, "is missing")
    try:
        (directory / name).read_bytes()
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", "not the name of a file")
        raise _refused(key, f"cannot be read: {problem}") from error
    return directory / name


def _refused(key: str, problem: str) -> ConfigurationError:
    return refused(f"tls_server_config.{key}", problem)
