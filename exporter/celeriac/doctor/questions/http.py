"""GET of JSON and text from one address; a failure is one line that shows no URL and no secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import requests

from celeriac.doctor.unexamined import Unexamined
from celeriac.errors import CeleriacError

TIMEOUT_SECONDS = 5.0
MAX_BODY_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 65_536

Shape = TypeVar("Shape")
Answer = TypeVar("Answer")

_SAID = {
    requests.exceptions.SSLError: "TLS fails: the certificate is not trusted, or there is no TLS",
    requests.exceptions.Timeout: f"no answer within {TIMEOUT_SECONDS:g} s",
    requests.exceptions.ConnectionError: "no connection: {reason}",
}
_REASONS = {
    "refused": "refused, nothing listens there",
    "not known": "the host name is not known here",
    "resolve": "the host name is not known here",
    "unreachable": "the network does not reach it",
}


class WebFailureError(CeleriacError):
    """Nobody answered, or not as expected."""


class Address(NamedTuple):
    """Where to ask. User and password may be in the URL; ``url`` without them is what is shown."""

    base: str
    token: str | None = None
    ca_file: Path | None = None

    @property
    def url(self) -> str:
        scheme, _, rest = self.base.rstrip("/").partition("://")
        authority, slash, path = rest.partition("/")
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


class Web:
    """One address and a connection to it."""

    def __init__(self, address: Address) -> None:
        self.url = address.url
        self._base = address.base.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False
        if address.ca_file is not None:
            self._session.verify = str(address.ca_file)
        if address.token is not None:
            self._session.headers["Authorization"] = f"Bearer {address.token}"

    def close(self) -> None:
        self._session.close()

    def text(self, path: str, parameters: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Return status and body. Errors: WebFailureError."""
        status, body = self._get(path, parameters or {})
        return status, body.decode("utf-8", "replace")

    def json(self, path: str, shape: type[Shape], **parameters: Any) -> Shape:
        """Return the body as *shape*. Errors: WebFailureError, also for a refusal."""
        status, body = self._get(path, parameters)
        if status != requests.codes.ok:
            raise refusal(status)
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WebFailureError("what it answers is not what this API would") from error

    def _get(self, path: str, parameters: Mapping[str, Any]) -> tuple[int, bytes]:
        try:
            with self._session.get(
                self._base + path, params=parameters, timeout=TIMEOUT_SECONDS, stream=True
            ) as answer:
                return answer.status_code, _body(answer)
        except (requests.RequestException, OSError) as error:
            raise WebFailureError(_in_words(error)) from error


def answer_or_reason(ask_for: Callable[[], Answer]) -> Answer | Unexamined:
    """Return the answer, or why there is none: not every server has every endpoint."""
    try:
        return ask_for()
    except WebFailureError as error:
        return Unexamined(str(error))


def _body(answer: requests.Response) -> bytes:
    body = b""
    for chunk in answer.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise WebFailureError(f"its answer is longer than {MAX_BODY_BYTES >> 20} MiB")
    return body


def refusal(status: int) -> WebFailureError:
    """Return what *status* means to somebody who wanted an answer."""
    if status in {requests.codes.unauthorized, requests.codes.forbidden}:
        return WebFailureError(f"HTTP {status}: user, password or token are wrong or not enough")
    nothing = ": nothing there" if status == requests.codes.not_found else ""
    return WebFailureError(f"HTTP {status}{nothing}")


def _in_words(error: Exception) -> str:
    """Return what failed; the text of requests' errors holds the URL, which may hold a password."""
    said = str(error).lower()
    reason = next((text for word, text in _REASONS.items() if word in said), "broken off")
    found = (text for kind, text in _SAID.items() if isinstance(error, kind))
    return next(found, "the answer broke off").format(reason=reason)
