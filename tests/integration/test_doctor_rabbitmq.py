"""The doctor on RabbitMQ: virtual host, exchanges, the exporter's own event queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import amqp
import pytest
import requests

from celeriac.brokers.event_queue import PREFETCH_COUNT
from faults.fake_worker import FakeWorker
from parts.doctor import Report, doctor
from parts.exporter import Exporter
from parts.rabbitmq import RabbitMQ
from parts.workers import Worker

pytestmark = pytest.mark.slow

CONFIGURATION = {"worker_send_task_events": True, "result_backend": "rpc://"}
OTHER_NAMES = {"control_exchange": "ctl", "event_exchange": "evx"}


def worker(url: str, name: str, **configuration: str) -> Worker:
    env = {"CONFIGURATION": json.dumps(CONFIGURATION | configuration)}
    return Worker(url, name, app="workload.configured_app", pool="threads", env=env)


class Wing:
    """One node and its virtual hosts: ``home`` with a worker, ``odd`` with one of other names."""

    def __init__(self, node: RabbitMQ, ends: ExitStack) -> None:
        self.node = node
        self.home, self.odd, self.empty, self.spoilt = (
            self._vhost(name, ends) for name in ("home", "odd", "empty", "spoilt")
        )
        workers = [worker(self.home, "one"), worker(self.odd, "two", **OTHER_NAMES)]
        for started in workers:
            ends.enter_context(started)
        for started in workers:
            started.ready()

    def _vhost(self, name: str, ends: ExitStack) -> str:
        """Create one by the API, which takes a tenth of rabbitmqctl's time."""
        address = f"{self.node.management_url}/api/vhosts/doctor-{name}"
        requests.put(address, json={}, timeout=10).raise_for_status()
        ends.callback(requests.delete, address, timeout=10)
        return self.node.vhost_url(f"doctor-{name}")

    def doctor(self, url: str, *arguments: str) -> Report:
        return doctor(url, "--broker-management-url", self.node.management_url, *arguments)


@pytest.fixture(scope="module")
def wing(shared_rabbitmq: RabbitMQ) -> Iterator[Wing]:
    with ExitStack() as ends:
        yield Wing(shared_rabbitmq, ends)


@pytest.fixture(scope="module")
def reports(wing: Wing) -> dict[str, Report]:
    """What is said while an exporter runs at home, and after it was stopped."""
    with Exporter(wing.home) as exporter:
        exporter.ready()
        during = wing.doctor(wing.home, "--exporter-url", exporter.url)
        reconnects = exporter.value("celery_exporter_reconnects_total", source="events")
        assert reconnects == 0
    return {"during": during, "after": wing.doctor(wing.home)}


def test_a_healthy_set_up_exits_with_0(reports: dict[str, Report]) -> None:
    assert reports["during"].alarming == set(), reports["during"].out
    assert reports["during"].exit_code == 0


def test_an_event_queue_that_nobody_reads_is_a_problem(reports: dict[str, Report]) -> None:
    reports["after"].says("event-queue", "problem", "celeriac.events.default", "no consumer")
    assert reports["after"].exit_code == 3


def test_an_event_queue_that_is_nearly_full_is_a_warning(wing: Wing) -> None:
    with Exporter(wing.home, extra=("--instance", "small", "--event-queue-length", "2")) as small:
        small.ready()
        small.child.pause()
        _publish_events(wing, "doctor-home", PREFETCH_COUNT + 100)
        report = wing.doctor(wing.home, "--instance", "small", "--event-queue-length", "2")
        small.child.resume()
    report.says("event-queue", "warning", "celeriac.events.small", "2 messages of at most 2")


def test_an_instance_that_has_never_run_has_no_queue(wing: Wing) -> None:
    report = wing.doctor(wing.home, "--instance", "nobody")
    report.says("event-queue", "warning", "celeriac.events.nobody", "--instance")


def test_an_empty_virtual_host_is_a_problem_that_names_the_others(wing: Wing) -> None:
    report = wing.doctor(wing.empty)
    report.says("rabbitmq-vhost", "problem", "doctor-empty", "doctor-home", "one@localhost")
    report.says("workers-silent", "problem")


def test_the_workers_exchanges_are_named(wing: Wing) -> None:
    report = wing.doctor(wing.odd)
    report.says("control-exchange", "problem", "two@localhost", "--control-exchange ctl")
    report.says("event-exchange-name", "problem", "--event-exchange evx")


def test_an_event_exchange_of_another_type_is_a_problem(wing: Wing) -> None:
    _declare_event_exchange(wing, "doctor-spoilt", "direct")
    report = wing.doctor(wing.spoilt)
    report.says("event-exchange", "problem", "celeryev", "inequivalent arg 'type'")


def test_a_queue_that_is_consumed_and_does_not_exist_is_named(wing: Wing) -> None:
    with FakeWorker(wing.home, "fake@host", {}):
        report = wing.doctor(wing.home)
    report.says("queue-absent", "warning", "fake")


def test_what_the_management_api_would_tell_is_not_examined_without_it(wing: Wing) -> None:
    report = doctor(wing.home)
    report.says("management-api", "note", "--broker-management-url")
    assert "--broker-management-url" in report.not_examined["control-exchange"]


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        (("doctor-home", "doctor-nowhere"), "rabbitmqctl add_vhost"),
        (("guest:guest", "guest:wrong5ecret"), "Correct user and password"),
    ],
)
def test_a_refusal_tells_what_to_do(wing: Wing, spoil: tuple[str, str], remedy: str) -> None:
    report = doctor(wing.home.replace(*spoil))
    report.says("broker-refused", "problem", remedy)
    assert "wrong5ecret" not in report.out + report.err


def test_a_management_api_that_refuses_is_a_warning(wing: Wing) -> None:
    url = wing.node.management_url.replace("guest:guest", "guest:wrong5ecret")
    report = doctor(wing.home, "--broker-management-url", url)
    report.says("management-api", "warning", "HTTP 401", "monitoring")
    assert "wrong5ecret" not in report.out + report.err


def _publish_events(wing: Wing, vhost: str, count: int) -> None:
    """Publish what the consumer of a queue may hold, and more."""
    host = f"127.0.0.1:{wing.node.port}"
    with amqp.Connection(host, virtual_host=vhost) as connection:
        channel = connection.channel()
        for _ in range(count):
            channel.basic_publish(amqp.Message("{}"), "celeryev", "task.multi")


def _declare_event_exchange(wing: Wing, vhost: str, kind: str) -> None:
    host = f"127.0.0.1:{wing.node.port}"
    with amqp.Connection(host, virtual_host=vhost) as connection:
        connection.channel().exchange_declare("celeryev", kind, durable=True, auto_delete=False)
