"""The keys of a JWKS server: fetched again and again, the last good ones kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import jwt
import msgspec
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from urllib3.exceptions import HTTPError

logger = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "ES256")
CURVE = "P-256"
TIMEOUT_SECONDS = 5.0
MAX_BYTES = 1 << 20
MIN_RSA_BITS = 2048
RETRY_SECONDS = 5.0


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


class JwksKeys:
    """Never fetches for a token, so a flood of unknown keys costs the JWKS server nothing."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: Mapping[tuple[str | None, str], jwt.PyJWK] = {}

    def find(self, header: Mapping[str, Any]) -> jwt.PyJWK | None:
        return self._keys.get((header.get("kid"), str(header.get("alg"))))

    def refresh(self) -> float | None:
        """Take over what the server has now; return after how many seconds to try again."""
        try:
            self._keys = read_keys(_fetch(self._url))
        except (OSError, HTTPError, msgspec.MsgspecError, ValueError) as error:
            logger.warning("--jwks-url: no new keys (%s)", type(error).__name__)
            return RETRY_SECONDS
        return None


def read_keys(document: bytes) -> dict[tuple[str | None, str], jwt.PyJWK]:
    """Return the usable keys by kid and algorithm. Errors: MsgspecError; ValueError if none is."""
    usable = {}
    for data in msgspec.json.decode(document, type=_KeySet).keys:
        key = _usable(data)
        if key is not None:
            usable[key.key_id, key.algorithm_name] = key
    if not usable:
        raise ValueError("no usable key")
    return usable


def _usable(data: dict[str, Any]) -> jwt.PyJWK | None:
    """Return one key, None if it cannot be used; a key fails alone."""
    try:
        key = jwt.PyJWK(data)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    is_for_us = key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig")
    is_weak = isinstance(key.key, RSAPublicKey) and key.key.key_size < MIN_RSA_BITS
    is_strange = data.get("crv", CURVE) != CURVE or not isinstance(key.key_id, str | None)
    return None if is_weak or is_strange or "d" in data or not is_for_us else key


def _fetch(url: str) -> bytes:
    """Return the document. Errors: OSError, as those of requests are; HTTPError, ValueError."""
    with requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True) as answer:
        answer.raise_for_status()
        document: bytes = answer.raw.read(MAX_BYTES + 1, decode_content=True)
    if len(document) > MAX_BYTES:
        raise ValueError("too large")
    return document
