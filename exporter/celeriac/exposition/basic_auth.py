"""Passwords by HTTP's Basic scheme: slow to guess, quick to check once proven."""

from __future__ import annotations

import base64
import hmac
import secrets
import threading
from collections.abc import Mapping

import bcrypt

# bcrypt reads no further; its library used to cut silently and refuses since version 5.
_BCRYPT_READS_BYTES = 72


class BasicAuth:
    """Knows users by the bcrypt hashes of their passwords."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._hashes = {name.encode(): password.encode() for name, password in users.items()}
        # An unknown user costs as much time as the costliest known one, so as to be no oracle.
        cost = max((password[4:6] for password in self._hashes.values()), default=b"10")
        self._decoy = b"$2b$" + cost + b"$" + b"." * 53
        self._key = secrets.token_bytes(32)
        self._proven: dict[bytes, bytes] = {}
        self._one_at_a_time = threading.Lock()

    def allows(self, authorization: str) -> bool:
        """Tell whether the header's value has a known user's password.

        A password seen right before takes microseconds; any other takes bcrypt's time, one at a
        time, so that guessing keeps no more than one core busy.
        """
        user, _, password = _credentials(authorization).partition(b":")
        return bool(user) and (self._is_proven(user, password) or self._prove(user, password))

    def _is_proven(self, user: bytes, password: bytes) -> bool:
        return hmac.compare_digest(self._proven.get(user, b""), self._digest(password))

    def _prove(self, user: bytes, password: bytes) -> bool:
        with self._one_at_a_time:
            is_match = _matches(password, self._hashes.get(user, self._decoy))
        is_allowed = is_match and user in self._hashes
        if is_allowed:
            # One per known user, so this is bounded by the file.
            self._proven[user] = self._digest(password)
        return is_allowed

    def _digest(self, password: bytes) -> bytes:
        return hmac.digest(self._key, password, "sha256")


def _credentials(authorization: str) -> bytes:
    """Return ``user:password``, or nothing when the value is not of the Basic scheme."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        return b""


def _matches(password: bytes, password_hash: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:_BCRYPT_READS_BYTES], password_hash)
    except ValueError:  # a NUL byte, to some versions
        return False
