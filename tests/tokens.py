"""Tokens for tests, good and bad, and the keys they are signed with."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

SECRET = "a secret of the tests, 32 bytes or more"
ISSUER, AUDIENCE = "https://issuer.example/ours", "celeriac"


def claims(role: Any = "viewer", /, **changed: Any) -> dict[str, Any]:
    """Return good claims; a changed one that is None is left out, a timedelta is from now."""
    now = int(time.time())
    whole = {"sub": "somebody", "role": role, "iat": now, "exp": now + 86_400} | changed
    return {
        name: now + value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in whole.items()
        if value is not None
    }


def token(role: Any = "viewer", /, headers: dict[str, Any] | None = None, **changed: Any) -> str:
    """Return a token of HS256 with these claims."""
    return jwt.encode(claims(role, **changed), SECRET, "HS256", headers)


def bearer(role: Any = "viewer", /, **changed: Any) -> dict[str, str]:
    """Return the header of a request."""
    return {"Authorization": f"Bearer {token(role, **changed)}"}


def forged(header: Any, payload: Any, secret: str = SECRET) -> str:
    """Return a token of this header and payload, whatever they are, signed with HS256."""
    signed = f"{part(_json(header))}.{part(_json(payload))}"
    return f"{signed}.{part(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def part(raw: bytes) -> str:
    """Return bytes as a token has them."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@functools.cache
def rsa_key(name: str = "one", bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a key, the same for the same name."""
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ec_key(name: str = "one", curve: type[ec.EllipticCurve] = ec.SECP256R1) -> Any:
    """Return a key on a curve, the same for the same name."""
    return ec.generate_private_key(curve())


def jwk(key: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    """Return the public half of a key as a JWKS server shows it."""
    kind = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    algorithm = jwt.get_algorithm_by_name(kind)
    data: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return data | ({"kid": kid} if kid is not None else {}) | more


def jwks(*keys: dict[str, Any]) -> bytes:
    """Return a JWKS document."""
    return json.dumps({"keys": keys}).encode()
