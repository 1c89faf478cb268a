"""A cluster with everything that watches it, and who is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from drills.load import Load
from drills.shortened import write_shortened

from parts.beat import Beat
from parts.exporter import Exporter
from parts.incidents import BundleAlertmanager, Listener
from parts.processes import Part, PartFailedError, wait_for
from parts.prometheus import Prometheus
from parts.sidecar import Sidecar
from parts.valkey import Valkey
from parts.workers import Worker

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import TypeVar

    Entered = TypeVar("Entered")

APP = "workload.drilled_app"
JOB = "celeriac"
QUEUES = ("celery", "slow", "mail")
# The exporter looks as often as it is scraped; everything else about it is as it comes.
OPTIONS = [
    *("--worker-interval", "1", "--queue-interval", "1", "--beat-interval", "1"),
    *("--inspect-timeout", "1", "--retry-interval", "1"),
    *("--expected-workers", "2", "--max-exceptions", "5"),
]
QUIET_SECONDS = 90.0
KNOWN_SECONDS = 30.0
ALL_BUT_THE_WATCHDOG = 'ALERTS{alertname!="CeleryWatchdog"}'


class Scene(Part):
    """Broker, workers, beat, a load, exporter, sidecar, Prometheus, Alertmanager, a listener."""

    def start(self) -> None:
        self.broker = self._enter(Valkey())
        self.exporter = self._enter(Exporter(self.broker.url, extra=OPTIONS))
        self.one = self._enter(Worker(self.broker.url, "one", app=APP))
        self.two = self._enter(Worker(self.broker.url, "two", app=APP, queues=QUEUES))
        self.beat = self._enter(Beat(self.broker.url, app=APP))
        self.listener = self._enter(Listener())
        self.alertmanager = self._enter(BundleAlertmanager(self.listener.url))
        self.sidecar = self._enter(Sidecar(self.broker.url, self.exporter.url))
        self.scrape(self.exporter)
        self.prometheus = self._enter(self._watch())
        for worker in self.workers:
            worker.ready()
            # In the end it has nothing to finish, and may be in the middle of a long task.
            self._ends.callback(worker.child.kill)
        self.load = self._enter(Load(self.broker.url))

    @property
    def workers(self) -> tuple[Worker, Worker]:
        return self.one, self.two

    def settle(self) -> None:
        """Return when nothing fires, and nothing is about to."""
        try:
            wait_for(self._is_quiet, QUIET_SECONDS, "an end of all alerts")
        except TimeoutError as error:
            raise PartFailedError(f"{error}: {self.alerts()}") from error

    def told(self, since: float) -> set[str]:
        """Return the names of what people were told of since an instant."""
        news = (t for t in self.listener.told if t.at >= since and t.status == "firing")
        return {t.name for t in news if t.receiver not in ("sidecar", "watchdog")}

    def wait_until_told(self, name: str, status: str, since: float, timeout: float) -> float:
        """Return how many seconds after an instant this news came."""
        try:
            wait_for(lambda: self.listener.first(name, status, since), timeout, f"{name} {status}")
        except TimeoutError as error:
            state = f"told: {self.told(since)}; alerts: {self.alerts()}"
            raise PartFailedError(f"{error}; {state}") from error
        news = self.listener.first(name, status, since)
        assert news is not None
        return news.at - since

    def alerts(self) -> list[str]:
        """Return what is pending or fires just now."""
        found = self.prometheus.query(ALL_BUT_THE_WATCHDOG)
        return sorted(f"{labels['alertname']} {labels['alertstate']}" for labels, _ in found)

    def start_again(self, worker: Worker) -> None:
        """Start a worker that has ended, and wait until it consumes."""
        worker.start()
        worker.ready()

    def add_mute_worker(self) -> None:
        """Start a third worker, which sends no task events."""
        self.mute = self._enter(Worker(self.broker.url, "mute", app=APP, events=False))
        self.mute.ready()

    def add_replica(self) -> None:
        """Start another exporter of the same broker, and wait until Prometheus knows it."""
        self.replica = self._enter(Exporter(self.broker.url, extra=OPTIONS))
        self.scrape(self.exporter, self.replica)
        wait_for(
            lambda: len(self.prometheus.query("instance:celery_exporter_known:group")) == 2,
            KNOWN_SECONDS,
            "the replica to be known",
        )

    def scrape(self, *exporters: Exporter) -> None:
        """Let Prometheus find these exporters, and the sidecar."""
        groups = [
            {"targets": [_address(exporter.url)], "labels": {"job": JOB}} for exporter in exporters
        ]
        groups += [{"targets": [_address(self.sidecar.root)], "labels": {"job": f"{JOB}-sidecar"}}]
        # Prometheus watches the file, and must not read half of it.
        written = self._targets.with_suffix(".new")
        written.write_text(json.dumps(groups), encoding="utf-8")
        written.rename(self._targets)

    @property
    def thresholds(self) -> Path:
        """The file of thresholds that Prometheus has loaded."""
        return self.folder / "rules" / "thresholds.yml"

    @property
    def _targets(self) -> Path:
        return self.folder / "targets.json"

    def purge(self, *queues: str) -> None:
        """Throw away what waits."""
        with self.broker.client() as client:
            client.delete(*queues)

    def _watch(self) -> Prometheus:
        return Prometheus(
            rules=write_shortened(self.folder / "rules"),
            alertmanagers=[_address(self.alertmanager.url)],
            scrape={"file_sd_configs": [{"files": [str(self._targets)]}]},
        )

    def _is_quiet(self) -> bool:
        watched = self.prometheus.query(
            f'{{__name__="job:celery_active_workers:max", job="{JOB}"}}'
        )
        return [value for _, value in watched] == [2] and not self.alerts()

    def _enter(self, part: AbstractContextManager[Entered]) -> Entered:
        return self._ends.enter_context(part)


def _address(url: str) -> str:
    return url.removeprefix("http://")
