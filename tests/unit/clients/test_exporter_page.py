"""The exporter's page as the sidecar reads it: what it understands, what it takes no longer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from celeriac.clients.exporter_page import LANDMARK, ExporterPage, ExporterPageError, parse
from parts.processes import free_port

GOOD = f'{LANDMARK}{{source="queues"}} 1.5\ncelery_active_workers 2\n'
Answer = Callable[[BaseHTTPRequestHandler], None]


class StubExporter(ThreadingHTTPServer):
    """Answers as it is told, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        asked: list[tuple[str, dict[str, str]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, dict(self.headers)))
                answer(self)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = asked
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], StubExporter]]:
    servers: list[StubExporter] = []

    def start(answer: Answer) -> StubExporter:
        server = StubExporter(answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


Serve = Callable[[Answer], StubExporter]


def says(text: str, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = text.encode("utf-8", "surrogateescape")
        handler.send_response_only(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_a_page_is_read_by_names(serve: Serve) -> None:
    server = serve(says(GOOD))
    page = ExporterPage(server.url).fetch(["celery_active_workers"])
    assert page.one("celery_active_workers") == 2
    assert page.by(LANDMARK, "source") == {"queues": 1.5}
    assert server.asked[0][0] == f"/metrics?name%5B%5D={LANDMARK}&name%5B%5D=celery_active_workers"


@pytest.mark.parametrize(
    ("path", "asked"), [("", "/metrics"), ("/", "/metrics"), ("/celery/metrics", "/celery/metrics")]
)
def test_the_path_may_be_told(serve: Serve, path: str, asked: str) -> None:
    server = serve(says(GOOD))
    ExporterPage(server.url + path).fetch([])
    assert server.asked[0][0].partition("?")[0] == asked


def test_user_and_password_of_the_url_are_sent(serve: Serve) -> None:
    server = serve(says(GOOD))
    ExporterPage(server.url.replace("//", "//me:secret@")).fetch([])
    assert server.asked[0][1]["Authorization"] == "Basic bWU6c2VjcmV0"


def test_no_proxy_of_the_environment_is_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ExporterPage(serve(says(GOOD)).url).fetch([]).samples


def test_its_time_is_the_exporters(serve: Serve) -> None:
    server = serve(says(GOOD, Date="Thu, 01 Jan 2026 00:00:00 GMT"))
    assert ExporterPage(server.url).fetch([]).served_at == 1_767_225_600


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (says(GOOD, 503), "answers 503"),
        (says(GOOD, 302, Location="/elsewhere"), "answers 302"),
        (says("<html>"), "a line is no sample"),
        (says(""), "not Celeriac's"),
        (says("celery_active_workers 2\n"), "not Celeriac's"),
        (says(GOOD + "a{b=c} 1\n"), "a label cannot be read"),
        (says(GOOD + "a 1,5\n"), "could not convert"),
        (says(GOOD + "a \udcff\n"), "codec can't decode"),
        (says(GOOD + "a 1\n" * 1000), "is over 2000 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_page_is_an_error(serve: Serve, answer: Answer, problem: str) -> None:
    with pytest.raises(ExporterPageError, match=problem):
        ExporterPage(serve(answer).url, max_bytes=2000).fetch([])


def test_nobody_there_is_an_error_without_a_secret() -> None:
    with pytest.raises(ExporterPageError) as caught:
        ExporterPage(f"http://me:secret@127.0.0.1:{free_port()}").fetch([])
    assert "secret" not in str(caught.value)
    assert "no connection" in str(caught.value)


def test_a_silent_exporter_is_not_waited_for(serve: Serve) -> None:
    over = threading.Event()

    def wait(_: BaseHTTPRequestHandler) -> None:
        over.wait(5)

    server = serve(wait)
    with pytest.raises(ExporterPageError, match="no answer in time"):
        ExporterPage(server.url, timeout_seconds=0.1).fetch([])
    over.set()


def test_an_exporter_that_drips_is_not_waited_for(serve: Serve) -> None:
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(200)
        handler.end_headers()
        while not over.wait(0.02):
            handler.wfile.write(b"#\n")

    server = serve(drip)
    with pytest.raises(ExporterPageError, match="no answer in time"):
        ExporterPage(server.url, timeout_seconds=0.2).fetch([])
    over.set()


def test_a_page_is_understood_as_prometheus_does() -> None:
    text = (
        "# HELP a_total It has a \\ in it\n# TYPE a_total counter\n"
        'a_total{task="x"} 3\n'
        'a_total{task="\\"odd\\"\\\\name\\nwith a line, and } 5",queue="q{"} 4.5e3\n'
        'a_total{task="bébé\u2028x"} 1\n'
        'b{c="_bucket{"} 7\n'
        f"{GOOD}"
    )
    ours = {
        (name, frozenset(labels)): value
        for name, samples in parse(text).items()
        for labels, value in samples.items()
    }
    theirs = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert ours == theirs


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_what_is_no_number_is_absent(value: str) -> None:
    assert "a" not in parse(f"{GOOD}a {value}\n")


def test_buckets_are_left_out() -> None:
    found = parse(f'{GOOD}h_bucket{{le="1"}} 1\nh_count 1\nh_sum 0.5\n')
    assert sorted(name for name in found if name.startswith("h")) == ["h_count", "h_sum"]
