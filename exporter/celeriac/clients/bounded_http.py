"""One HTTP server, and how it is asked: an answer has a deadline and a limit, or is an error.

No proxy, no redirect, no compression; the texts of errors never hold the address, which may carry
a password.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from celeriac.errors import CeleriacError

CHUNK_BYTES = 1 << 18
CONNECT_SECONDS = 3.0


class HttpError(CeleriacError):
    """There is no answer: check that the server runs, its address and the network between."""


class HttpTooSlowError(HttpError):
    """The answer did not come before its deadline."""

    def __init__(self) -> None:
        super().__init__("no answer in time")


class HttpTooLargeError(HttpError):
    """The answer is over its limit."""


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class HttpServer:
    """An http or https URL, which may carry user and password. Safe for several threads."""

    def __init__(self, url: str, max_bytes: int, ca_file: Path | None = None) -> None:
        """Trust the certificates of *ca_file*, or those that everybody trusts."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        self._max_bytes = max_bytes
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = True if ca_file is None else str(ca_file)
        self._session.headers["Accept-Encoding"] = "identity"
        if parts.username is not None:
            self._session.auth = (unquote(parts.username), unquote(parts.password or ""))

    def get(
        self, path: str, deadline_mono: float, params: Sequence[tuple[str, str]] = ()
    ) -> Answer:
        """Return what is at *path*, below the URL's own. Errors: HttpError."""
        return self._ask("GET", path, deadline_mono, params=params)

    def post(
        self, path: str, deadline_mono: float, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        """Send a form and return the answer. Errors: HttpError."""
        return self._ask("POST", path, deadline_mono, data=form, headers=headers)

    def _ask(self, method: str, path: str, deadline_mono: float, **sent: Any) -> Answer:
        left = seconds_until(deadline_mono)
        try:
            with self._session.request(
                method,
                self._base + path,
                timeout=(min(left, CONNECT_SECONDS), left),
                allow_redirects=False,
                stream=True,
                **sent,
            ) as response:
                body = b"".join(self._chunks(response, deadline_mono))
                return Answer(response.status_code, body, response.headers)
        except (requests.Timeout, TimeoutError) as error:
            raise HttpTooSlowError from error
        except requests.exceptions.SSLError as error:
            text = "its certificate is not trusted, or it speaks no TLS"
            raise HttpError(text) from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise HttpError("no connection, or it was lost") from error

    def _chunks(self, response: requests.Response, deadline_mono: float) -> Iterator[bytes]:
        """Yield the body as it comes; a slow one must not take longer than a silent one may."""
        left = self._max_bytes
        while chunk := response.raw.read1(CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise HttpTooLargeError(f"the answer is over {self._max_bytes} bytes")
            seconds_until(deadline_mono)
            yield chunk


def seconds_until(deadline_mono: float) -> float:
    """Return how much time is left. Errors: HttpTooSlowError if there is none."""
    left = deadline_mono - time.monotonic()
    if left <= 0:
        raise HttpTooSlowError
    return left
