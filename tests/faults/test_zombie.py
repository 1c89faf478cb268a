"""Zombies made for real: alive, answering, and getting nothing to do any more.

Both are made at once, because to be sure of one takes half a minute.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from parts.exporter import Exporter
from parts.proxy import Link, Proxy
from parts.rabbitmq import RabbitMQ
from parts.valkey import Valkey
from parts.workers import Worker
from workload.configured_app import make_app

pytestmark = pytest.mark.slow

SEEN_WITHIN_SECONDS = 60.0
STALLED = "celery_worker_stalled"
# What takes all slots of the busy worker, for longer than the test.
LONG_TASK = ("configured.sleep", (600,))
MORE_THAN_A_WORKER_TAKES = 30
# Kombu 5.7 drops a consumer's connection that is silent within 26 to 51 seconds by itself, earlier
# releases never did. Here it may not: the zombie is to stay one until it is seen.
NO_HEALTH_CHECK = {"broker_transport_options": {"health_check_interval": 0}}
APP = "workload.configured_app"


@dataclass
class Scene:
    """A worker that becomes a zombie beside one that is busy, and how to bring it back."""

    url: str
    exporter: Exporter
    zombie: Worker
    busy: Worker
    hurt: Callable[[], Callable[[], None]]
    """Makes the zombie, and returns what heals it."""
    heal: Callable[[], None] = field(init=False)
    hurt_mono: float = field(init=False)

    def start(self) -> None:
        """Let both workers work, all slots of *busy* for long; then hurt, and send more."""
        for worker in (self.zombie, self.busy):
            worker.ready()
        with make_app(self.url) as app:
            app.send_task("configured.succeed", queue="celery")
            self.exporter.wait_for_value(
                "celery_worker_processed_total", 1, worker=self.zombie.node
            )
            for _ in range(MORE_THAN_A_WORKER_TAKES):
                app.send_task(*LONG_TASK, queue="mail")
            self.exporter.wait_for_value("celery_worker_active_tasks", 2, worker=self.busy.node)
            self.heal = self.hurt()
            self.hurt_mono = time.monotonic()
            # A zombie may still take what it had asked for before, or can hold without working.
            for _ in range(MORE_THAN_A_WORKER_TAKES):
                app.send_task("configured.succeed", queue="celery")


@pytest.fixture(scope="module")
def scenes(shared_rabbitmq: RabbitMQ) -> Iterator[dict[str, Scene]]:
    with ExitStack() as ends:
        made = {
            "valkey": _cut_off(ends, ends.enter_context(Valkey())),
            "rabbitmq": _hung_up(ends, shared_rabbitmq.add_vhost("zombies")),
        }
        for scene in made.values():
            # It would go on for as long as it may before it ends.
            ends.callback(scene.busy.child.kill)
            scene.start()
        yield made


def _cut_off(ends: ExitStack, valkey: Valkey) -> Scene:
    """Return a worker whose consumer's connection alone goes dead."""
    proxy = ends.enter_context(Proxy(valkey.port))

    def hurt() -> Callable[[], None]:
        consumers = proxy.links_that(lambda said: b"BRPOP" in said)
        assert consumers
        for consumer in consumers:
            consumer.black_hole()
        return lambda: _heal(consumers)

    through = valkey.url.replace(str(valkey.port), str(proxy.port))
    env = {"CONFIGURATION": json.dumps(NO_HEALTH_CHECK)}
    return Scene(
        valkey.url,
        ends.enter_context(Exporter(valkey.url)),
        ends.enter_context(Worker(through, "zombie", app=APP, env=env)),
        ends.enter_context(Worker(valkey.url, "busy", app=APP, queues=("mail",))),
        hurt,
    )


def _heal(links: list[Link]) -> None:
    for link in links:
        link.heal()


def _hung_up(ends: ExitStack, url: str) -> Scene:
    """Return a worker whose pool hangs.

    A consumer that RabbitMQ cancels is no zombie: celery 5.7 takes it for a lost connection.
    """
    zombie = ends.enter_context(Worker(url, "zombie", app=APP))

    def hurt() -> Callable[[], None]:
        zombie.signal_pool(signal.SIGSTOP)
        return lambda: zombie.signal_pool(signal.SIGCONT)

    busy = ends.enter_context(Worker(url, "busy", app=APP, queues=("mail",)))
    return Scene(url, ends.enter_context(Exporter(url)), zombie, busy, hurt)


@pytest.mark.parametrize("broker", ["valkey", "rabbitmq"])
def test_a_zombie_is_told_from_a_busy_worker_until_it_is_healed(
    scenes: dict[str, Scene], broker: str, record_property: Callable[[str, object], None]
) -> None:
    scene = scenes[broker]
    exporter, zombie, busy = scene.exporter, scene.zombie.node, scene.busy.node
    left = SEEN_WITHIN_SECONDS - (time.monotonic() - scene.hurt_mono)
    exporter.wait_for_value(STALLED, 1, timeout_seconds=left, worker=zombie)
    record_property("seen_within_seconds", round(time.monotonic() - scene.hurt_mono, 1))
    assert exporter.value("celery_worker_up", worker=zombie) == 1
    assert exporter.sum("celery_queue_length", queue="celery") > 0
    assert exporter.value(STALLED, worker=busy) == 0
    assert exporter.sum("celery_queue_length", queue="mail") > 0
    scene.heal()
    exporter.wait_for_value(STALLED, 0, worker=zombie)
    exporter.wait_for_value("celery_queue_length", 0, queue="celery")
