"""Who is asking? Bearer tokens (JWT), checked by PyJWT with the keys of one source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from celeriac.sidecar.contract import Caller, Role
from celeriac.sidecar.problems import LoginRefusedError, RoleUnknownError

LEEWAY_SECONDS = 30
MAX_TOKEN_CHARACTERS = 8192
MAX_SUBJECT_CHARACTERS = 255
LAST_SECOND = 253402300799  # of the year 9999
ROLES = {role.name.lower(): role for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN)}
# PyJWT's base64 skips what is not of its alphabet, so a token could be written in many ways.
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.InvalidSignatureError, "signature"),
    (jwt.DecodeError, "malformed"),
    (jwt.PyJWTError, "claims"),
)


class Keys(Protocol):
    """Where the keys are that tokens may be signed with."""

    def find(self, header: Mapping[str, Any]) -> jwt.PyJWK | None:
        """Return the key for a token's header; None if there is none for its algorithm."""


class SharedSecret:
    """One secret for HS256."""

    def __init__(self, secret: str) -> None:
        data = jwt.utils.base64url_encode(secret.encode()).decode()
        self._key = jwt.PyJWK({"kty": "oct", "k": data}, "HS256")

    def find(self, header: Mapping[str, Any]) -> jwt.PyJWK | None:
        return self._key if header.get("alg") == "HS256" else None


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token has to say beside who and until when; None is not checked."""

    issuer: str | None = None
    audience: str | None = None
    role_claim: str = "role"


class Gate:
    """Turns a token into a caller."""

    def __init__(self, keys: Keys, rules: TokenRules) -> None:
        self._keys = keys
        self._rules = rules

    def bearer(self, authorization: str | None, address: str) -> Caller:
        """Return who sent this ``Authorization`` header. Errors: as of ``admit``."""
        if authorization is None:
            raise LoginRefusedError("missing")
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer":
            raise LoginRefusedError("malformed")
        return self.admit(token, address)

    def admit(self, token: str, address: str) -> Caller:
        """Return who holds *token*. Errors: LoginRefusedError: ProblemError 401, 403."""
        claims = self._verified(token)
        role = claims.get(self._rules.role_claim)
        if not isinstance(role, str) or role not in ROLES:
            raise RoleUnknownError
        return Caller(claims["sub"], ROLES[role], address, float(claims["exp"]))

    def _verified(self, token: str) -> Mapping[str, Any]:
        if len(token) > MAX_TOKEN_CHARACTERS or not _SHAPE.fullmatch(token):
            raise LoginRefusedError("malformed")
        try:
            claims = self._claims(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            reasons = (reason for kind, reason in _REASONS if isinstance(error, kind))
            raise LoginRefusedError(next(reasons, "malformed")) from None
        if not self._are_ours(claims):
            raise LoginRefusedError("claims")
        return claims

    def _claims(self, token: str) -> Mapping[str, Any]:
        header = jwt.get_unverified_header(token)
        key = self._keys.find(header)
        # No extension of JWS is known here, so one that must be understood is not.
        if key is None or "crit" in header:
            raise LoginRefusedError("key")
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=self._rules.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "sub"], "verify_aud": False},
        )

    def _are_ours(self, claims: Mapping[str, Any]) -> bool:
        """Check what PyJWT is lenient with: types of times, other audiences, odd subjects."""
        audience, subject = self._rules.audience, claims["sub"]
        is_for_us = audience is None or claims.get("aud") in (audience, [audience])
        is_timed = all(_is_time(claims[name]) for name in ("exp", "iat", "nbf") if name in claims)
        is_a_name = 0 < len(subject) <= MAX_SUBJECT_CHARACTERS and subject.isprintable()
        return is_for_us and is_timed and is_a_name


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= LAST_SECOND  # type: ignore[operator]
