"""The doctor finds every fault of a real cluster on Redis, and none where there is none."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from faults.fake_worker import FakeWorker
from parts.doctor import Report, doctor
from parts.presence import missing, require
from parts.processes import free_port
from parts.valkey import Valkey
from parts.workers import Worker
from workload.configured_app import make_app

pytestmark = pytest.mark.slow

LONG_SECONDS = 600
# Longer than the doctor calls a task long.
SLOW_ENOUGH_SECONDS = 62.0
PERIOD_SECONDS = 0.5
AHEAD_SECONDS = 90


def worker(broker_url: str, name: str, queue: str = "celery", **more: Any) -> Worker:
    """Return a small worker of any configuration, on a queue of its own."""
    configuration = more.pop("configuration", {})
    env = {"CONFIGURATION": json.dumps(configuration)} | more.pop("env", {})
    app = "workload.configured_app"
    settings = {"app": app, "pool": "threads", "concurrency": 1} | more
    return Worker(broker_url, name, queues=(queue,), env=env, **settings)


def wrong_clock() -> Mapping[str, str]:
    """Return an environment in which it is later than it is."""
    found = find_spec("libfaketime")
    assert found is not None
    assert found.origin is not None
    library = Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"+{AHEAD_SECONDS}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


SICK: Mapping[str, Mapping[str, Any]] = {
    "slow": {"queue": "slow"},
    "off": {"queue": "off", "events": False},
    "mute": {"events": False, "extra": ("--without-heartbeat", "--without-gossip")},
    "deaf": {"configuration": {"worker_enable_remote_control": False}},
    "yaml": {"queue": "yaml", "configuration": {"event_serializer": "yaml"}},
    "late": {
        "queue": "late",
        "configuration": {"broker_transport_options": {"visibility_timeout": 60}},
    },
}


class Ward:
    """One broker with a worker for each fault, and a client that goes on publishing."""

    def __init__(self, broker: Valkey, ends: ExitStack) -> None:
        self.url = broker.url
        self._ends = ends
        self._stopping = threading.Event()
        self._client = threading.Thread(target=self._publish, daemon=True)

    def fill(self) -> None:
        everybody = [worker(self.url, name, **how) for name, how in SICK.items()]
        everybody += [worker(self.url, "twin", "twin") for _ in range(2)]
        if missing("faketime") is None:
            everybody.append(worker(self.url, "skewed", pool="solo", env=wrong_clock()))
        for patient in everybody:
            self._ends.enter_context(patient)
        for patient in everybody:
            patient.ready()
            # Nobody waits for what they are at.
            self._ends.callback(patient.child.kill)
        self._ends.enter_context(FakeWorker(self.url, "old@host", {}))
        self._ends.callback(self._client.join)
        self._ends.callback(self._stopping.set)
        self._client.start()

    def _publish(self) -> None:
        announcing = make_app(self.url)
        for _ in range(3):
            announcing.send_task("configured.sleep", (LONG_SECONDS,), queue="slow")
        announcing.send_task("configured.succeed", queue="late", countdown=LONG_SECONDS)
        silent = make_app(self.url, task_send_sent_event=False)
        while not self._stopping.wait(PERIOD_SECONDS):
            for queue in ("off", "late"):
                silent.send_task("configured.succeed", queue=queue)
            announcing.send_task("configured.retry", (0.1,), queue="celery")


@pytest.fixture(scope="module", autouse=True)
def ward() -> Iterator[tuple[Ward, float]]:
    """The ward, and since when its slow worker has been at it."""
    with Valkey() as broker, ExitStack() as ends:
        made = Ward(broker, ends)
        made.fill()
        yield made, time.monotonic()


# -- the broker ----------------------------------------------------------------------------


def test_nobody_there_is_a_problem() -> None:
    report = doctor(f"redis://127.0.0.1:{free_port()}/0")
    assert report.exit_code == 3
    report.says("broker-unreachable", "problem", "127.0.0.1", "Start the broker")
    assert "workers-silent" in report.not_examined


def test_a_wrong_password_is_a_problem_that_does_not_show_it() -> None:
    with Valkey(password="canary5ecret") as broker:
        report = doctor(broker.url.replace("canary5ecret", "wrong5ecret"))
    assert report.exit_code == 3
    report.says("broker-refused", "problem", "Correct user and password")
    assert "5ecret" not in report.out + report.err


def test_missing_permissions_are_a_problem_with_what_was_denied() -> None:
    with Valkey() as broker:
        with broker.client() as client:
            client.execute_command("ACL", "SETUSER", "few", "on", ">word", "~*", "&*", "+@all")
            client.execute_command("ACL", "SETUSER", "few", "-psubscribe", "-subscribe")
        report = doctor(broker.url.replace("//", "//few:word@"))
    report.says("not-sampled", "problem", "events (auth)", "NoPermission", "to subscribe")


@pytest.fixture(scope="module")
def moved() -> Iterator[dict[int, Report]]:
    """Three applications, and what the doctor says of each, by database, and of none."""
    elsewhere: dict[int, dict[str, Any]] = {
        1: {},
        2: {"broker_transport_options": {"global_keyprefix": "app:"}},
        3: {"control_exchange": "ctl", "event_exchange": "evx"},
    }
    with Valkey() as broker, ExitStack() as ends, ThreadPoolExecutor(2) as pool:
        urls = {number: broker.url.replace("/0", f"/{number}") for number in range(4)}
        workers = [
            ends.enter_context(worker(urls[number], f"db{number}", configuration=configuration))
            for number, configuration in elsewhere.items()
        ]
        for started in workers:
            started.ready()
        make_app(urls[1]).send_task("configured.succeed", queue="parked")
        running = {number: pool.submit(doctor, url) for number, url in urls.items()}
        yield {number: report.result() for number, report in running.items()}


def test_the_right_database_is_named(moved: dict[int, Report]) -> None:
    moved[0].says("redis-database", "problem", "not in database 0", "db1@localhost", "/1")
    moved[0].says("workers-silent", "problem")
    assert moved[0].exit_code == 3


def test_the_right_prefix_is_named(moved: dict[int, Report]) -> None:
    moved[2].says("redis-keyprefix", "problem", "db2@localhost", "global_keyprefix=app:")


def test_the_workers_exchanges_are_named(moved: dict[int, Report]) -> None:
    moved[3].says("control-exchange", "problem", "db3@localhost", "--control-exchange ctl")
    moved[3].says("event-exchange-name", "problem", "--event-exchange evx")


def test_what_waits_where_nobody_consumes_is_named(moved: dict[int, Report]) -> None:
    moved[1].says("queue-unconsumed", "warning", "parked: 1 waiting")
    assert moved[1].alarming == {"queue-unconsumed", "exporter-unreachable"}
    assert moved[1].exit_code == 1


# -- the ward ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(ward: tuple[Ward, float]) -> Report:
    """What the doctor says of all faults at once."""
    sick, since_mono = ward
    time.sleep(max(0.0, since_mono + SLOW_ENOUGH_SECONDS - time.monotonic()))
    return doctor(sick.url, seconds=10)


FOUND = {
    "task-events-off": ("warning", "off@localhost"),
    "heartbeats-off": ("warning", "mute@localhost", "--without-heartbeat"),
    "remote-control-off": ("warning", "deaf@localhost", "worker_enable_remote_control"),
    "worker-namesakes": ("problem", "twin@localhost"),
    "events-unreadable": ("warning", "content_type", "event_serializer"),
    "redelivery": ("warning", "late@localhost", "configured.succeed", "visibility_timeout"),
    "clock-skew": ("problem", "skewed@localhost", f"{AHEAD_SECONDS} s ahead"),
    "versions": ("warning", "celery 5.5.0: old@host"),
    "sent-events-off": ("warning", "configured.succeed", "task_send_sent_event"),
    "prefetch": ("warning", "slow@localhost", "configured.sleep", "worker_prefetch_multiplier"),
    "results": ("note", "No result backend"),
    "exporter-unreachable": ("warning", "localhost:9808"),
}


@pytest.mark.parametrize("code", FOUND)
def test_a_fault_is_found_with_its_culprit(report: Report, code: str) -> None:
    if code == "clock-skew":
        require("faketime")
    severity, *culprits = FOUND[code]
    report.says(code, severity, *culprits)


def test_nothing_else_is_found(report: Report) -> None:
    assert report.alarming <= FOUND.keys()


def test_the_exit_code_is_that_of_problems(report: Report) -> None:
    assert report.exit_code == 3
