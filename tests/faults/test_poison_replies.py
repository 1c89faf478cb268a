"""A worker that answers badly loses its own sample; everybody else's stays whole."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from faults.brokers import NAMES, broker
from faults.fake_worker import Distort, FakeWorker, Reply, reply
from parts.exporter import Exporter
from parts.rabbitmq import RabbitMQ
from parts.workers import Worker

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
MAX_RSS_MEGABYTES = 200
SAMPLE_SECONDS = 12.0
REJECTED = "celery_exporter_replies_rejected_total"
# One family of each answer that a worker gives.
OF_A_REPORT = (
    "celery_worker_pool_processes",
    "celery_worker_prefetch_count",
    "celery_worker_reserved_tasks",
    "celery_worker_scheduled_tasks",
    "celery_worker_revoked_ids",
)
LARGE = "large@fake"
RESERVED = "celery_worker_reserved_tasks"
POOL = "celery_worker_pool_processes"
QUEUE = "celery_queue_consumers"


@dataclass(frozen=True)
class Case:
    """How one command is answered, why that is rejected, which series must not come of it."""

    command: str
    distort: Distort
    reason: str
    absent: str

    @property
    def absent_labels(self) -> str:
        return "queue" if self.absent == QUEUE else "worker"


def _with(**replaced: object) -> Distort:
    """Return an answer of which some fields are replaced, and left out if they are None."""

    def distort(node: str, answer: Any, ticket: str) -> Iterable[Reply]:
        changed = {key: value for key, value in (answer | replaced).items() if value is not None}
        return [reply(node, changed, ticket)]

    return distort


def _instead(other: object) -> Distort:
    return lambda node, _, ticket: [reply(node, other, ticket)]


def _body(body: bytes) -> Distort:
    return lambda _node, _answer, ticket: [Reply(body, ticket)]


def _queue(name: str) -> Distort:
    binding = {"name": name, "routing_key": name, "exchange": {"name": name}}
    return _instead([binding])


def _twice(node: str, answer: Any, ticket: str) -> Iterable[Reply]:
    return [reply(node, answer, ticket), reply(node, answer | {"prefetch_count": 99}, ticket)]


def _foreign_ticket(node: str, answer: Any, _: str) -> Iterable[Reply]:
    return [reply(node, answer, "00000000-0000-4000-8000-000000000000")]


def _no_ticket(node: str, answer: Any, _: str) -> Iterable[Reply]:
    return [reply(node, answer, None)]


def _list_for_a_ticket(node: str, answer: Any, _: str) -> Iterable[Reply]:
    return [reply(node, answer, ["x"])]


def _large(_node: str, _answer: Any, ticket: str) -> Iterable[Reply]:
    return [Reply(_long_answer(50), ticket)]


def _bomb(_node: str, _answer: Any, ticket: str) -> Iterable[Reply]:
    return [Reply(_packed_answer(), ticket, {"compression": "application/x-gzip"})]


def _badly_packed(node: str, answer: Any, ticket: str) -> Iterable[Reply]:
    body = json.dumps({node: answer}).encode()
    return [Reply(body, ticket, {"compression": "application/x-gzip"})]


def _nothing(_node: str, _answer: Any, _ticket: str) -> Iterable[Reply]:
    return []


@cache
def _long_answer(megabytes: int) -> bytes:
    return b'{"%s":"%s"}' % (LARGE.encode(), b"x" * (megabytes * MEGABYTE))


@cache
def _packed_answer() -> bytes:
    # What kombu calls gzip is zlib's own format.
    return zlib.compress(_long_answer(300), level=1)


POOL_OF_TEXT = {"implementation": "prefork", "max-concurrency": 3, "processes": "three"}
CASES = {
    "60 stats without a pool": Case("stats", _with(pool=None), "unreadable", POOL),
    "61 processes of letters": Case("stats", _with(pool=POOL_OF_TEXT), "unreadable", POOL),
    "61 a negative concurrency": Case(
        "stats", _with(pool={"implementation": "x", "max-concurrency": -1}), "unreadable", POOL
    ),
    "62 stats of null": Case("stats", _instead(None), "unreadable", POOL),
    "62 an error for stats": Case("stats", _instead({"error": "no"}), "unreadable", POOL),
    "63 two replies of one node": Case("stats", _twice, "duplicate", POOL),
    "64 a foreign ticket": Case("stats", _foreign_ticket, "ticket", POOL),
    "64 no ticket": Case("stats", _no_ticket, "ticket", POOL),
    "64 a list for a ticket": Case("stats", _list_for_a_ticket, "ticket", POOL),
    "65 no JSON": Case("stats", _body(b"not json"), "malformed", POOL),
    "65 a list": Case("stats", _body(b"[]"), "malformed", POOL),
    "65 100,000 deep": Case("stats", _body(b"[" * 100_000 + b"]" * 100_000), "malformed", POOL),
    "65 a pickle": Case("stats", _body(b"\x80\x04N."), "malformed", POOL),
    "65 compressed badly": Case("stats", _badly_packed, "malformed", POOL),
    "66 active_queues of null": Case("active_queues", _instead(None), "unreadable", QUEUE),
    "67 a queue's name of 10 kB": Case("active_queues", _queue("q" * 10_000), "unreadable", QUEUE),
    "68 reserved of numbers": Case("reserved", _instead([1, 2]), "unreadable", RESERVED),
}


class Stand:
    """A broker, a real worker, and an exporter that has sampled it."""

    def __init__(self, broker_url: str, worker: Worker, exporter: Exporter) -> None:
        self.broker_url = broker_url
        self.worker = worker
        self.exporter = exporter

    def rejected(self, reason: str) -> float:
        return self.exporter.sum(REJECTED, reason=reason)

    def wait_for_rejection(self, reason: str, before: float) -> None:
        self.exporter.child.wait_until(
            lambda: self.rejected(reason) > before, SAMPLE_SECONDS, f"a reply rejected as {reason}"
        )

    def missing(self, node: str) -> list[str]:
        """Return the families of a report that *node* has no sample of."""
        samples = self.exporter.samples()
        return [f for f in OF_A_REPORT if (f, frozenset({("worker", node)})) not in samples]

    def require_whole(self) -> None:
        """Wait for every number of the real worker and of its queue."""
        page = self.exporter
        what = "every number of the real worker"
        page.child.wait_until(lambda: not self.missing(self.worker.node), SAMPLE_SECONDS, what)
        assert page.value("celery_worker_up", worker=self.worker.node) == 1
        assert page.value("celery_queue_processes", queue="celery") == 1
        assert page.value("celery_exporter_sample_success", source="workers") == 1
        assert page.sum("celery_exporter_reconnects_total") == 0


@pytest.fixture(scope="module", params=NAMES)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    with ExitStack() as ends:
        url = ends.enter_context(broker(request.param, request)).url
        worker = ends.enter_context(Worker(url, "real", pool="solo"))
        page = ends.enter_context(_exporter(url))
        page.ready()
        worker.ready()
        stand = Stand(url, worker, page)
        stand.require_whole()
        yield stand


def _exporter(broker_url: str, *, timeout_seconds: float = 0.9) -> Exporter:
    # Several run beside each other: none is to have the events of all.
    extra = ("--worker-interval=1", f"--inspect-timeout={timeout_seconds}")
    return Exporter(broker_url, extra=(*extra, "--event-queue=transient"))


@pytest.mark.parametrize("name", CASES)
def test_a_bad_reply_costs_only_its_own_sample(stand: Stand, name: str) -> None:
    case = CASES[name]
    before = stand.rejected(case.reason)
    with FakeWorker(stand.broker_url, _node(name), {case.command: case.distort}) as fake:
        stand.wait_for_rejection(case.reason, before)
        label = "fake" if case.absent == QUEUE else fake.node
        assert stand.exporter.sum(case.absent, **{case.absent_labels: label}) == 0
        assert all(len(queue) < 1000 for queue in _labels(stand.exporter, "queue"))
        stand.require_whole()


def test_a_newline_in_a_queues_name_is_escaped(stand: Stand) -> None:
    fake = FakeWorker(stand.broker_url, "newline@fake", {"active_queues": _queue("a\nb")})
    with fake:
        stand.exporter.wait_for_value("celery_queue_consumers", 1, queue="a\nb")
        stand.require_whole()


def test_a_name_of_10_kb_that_answers_makes_no_series(stand: Stand) -> None:
    longest = "n" * 10_000
    with FakeWorker(stand.broker_url, "names@fake", {"stats": _under_another(longest)}) as fake:
        stand.exporter.wait_for_value(RESERVED, 0, worker=fake.node)
        assert max(map(len, _labels(stand.exporter, "worker"))) < 1000


def test_a_pools_name_of_10_kb_makes_no_label(stand: Stand) -> None:
    pool = {"implementation": "p" * 10_000, "max-concurrency": 3}
    with FakeWorker(stand.broker_url, "pool@fake", {"stats": _with(pool=pool)}) as fake:
        stand.exporter.wait_for_value(RESERVED, 0, worker=fake.node)
        assert max(map(len, _labels(stand.exporter, "pool"))) < 1000


def test_a_command_without_a_reply_ends_with_the_timeout(shared_rabbitmq: RabbitMQ) -> None:
    """The broker's heartbeats, every four seconds, are no reason to go on waiting."""
    with _exporter(shared_rabbitmq.url, timeout_seconds=6) as page:
        page.ready()
        with FakeWorker(shared_rabbitmq.url, "mute@fake", {"stats": _nothing}) as fake:
            page.wait_for_value(RESERVED, 0, worker=fake.node, timeout_seconds=SAMPLE_SECONDS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("distort", [_large, _bomb], ids=["69 of 50 MB", "compressed from 300 MB"])
def test_a_large_reply_takes_little_memory(
    name: str,
    distort: Distort,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    # The answer is made before anybody waits for it.
    distort("", None, "")
    with broker(name, request) as server, _exporter(server.url, timeout_seconds=3) as page:
        page.ready()
        with FakeWorker(server.url, LARGE, {"stats": distort}):
            _wait_for_rejection(page)
        peak = _peak_rss_megabytes(page)
        record_property("peak_rss_megabytes", round(peak))
        print(f"measured: {distort.__name__} on {name}: peak_rss_megabytes {peak:.0f}")
        assert page.value(POOL, worker=LARGE) is None
        assert peak <= MAX_RSS_MEGABYTES


def _wait_for_rejection(page: Exporter) -> None:
    """A compressed answer is refused unopened, as malformed."""
    page.child.wait_until(lambda: page.sum(REJECTED), SAMPLE_SECONDS, "the rejection")


def _under_another(name: str) -> Distort:
    return lambda node, answer, ticket: [
        Reply(json.dumps({node: answer, name: answer}).encode(), ticket)
    ]


def _labels(exporter: Exporter, label: str) -> set[str]:
    """Return every value of a label on the page."""
    return {dict(labels)[label] for _, labels in exporter.samples() if label in dict(labels)}


def _node(name: str) -> str:
    return re.sub(r"\W+", "-", name) + "@fake"


def _peak_rss_megabytes(exporter: Exporter) -> float:
    status = Path(f"/proc/{exporter.child.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024
