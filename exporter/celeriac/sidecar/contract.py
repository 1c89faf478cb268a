"""What a route is: method, path, role, handler, and the shapes of its body and answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

import msgspec
from flask import Request, Response

from celeriac.sidecar.problems import ProblemError

BASE_PATH = "/celery-admin"
MAX_DETAIL_CHARACTERS = 300

Shape = TypeVar("Shape", bound=msgspec.Struct)


class Role(IntEnum):
    """Who may; each may do whatever those before it may."""

    NONE = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


class Caller(NamedTuple):
    """Who asks: the token's ``sub``, its role, and the address the request came from."""

    subject: str
    role: Role
    address: str
    expires_at: float | None = None
    """Seconds since the epoch."""


class Call(NamedTuple):
    """One request on its way to its handler; ``caller`` is anonymous where no token is asked."""

    request: Request
    caller: Caller
    parameters: Mapping[str, str]
    """Values of the placeholders in the path."""


Handler = Callable[..., msgspec.Struct | Response]
"""Takes a ``Call``; in the table still with the part that it is a method of before it."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table of routes. ``path`` has Flask's placeholders."""

    method: str
    path: str
    role: Role
    handler: Handler
    summary: str
    answer: Any = None
    body: type[msgspec.Struct] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    """Names of query parameters and what they are for."""
    problems: tuple[int, ...] = ()
    """Statuses beside those that every route may answer."""
    status: int = 200
    also_with_answer: tuple[int, ...] = ()
    """Statuses beside this one that come with an answer of the same shape."""
    content_types: tuple[str, ...] = ("application/json",)
    """What the answer may come as; only JSON has the shape ``answer``."""
    base: str = BASE_PATH
    asks_itself: bool = False
    """The handler finds out who calls: it takes other credentials than a bearer token."""


class Upgraded(Response):
    """The answer of a handler that took the socket over and is done with it."""

    def __call__(self, *_: Any) -> Iterable[bytes]:
        return ()


def read_whole(call: Call, name: str, default: int, most: int) -> int:
    """Return a whole number from 1 to *most* of the query. Errors: ProblemError 400."""
    text = call.request.args.get(name, str(default))
    if text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most:
        return int(text)
    raise ProblemError(400, f"{name} must be a whole number from 1 to {most}")


def read_body(call: Call, shape: type[Shape]) -> Shape:
    """Return the JSON body as *shape*, strictly. Errors: ProblemError 400, 413, 415."""
    request = call.request
    body = request.get_data(cache=False)
    if len(body) >= (request.max_content_length or math.inf):
        # Werkzeug 3.1 cuts a body off there that does not tell its length.
        raise ProblemError(413, "the body is too large")
    if not body:
        raise ProblemError(400, "the body is empty")
    if request.mimetype != "application/json" or "Content-Encoding" in request.headers:
        raise ProblemError(415, "the body must be application/json, without a content encoding")
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        # msgspec names the place and the type it expected, and of the sender's own words a field.
        raise ProblemError(400, str(error)[:MAX_DETAIL_CHARACTERS]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProblemError(400, "the body is not valid JSON") from None
