"""Every way to reach a broker: the same task is counted, the same queue is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from certificates import LOOPBACK, authority, signed
from parts.exporter import Exporter
from parts.rabbitmq import RabbitMQ
from parts.redis_sentinel import RedisSentinel
from parts.valkey import Redis, Valkey
from parts.workers import Worker
from workload.configured_app import make_app

pytestmark = pytest.mark.slow

TASKS = 5
WAITING = 3


@dataclass
class Access:
    """How the application reaches its broker, and how the exporter is told to."""

    url: str
    configuration: dict[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    has_pubsub: bool = True


def _redis_database(ends: ExitStack, _: Path) -> Access:
    server = ends.enter_context(Valkey())
    return Access(server.url.removesuffix("/0") + "/7")


def _redis_password(ends: ExitStack, _: Path) -> Access:
    return Access(ends.enter_context(Valkey(password="opensesame")).url)


def _redis_socket(ends: ExitStack, _: Path) -> Access:
    return Access(ends.enter_context(Valkey()).socket_url + "?virtual_host=3")


def _redis_tls(ends: ExitStack, _: Path) -> Access:
    server = ends.enter_context(Redis(tls=True))
    ca = str(server.authority_path)
    return Access(
        server.url,
        {"broker_use_ssl": {"ssl_ca_certs": ca, "ssl_cert_reqs": "required"}},
        (f"--broker-ssl-option=ssl_ca_certs={ca}", "--broker-ssl-option=ssl_cert_reqs=required"),
    )


def _redis_prefix(ends: ExitStack, _: Path) -> Access:
    options = {"global_keyprefix": "shop:"}
    return Access(
        ends.enter_context(Valkey()).url,
        {"broker_transport_options": options},
        ("--broker-transport-option=global_keyprefix=shop:",),
    )


def _redis_without_patterns(ends: ExitStack, _: Path) -> Access:
    return Access(
        ends.enter_context(Valkey()).url,
        {"broker_transport_options": {"fanout_patterns": False}},
        ("--broker-transport-option=fanout_patterns=false",),
    )


def _redis_other_names(ends: ExitStack, _: Path) -> Access:
    return Access(
        ends.enter_context(Valkey()).url,
        {"event_exchange": "shop.events", "control_exchange": "shop"},
        ("--event-exchange=shop.events", "--control-exchange=shop"),
    )


def _sentinel(ends: ExitStack, _: Path) -> Access:
    sentinel = ends.enter_context(RedisSentinel())
    return Access(
        sentinel.url,
        {"broker_transport_options": sentinel.transport_options},
        tuple(
            f"--broker-transport-option={key}={value}"
            for key, value in sentinel.transport_options.items()
        ),
    )


def _amqp_vhost(ends: ExitStack, _: Path) -> Access:
    node = ends.enter_context(RabbitMQ())
    return Access(node.add_vhost("shop/eu"))


def _amqps(ends: ExitStack, folder: Path) -> Access:
    authority().write(folder, "authority")
    signed("localhost", *LOOPBACK).write(folder, "server")
    node = ends.enter_context(RabbitMQ(options=_rabbitmq_tls(folder)))
    url = f"amqps://guest:guest@127.0.0.1:{node.tls_port}//"
    ca = str(folder / "authority.crt")
    return Access(
        url,
        {"broker_use_ssl": {"ca_certs": ca, "cert_reqs": 2}},
        (f"--broker-ssl-option=ca_certs={ca}", "--broker-ssl-option=cert_reqs=CERT_REQUIRED"),
    )


def _rabbitmq_tls(folder: Path) -> Mapping[str, str | int]:
    return {
        "ssl_options.cacertfile": str(folder / "authority.crt"),
        "ssl_options.certfile": str(folder / "server.crt"),
        "ssl_options.keyfile": str(folder / "server.key"),
        "ssl_options.verify": "verify_none",
    }


def _filesystem(_: ExitStack, folder: Path) -> Access:
    places = ("data_folder_in", "data_folder_out", "control_folder")
    paths = dict.fromkeys(places[:2], folder / "messages") | {places[2]: folder / "control"}
    for path in paths.values():
        path.mkdir(exist_ok=True)
    options = {place: str(path) for place, path in paths.items()}
    arguments = tuple(f"--broker-transport-option={key}={path}" for key, path in options.items())
    return Access("filesystem://", {"broker_transport_options": options}, arguments)


WAYS = {
    "redis with another database": _redis_database,
    "redis with a password": _redis_password,
    "redis by unix socket": _redis_socket,
    "rediss": _redis_tls,
    "redis with global_keyprefix": _redis_prefix,
    "redis without fanout_patterns": _redis_without_patterns,
    "redis with other exchanges": _redis_other_names,
    "sentinel": _sentinel,
    "amqp with a virtual host": _amqp_vhost,
    "amqps": _amqps,
    "filesystem": _filesystem,
}


@pytest.fixture(scope="module", params=WAYS)
def exporter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exporter]:
    """An exporter that has seen five tasks succeed, and three that wait where nobody consumes."""
    with ExitStack() as ends:
        access = WAYS[request.param](ends, tmp_path_factory.mktemp("way"))
        page = ends.enter_context(
            Exporter(
                access.url, queues=("parked",), extra=(*access.arguments, "--queue-interval=1")
            )
        )
        worker = ends.enter_context(
            Worker(
                access.url,
                "only",
                app="workload.configured_app",
                pool="solo",
                env={"CONFIGURATION": json.dumps(access.configuration)},
            )
        )
        page.ready()
        worker.ready()
        page.wait_for_value("celery_worker_pool_processes", 1, worker=worker.node)
        app = make_app(access.url, **access.configuration)
        for _ in range(TASKS):
            app.send_task("configured.succeed")
        for _ in range(WAITING):
            app.send_task("configured.succeed", queue="parked")
        yield page


def test_every_task_is_counted(exporter: Exporter) -> None:
    labels = {"task": "configured.succeed", "queue": "celery"}
    exporter.wait_for_value("celery_task_succeeded_total", TASKS, **labels)


def test_every_publication_is_counted(exporter: Exporter) -> None:
    labels = {"task": "configured.succeed", "queue": "parked"}
    exporter.wait_for_value("celery_task_sent_total", WAITING, **labels)


def test_waiting_messages_are_measured(exporter: Exporter) -> None:
    exporter.wait_for_value("celery_queue_length", WAITING, queue="parked")


def test_the_consumed_queue_has_its_consumer(exporter: Exporter) -> None:
    exporter.wait_for_value("celery_queue_consumers", 1, queue="celery")


def test_nothing_is_rejected(exporter: Exporter) -> None:
    assert exporter.sum("celery_exporter_events_rejected_total") == 0


def test_no_password_is_logged(exporter: Exporter) -> None:
    assert "opensesame" not in exporter.child.log_text()
