"""Whatever Prometheus does wrong, a report says so in time, and the next one is none the worse."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from celeriac.clients.prometheus_answers import (
    PrometheusAnswerError,
    PrometheusError,
    PrometheusTooSlowError,
    PrometheusUnavailableError,
    Series,
    Span,
)
from celeriac.clients.prometheus_api import PrometheusApi, Reading
from parts.processes import free_port, wait_for
from parts.rude_server import Behaviour, RudeServer, answer, head

TIMEOUT_SECONDS = 1.0
SPAN = Span(1_000, 2_000)
MAX_BYTES = 4 << 20


def json_body(**fields: object) -> bytes:
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": []}} | fields
    ).encode()


def rows(*values: object) -> bytes:
    result = [{"metric": {"task": "a"}, "value": value} for value in values]
    return json_body(data={"resultType": "vector", "result": result})


GOOD = answer(rows([2, "5"]))


def ask(url: str, **options: object) -> list[Series]:
    with PrometheusApi(url, max_answer_bytes=MAX_BYTES, **options).reading(
        TIMEOUT_SECONDS
    ) as reading:  # type: ignore[arg-type]
        return reading.begin("alive", "", SPAN)()


@pytest.fixture
def server() -> Iterator[RudeServer]:
    with RudeServer(GOOD) as rude:
        yield rude


def test_a_good_answer_is_read(server: RudeServer) -> None:
    assert ask(server.url) == [Series("", frozenset({("task", "a")}), [(2_000, 5.0)])]


ANSWERS: dict[str, tuple[Behaviour, type[PrometheusError]]] = {
    "503": (answer(b"Service Unavailable", "503 Service Unavailable"), PrometheusUnavailableError),
    "429": (answer(b"", "429 Too Many Requests"), PrometheusUnavailableError),
    "502-of-a-proxy": (answer(b"<html>", "502 Bad Gateway"), PrometheusUnavailableError),
    "query-timed-out": (
        answer(b'{"status":"error","errorType":"timeout","error":"x"}', "503 Service Unavailable"),
        PrometheusTooSlowError,
    ),
    "401": (answer(b"", "401 Unauthorized"), PrometheusAnswerError),
    "404": (answer(b"404 page not found", "404 Not Found"), PrometheusAnswerError),
    "422": (answer(json_body(status="error"), "422 Unprocessable"), PrometheusAnswerError),
    "500": (answer(b"", "500 Internal Server Error"), PrometheusAnswerError),
    "redirect": (
        answer(b"", "302 Found", "Location: http://127.0.0.1:1/"),
        PrometheusAnswerError,
    ),
    "bad-json": (answer(b'{"status":"succ'), PrometheusAnswerError),
    "html": (answer(b"<html>welcome</html>"), PrometheusAnswerError),
    "not-utf-8": (answer(b'{"status":"\xff"}'), PrometheusAnswerError),
    "deep": (answer(b"[" * 100_000), PrometheusAnswerError),
    "empty": (answer(b""), PrometheusAnswerError),
    "null": (answer(b"null"), PrometheusAnswerError),
    "an-error-as-200": (answer(json_body(status="error")), PrometheusAnswerError),
    "no-data": (answer(b'{"status":"success"}'), PrometheusAnswerError),
    "wrong-types": (answer(rows(5)), PrometheusAnswerError),
    "no-number": (answer(rows([2, "five"])), PrometheusAnswerError),
    "time-is-no-number": (answer(rows(["x", "5"])), PrometheusAnswerError),
    "time-is-endless": (answer(rows([1e308, "5"])), PrometheusAnswerError),
    "partial-warnings": (answer(json_body(warnings=["store away"])), PrometheusAnswerError),
    "partial": (answer(json_body(isPartial=True)), PrometheusAnswerError),
    "gzip-unasked": (
        answer(b"\x1f\x8b\x08", "200 OK", "Content-Encoding: gzip"),
        PrometheusAnswerError,
    ),
    "cut-off": (lambda client: client.sendall(head(1_000) + b'{"status"'), PrometheusError),
    "no-http": (lambda client: client.sendall(b"220 smtp ready\r\n"), PrometheusUnavailableError),
    "hung-up": (lambda client: client.shutdown(socket.SHUT_RDWR), PrometheusUnavailableError),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_wrong_is_refused_and_the_next_one_read(
    server: RudeServer, name: str
) -> None:
    server.behaviour, error = ANSWERS[name]
    with pytest.raises(error) as raised:
        ask(server.url)
    assert str(server.port) not in str(raised.value)
    server.behaviour = GOOD
    assert ask(server.url)


SLOW: dict[str, Callable[[RudeServer], Behaviour]] = {
    "silent": lambda server: server.say_nothing,
    "headers-by-the-byte": lambda server: server.drip(head(2) + b"{}"),
    "body-by-the-byte": lambda server: (
        lambda client: (client.sendall(head(1_000)), server.drip(b" " * 1_000)(client))[0]
    ),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_answer_is_waited_for_so_long_and_no_longer(server: RudeServer, name: str) -> None:
    server.behaviour = SLOW[name](server)
    began = time.monotonic()
    with pytest.raises(PrometheusTooSlowError):
        ask(server.url)
    assert time.monotonic() - began < 10 * TIMEOUT_SECONDS
    server.behaviour = GOOD
    assert ask(server.url)


def test_the_time_is_for_all_queries_together(server: RudeServer) -> None:
    def nearly_too_slow(client: socket.socket) -> None:
        if not server.is_ending.wait(0.6 * TIMEOUT_SECONDS):
            GOOD(client)

    server.behaviour = nearly_too_slow

    def twice(reading: Reading) -> None:
        for _ in range(2):
            reading.begin("alive", "", SPAN)()

    api = PrometheusApi(server.url)
    with pytest.raises(PrometheusTooSlowError), api.reading(TIMEOUT_SECONDS) as reading:
        twice(reading)


def test_a_gigabyte_is_not_read(server: RudeServer) -> None:
    sent: list[int] = []

    def pour(client: socket.socket) -> None:
        client.sendall(head(1 << 30))
        for number in range(1 << 10):
            client.sendall(b" " * (1 << 20))
            sent.append(number)

    server.behaviour = pour
    with pytest.raises(PrometheusAnswerError, match="over 4194304 bytes"):
        ask(server.url)
    server.behaviour = GOOD
    assert ask(server.url)
    assert len(sent) < 100


def test_nobody_there_is_told_at_once() -> None:
    # Not that it was too slow.
    with pytest.raises(PrometheusUnavailableError):
        ask(f"http://127.0.0.1:{free_port()}")


def test_an_address_that_does_not_answer_is_given_up() -> None:
    # Its backlog is full, and nobody accepts.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        with pytest.raises(PrometheusError):
            ask(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        for one in waiting:
            one.close()


def test_numbers_that_are_none_are_left_out(server: RudeServer) -> None:
    server.behaviour = answer(rows([2, "NaN"], [2, "+Inf"], [2, "-Inf"], [2.5, "1"]))
    assert [series.points for series in ask(server.url)] == [[], [], [], [(2_500, 1.0)]]


def test_the_password_is_sent_and_not_shown(server: RudeServer) -> None:
    url = server.url.replace("http://", "http://user:c%40nary@")
    ask(url)
    assert b"Authorization: Basic dXNlcjpjQG5hcnk=" in server.requests[0]
    server.behaviour = ANSWERS["hung-up"][0]
    with pytest.raises(PrometheusUnavailableError) as raised:
        ask(url)
    assert "nary" not in str(raised.value)


def test_the_token_is_read_anew_each_time(server: RudeServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        ask(server.url, token_file=file)
        assert f"Authorization: Bearer {token}\r\n".encode() in server.requests[-1]


def test_a_token_that_cannot_be_read_is_said_without_its_path(
    server: RudeServer, tmp_path: Path
) -> None:
    with pytest.raises(PrometheusError) as raised:
        ask(server.url, token_file=tmp_path / "none")
    assert str(tmp_path) not in str(raised.value)
    assert server.requests == []


def test_a_prefix_of_the_path_is_kept(server: RudeServer) -> None:
    ask(f"{server.url}/select/0/prometheus/")
    assert server.requests[0].startswith(b"POST /select/0/prometheus/api/v1/query HTTP/1.1")


def test_the_server_is_told_when_to_give_up(server: RudeServer) -> None:
    ask(server.url)
    form = parse_qs(server.requests[0].partition(b"\r\n\r\n")[2].decode())
    assert form["query"] == ["vector(1)"]
    assert form["time"] == ["2.000"]
    assert 0 < int(form["timeout"][0].removesuffix("ms")) <= 1_000 * TIMEOUT_SECONDS


def test_long_ranges_are_asked_in_pages(server: RudeServer) -> None:
    with PrometheusApi(server.url).reading(TIMEOUT_SECONDS) as reading:
        (series,) = reading.begin_steps("sums", "x", Span(0, 25_000_000), 1_000)()
    assert len(series.points) == 3
    forms = [parse_qs(request.partition(b"\r\n\r\n")[2].decode()) for request in server.requests]
    asked = sorted((float(form["start"][0]), float(form["end"][0])) for form in forms)
    assert asked == [(0, 9_999), (10_000, 19_999), (20_000, 25_000)]


def test_no_thread_is_left(server: RudeServer) -> None:
    def threads() -> list[str]:
        names = [thread.name for thread in threading.enumerate()]
        return [name for name in names if name.startswith("prometheus")]

    for _ in range(3):
        ask(server.url)
    wait_for(lambda: not threads(), 5, "the end of all threads")
