"""Certificates for tests, made on the spot: an authority, and what it signs."""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

_DAY = dt.timedelta(days=1)
LOOPBACK = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: bytes = b"") -> bytes:
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def write(self, directory: Path, name: str) -> None:
        """Write ``name.crt`` and ``name.key``."""
        (directory / f"{name}.crt").write_bytes(self.pem)
        (directory / f"{name}.key").write_bytes(self.key_pem())


def authority(name: str = "Test authority") -> Certificate:
    """Return a certificate that may sign others, the same for the same name."""
    return _authority(name)


@functools.cache
def signed(name: str, *sans: x509.GeneralName, by: str = "Test authority") -> Certificate:
    """Return a certificate signed by the authority of that name."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, by, authority(by).key)
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    return Certificate(builder.sign(authority(by).key, hashes.SHA256()), key)


@functools.cache
def _authority(name: str) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, name, key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return Certificate(builder.sign(key, hashes.SHA256()), key)


def _builder(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    """Return a builder with what Python's strict verification, the default since 3.13, wants."""
    now = dt.datetime.now(dt.UTC)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    subject_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(issuer_id, critical=False)
        .add_extension(subject_id, critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
