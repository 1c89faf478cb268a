"""What a route is given and what it answers, and how an answer's body is made smaller."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

# Below about one packet there is nothing to gain.
_GZIP_FROM_BYTES = 1024
# At level 6 the last percents take four times as long.
_GZIP_LEVEL = 1
_GZIP_WBITS = 31
_BLOCK_BYTES = 65536


class Headers(Mapping[str, str]):
    """A request's header fields; case does not matter, repeated ones are joined by commas."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, str] = {}
        for name, value in fields:
            earlier = self._fields.get(name.lower())
            self._fields[name.lower()] = value if earlier is None else f"{earlier}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


@dataclass(frozen=True)
class Request:
    """A GET or HEAD request; the path is as sent, the query decoded."""

    path: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=Headers)


@dataclass(frozen=True)
class Response:
    """An answer; a body in pieces is sent as it is made."""

    body: bytes | Iterable[bytes]
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[Request], Response]


def gzipped_if_wanted(response: Response, accept_encoding: str) -> Response:
    """Return the response, its body compressed where the client takes that and it pays."""
    if not _is_worth_gzip(response):
        return response
    vary = ", ".join(filter(None, [response.headers.get("Vary"), "Accept-Encoding"]))
    headers = {**response.headers, "Vary": vary}
    if not accepts_gzip(accept_encoding):
        return replace(response, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return replace(response, body=_gzipped(response.body), headers=headers)


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether the value of Accept-Encoding names gzip, or anything, with a weight above 0."""
    weights = {}
    for offer in accept_encoding.lower().split(","):
        coding, _, parameter = offer.partition(";")
        weights[coding.strip()] = parameter.replace(" ", "")
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return re.fullmatch(r"q=0(\.0*)?", weight) is None


def in_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces, so that a page made line by line does not take a packet a line."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _BLOCK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if size:
        yield b"".join(waiting)


def _is_worth_gzip(response: Response) -> bool:
    is_short = isinstance(response.body, bytes) and len(response.body) < _GZIP_FROM_BYTES
    return not is_short and "Content-Encoding" not in response.headers


def _gzipped(body: bytes | Iterable[bytes]) -> Iterator[bytes]:
    gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
    for block in _slices(body) if isinstance(body, bytes) else in_blocks(body):
        compressed = gzip.compress(block)
        if compressed:
            yield compressed
    yield gzip.flush()


def _slices(body: bytes) -> Iterator[memoryview]:
    whole = memoryview(body)
    return (whole[start : start + _BLOCK_BYTES] for start in range(0, len(body), _BLOCK_BYTES))
