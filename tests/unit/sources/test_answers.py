"""Workers' answers to ``inspect``, as celery 5.7 gives them, and what is none."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from cluster import Cluster
from hypothesis import given
from hypothesis import strategies as st

from celeriac.model.facts import Binding, Request, Stats, WorkerConf
from celeriac.sources import answers

CANARY = "canary-of-the-broker"
STATS: dict[str, Any] = {
    "total": {"app.add": 12, "app.mail.send": 3},
    "pid": 4711,
    "clock": "9022",
    "uptime": 3605,
    "pool": {
        "implementation": "celery.concurrency.prefork:TaskPool",
        "max-concurrency": 4,
        "processes": [4713, 4714],
        "max-tasks-per-child": "N/A",
        "put-guarded-by-semaphore": False,
        "timeouts": [0, 0],
        "writes": {
            "total": 15,
            "avg": "0.50",
            "all": "0.53, 0.47",
            "raw": "8, 7",
            "strategy": "fair",
            "inqueues": {"total": 2, "active": 0},
        },
    },
    "broker": {
        "hostname": "broker.example",
        "userid": "app",
        "password": CANARY,
        "virtual_host": "0",
        "port": 6379,
        "transport": "redis",
        "transport_options": {"sentinel_kwargs": {"password": CANARY}},
        "alternates": [f"redis://:{CANARY}@other.example/0"],
        "uri_prefix": None,
    },
    "prefetch_count": 16,
    "rusage": {
        "utime": 1.25,
        "stime": 0.5,
        "maxrss": 51200,
        "ixrss": 0,
        "minflt": 21402,
        "majflt": 0,
        "nswap": 0,
        "inblock": 0,
        "oublock": 8,
        "nvcsw": 1200,
        "nivcsw": 33,
    },
}
ACTIVE: dict[str, Any] = {
    "id": "5e8a1c1e-8f3c-4b39-9d53-5a9f0c7d3b11",
    "name": "app.add",
    "args": [1, CANARY],
    "kwargs": {"token": CANARY},
    "type": "app.add",
    "hostname": "celery@one",
    "time_start": 1_700_000_000.5,
    "acknowledged": True,
    "delivery_info": {
        "exchange": "",
        "routing_key": "celery",
        "priority": 0,
        "redelivered": False,
    },
    "worker_pid": 4713,
}
RESERVED = {**ACTIVE, "id": "b", "time_start": None, "acknowledged": False, "worker_pid": None}
SCHEDULED = {"eta": "2030-01-01T00:00:00+00:00", "priority": 6, "request": RESERVED}
QUEUE: dict[str, Any] = {
    "name": "celery",
    "exchange": {
        "name": "celery",
        "type": "direct",
        "arguments": None,
        "durable": True,
        "passive": False,
        "auto_delete": False,
        "delivery_mode": None,
        "no_declare": False,
    },
    "routing_key": "celery",
    "queue_arguments": None,
    "binding_arguments": None,
    "consumer_arguments": None,
    "durable": True,
    "exclusive": False,
    "auto_delete": False,
    "no_ack": False,
    "alias": None,
    "bindings": [],
    "no_declare": None,
    "expires": None,
    "message_ttl": None,
    "max_length": None,
    "max_length_bytes": None,
    "max_priority": None,
}
CONF: dict[str, Any] = {
    "broker_url": f"redis://:{CANARY}@broker.example/0",
    "task_default_queue": "default",
    "task_routes": {"app.mail.*": {"queue": "mail"}, "app.x": "direct", "app.y": {"priority": 5}},
    "beat_schedule": {},
}
ANSWERS: dict[str, Any] = {
    "stats": STATS,
    "active": [ACTIVE],
    "reserved": [RESERVED],
    "scheduled": [SCHEDULED],
    "active_queues": [QUEUE],
    "registered": ["app.add", "app.mail.send [rate_limit=10/m]"],
    "revoked": ["one", "two"],
    "conf": CONF,
}


def raw(content: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(content).encode())


def with_pool(**fields: Any) -> dict[str, Any]:
    return {**STATS, "pool": {**STATS["pool"], **fields}}


def read(**changes: Any) -> tuple[Any, list[str]]:
    """Return the report of a worker whose answers are good but for *changes*."""
    said = {command: raw(content) for command, content in {**ANSWERS, **changes}.items()}
    return answers.report("celery@one", said)


def test_good_answers_are_read_whole() -> None:
    report, unreadable = read()
    assert unreadable == []
    assert report.stats == Stats(
        pid=4711,
        uptime_seconds=3605,
        pool="prefork",
        pool_processes=2,
        prefetch_count=16,
        user_cpu_seconds=1.25,
        system_cpu_seconds=0.5,
        max_resident_memory_bytes=51200 * 1024,
        processed=15,
        processed_by_task={"app.add": 12, "app.mail.send": 3},
    )
    assert report.active == (Request(ACTIVE["id"], "app.add", "", "celery", 1_700_000_000.5),)
    assert report.reserved == report.scheduled == (Request("b", "app.add", "", "celery", None),)
    assert report.bindings == (Binding("celery", "celery", "celery"),)
    assert report.queues == {"celery"}
    assert report.registered == {"app.add", "app.mail.send"}
    assert report.revoked_ids == 2
    assert report.conf == WorkerConf("default", (("app.mail.*", "mail"), ("app.x", "direct")))


def test_no_secret_in_an_answer_is_kept() -> None:
    report, _ = read()
    assert CANARY in json.dumps(ANSWERS)
    assert CANARY not in repr(report)


def test_an_unreadable_answer_is_told_without_its_content() -> None:
    with pytest.raises(answers.UnreadableAnswerError) as caught:
        answers.stats(raw({**STATS, "pool": CANARY, "pid": CANARY}))
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("implementation", "pool"),
    [
        ("celery.concurrency.prefork:TaskPool", "prefork"),
        ("celery.concurrency.solo:TaskPool", "solo"),
        ("celery.concurrency.thread:TaskPool", "threads"),
        ("celery.concurrency.gevent:TaskPool", "gevent"),
        ("celery.concurrency.eventlet:TaskPool", "eventlet"),
        ("app.pools:Own", "app.pools:Own"),
    ],
)
def test_a_pool_has_the_name_of_the_workers_option(implementation: str, pool: str) -> None:
    assert answers.stats(raw(with_pool(implementation=implementation))).pool == pool


@pytest.mark.parametrize(
    ("pool", "slots"),
    [
        ({"processes": [1, 2, 3]}, 3),
        ({"processes": []}, 4),
        ({"processes": None}, 4),
        ({"processes": None, "max-concurrency": 100, "threads": 7}, 100),
        ({"processes": [4711], "max-concurrency": 1}, 1),
    ],
    ids=["prefork", "prefork without children", "gevent", "threads", "solo"],
)
def test_the_slots_of_a_pool_are_its_processes_or_its_concurrency(
    pool: dict[str, Any], slots: int
) -> None:
    assert answers.stats(raw(with_pool(**pool))).pool_processes == slots


def test_a_platform_without_rusage_has_no_cpu_seconds() -> None:
    stats = answers.stats(raw({**STATS, "rusage": "N/A"}))
    assert stats.user_cpu_seconds is None
    assert stats.max_resident_memory_bytes is None


def test_a_worker_that_has_run_nothing_has_processed_0() -> None:
    assert answers.stats(raw({**STATS, "total": {}})).processed == 0


BAD: dict[str, tuple[str, object]] = {
    "60 stats without pool": ("stats", {k: v for k, v in STATS.items() if k != "pool"}),
    "60 stats null": ("stats", None),
    "61 processes a text": ("stats", with_pool(processes="4713, 4714")),
    "61 processes a list of texts": ("stats", with_pool(processes=["4713"])),
    "61 concurrency a text": ("stats", with_pool(**{"max-concurrency": "4"})),
    "62 total a list": ("stats", {**STATS, "total": [1]}),
    "62 total negative": ("stats", {**STATS, "total": {"a": -1}}),
    "62 uptime a text": ("stats", {**STATS, "uptime": "long"}),
    "62 uptime 1e300": ("stats", {**STATS, "uptime": 1e300}),
    "62 maxrss negative": ("stats", {**STATS, "rusage": {**STATS["rusage"], "maxrss": -1}}),
    "62 pid a boolean": ("stats", {**STATS, "pid": True}),
    "65 an error instead": ("stats", {"error": "KeyError('stats')"}),
    "65 an error instead of a list": ("active", {"error": "KeyError('active')"}),
    "66 active_queues null": ("active_queues", None),
    "66 active null": ("active", None),
    "67 queue name of 10 KB": ("active_queues", [{**QUEUE, "name": "q" * 10_240}]),
    "67 queue name empty": ("active_queues", [{**QUEUE, "name": ""}]),
    "68 request without id": ("active", [{"name": "app.add"}]),
    "68 name a number": ("active", [{**ACTIVE, "name": 5}]),
    "68 delivery_info a text": ("reserved", [{**RESERVED, "delivery_info": "celery"}]),
    "68 scheduled without request": ("scheduled", [{"eta": "x"}]),
    "68 registered an object": ("registered", {"app.add": 1}),
    "68 registered null": ("registered", None),
    "68 revoked a number": ("revoked", 2),
    "68 conf a list": ("conf", []),
    "68 default queue a number": ("conf", {**CONF, "task_default_queue": 5}),
}
FIELD_OF = {command: field for command, (field, _) in answers.READERS.items()}


@pytest.mark.parametrize(("command", "content"), BAD.values(), ids=BAD)
def test_an_unreadable_answer_is_unknown_beside_the_others(command: str, content: object) -> None:
    good, _ = read()
    report, unreadable = read(**{command: content})
    assert unreadable == [command]
    for field in FIELD_OF.values():
        expected = None if field == FIELD_OF[command] else getattr(good, field)
        assert getattr(report, field) == expected, field


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"pid": \xff}'], ids=repr
)
@pytest.mark.parametrize("command", list(ANSWERS))
def test_bytes_that_are_no_json_are_an_unreadable_answer(command: str, broken: bytes) -> None:
    _, unreadable = answers.report("celery@one", {command: msgspec.Raw(broken)})
    assert unreadable == [command]


def test_67_a_queue_name_with_a_newline_is_one_name() -> None:
    report, unreadable = read(active_queues=[{**QUEUE, "name": "a\nb"}])
    assert unreadable == [] or report.bindings is None
    cluster = Cluster()
    cluster.answer(report)
    assert set(cluster.show("celery_queue_consumers")) <= {("a\nb",), ("__overflow__",)}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.data())
def test_an_arbitrary_answer_never_raises(data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(sorted(ANSWERS)))
    content = data.draw(anything | st.just(ANSWERS[command]))
    if isinstance(content, dict):
        keys = st.sampled_from(sorted(content)) if content else st.text(max_size=5)
        content = {**content, data.draw(keys): data.draw(anything)}
    report, _ = read(**{command: content})
    cluster = Cluster(counts_processed_by_task=True)
    cluster.answer(report)
    cluster.snapshot()
