"""Requests' headers and the shape of answers' bodies."""

from __future__ import annotations

import gzip

import pytest

from celeriac.exposition.messages import (
    Headers,
    Response,
    accepts_gzip,
    gzipped_if_wanted,
    in_blocks,
)

LONG = b"celery_up 1\n" * 10_000


def unzipped(response: Response) -> bytes:
    assert not isinstance(response.body, bytes)
    return gzip.decompress(b"".join(response.body))


def test_a_header_is_found_in_any_case() -> None:
    assert Headers([("aCCept", "text/plain")])["Accept"] == "text/plain"


def test_repeated_headers_are_joined() -> None:
    headers = Headers([("Accept", "a"), ("accept", "b")])
    assert dict(headers) == {"accept": "a, b"}


def test_a_missing_header_has_the_default() -> None:
    assert Headers().get("Accept", "*/*") == "*/*"


@pytest.mark.parametrize(
    "value", ["gzip", "GZIP", "deflate, gzip;q=0.5", "*", "gzip; q=0.001", "br;q=1, *;q=0.1"]
)
def test_gzip_is_accepted_where_offered(value: str) -> None:
    assert accepts_gzip(value)


@pytest.mark.parametrize(
    "value", ["", "identity", "br", "gzip;q=0", "gzip; q=0.000", "*;q=0", "gzip;q=0, *", "gzipped"]
)
def test_gzip_is_not_forced_on_others(value: str) -> None:
    assert not accepts_gzip(value)


def test_a_long_body_is_compressed() -> None:
    response = gzipped_if_wanted(Response(LONG), "gzip")
    assert response.headers == {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    assert unzipped(response) == LONG


def test_a_body_in_pieces_is_compressed() -> None:
    response = gzipped_if_wanted(Response(LONG.splitlines(keepends=True)), "gzip")
    assert unzipped(response) == LONG


def test_a_short_body_is_left_alone() -> None:
    response = Response(b"ok\n")
    assert gzipped_if_wanted(response, "gzip") is response


def test_a_body_already_encoded_is_left_alone() -> None:
    response = Response(LONG, headers={"Content-Encoding": "br"})
    assert gzipped_if_wanted(response, "gzip") is response


def test_caches_learn_that_the_encoding_varies_even_when_not_used() -> None:
    response = gzipped_if_wanted(Response(LONG, headers={"Vary": "Accept"}), "")
    assert response.headers == {"Vary": "Accept, Accept-Encoding"}
    assert response.body == LONG


def test_small_pieces_are_joined() -> None:
    blocks = list(in_blocks(LONG.splitlines(keepends=True)))
    assert b"".join(blocks) == LONG
    assert len(blocks) == 2


def test_no_pieces_make_no_blocks() -> None:
    assert list(in_blocks([b"", b""])) == []
