"""The one shape of every error: problem+json (RFC 9457), never the text of an exception."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from flask import Response

CONTENT_TYPE = "application/problem+json"


class Problem(msgspec.Struct):
    """What the body of an error says."""

    type: str
    title: str
    status: int
    detail: str


class ProblemError(Exception):
    """An answer that says what is wrong; *detail* is for the caller and carries no secret."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers

    def response(self) -> Response:
        title = HTTPStatus(self.status).phrase
        body = msgspec.json.encode(Problem("about:blank", title, self.status, self.detail))
        return Response(body, self.status, self.headers, content_type=CONTENT_TYPE)


class LoginRefusedError(ProblemError):
    """A token that is not good enough; *reason* is for our own metrics, not for the caller."""

    def __init__(self, reason: str) -> None:
        # The same answer whatever is wrong: it must not help to make a better forgery.
        super().__init__(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})
        self.reason = reason


class RoleUnknownError(LoginRefusedError):
    """A good token whose role is none of ours."""

    def __init__(self) -> None:
        ProblemError.__init__(self, 403, "the token names no role that is known here")
        self.reason = "role"
