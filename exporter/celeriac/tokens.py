"""Tokens for the sidecar, signed with its secret: what ``celeriac token`` prints."""

from __future__ import annotations

import time

import jwt

from celeriac.sidecar_settings import TokenSettings

ALGORITHM = "HS256"


def mint(settings: TokenSettings, subject: str, role: str, ttl_seconds: float) -> str:
    """Return a JWT that is good from now on. ``settings.secret`` has 32 bytes or more."""
    now = int(time.time())
    optional = {"iss": settings.issuer, "aud": settings.audience}
    claims = {
        "sub": subject,
        settings.role_claim: role,
        "iat": now,
        "exp": now + int(ttl_seconds),
        **{name: text for name, text in optional.items() if text is not None},
    }
    return jwt.encode(claims, settings.secret or "", algorithm=ALGORITHM)
