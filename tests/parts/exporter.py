"""The exporter as its users run it: a process of its own, read over HTTP."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from prometheus_client.parser import text_string_to_metric_families

from parts.processes import Child, Part, accepts_connections, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parts.network import Namespace

START_SECONDS = 20.0
READY_SECONDS = 30.0
TIMEOUT_SECONDS = 5.0

Series = tuple[str, frozenset[tuple[str, str]]]


class Exporter(Part):
    """``celeriac exporter`` beside one broker; entered as soon as ``/livez`` answers.

    ``extra`` are more arguments of the command line, ``env`` more of the environment. Inside a
    ``namespace`` it runs behind that one's links.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        queues: Sequence[str] = (),
        extra: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        namespace: Namespace | None = None,
    ) -> None:
        super().__init__()
        self.host = namespace.inside_address if namespace else "127.0.0.1"
        self.port = free_port()
        self.url = f"http://{self.host}:{self.port}"
        command = [*namespace.prefix] if namespace else []
        command += [sys.executable, "-m", "celeriac", "exporter", "--broker-url", broker_url]
        command += ["--host", self.host, "--port", str(self.port)]
        if queues:
            command += ["--queues", ",".join(queues)]
        self.child = self.adopt(Child("exporter", [*command, *extra], self.folder, env))

    def start(self) -> None:
        self.child.start()
        self.child.wait_until(lambda: self.status("/livez") == 200, START_SECONDS, "/livez")

    def status(self, path: str) -> int | None:
        """Return the HTTP status of a path, None if nobody listens."""
        if not accepts_connections(self.port, self.host):
            return None
        return requests.get(self.url + path, timeout=TIMEOUT_SECONDS).status_code

    @property
    def is_ready(self) -> bool:
        return self.status("/readyz") == 200

    def ready(self, timeout_seconds: float = READY_SECONDS) -> None:
        """Return when ``/readyz`` says that there is something true to serve."""
        self.child.wait_until(lambda: self.is_ready, timeout_seconds, "/readyz")

    def page(self, accept: str | None = None, names: Sequence[str] = ()) -> str:
        """Return the page of metrics, in the format asked for, of the families asked for."""
        response = requests.get(
            f"{self.url}/metrics",
            params=[("name[]", name) for name in names],
            headers={"Accept": accept or "text/plain"},
            timeout=TIMEOUT_SECONDS,
        )
        response.raise_for_status()
        return response.text

    def samples(self, names: Sequence[str] = ()) -> dict[Series, float]:
        """Return the value of every series of one page, by name and labels."""
        return parse_page(self.page(names=names))

    def value(self, name: str, /, **labels: str) -> float | None:
        """Return the series with exactly these labels, None if it is absent."""
        return self.samples().get((name, frozenset(labels.items())))

    def sum(self, name: str, /, **labels: str) -> float:
        """Return the sum of all series of this name that have these labels."""
        wanted = labels.items()
        series = self.samples().items()
        return sum(value for (found, its), value in series if found == name and wanted <= set(its))

    def wait_for_value(
        self, name: str, expected: float | None, /, timeout_seconds: float = 15.0, **labels: str
    ) -> None:
        """Return when the series has the value (None: is absent); raise ``PartFailedError``."""
        what = f"{name}{labels} to be {expected}"
        self.child.wait_until(lambda: self.value(name, **labels) == expected, timeout_seconds, what)

    def rss_megabytes(self) -> float:
        """Return the resident memory of the exporter's process."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024


def parse_page(text: str) -> dict[Series, float]:
    """Return the value of every series of a page in Prometheus' text format."""
    families = text_string_to_metric_families(text)
    samples = (sample for family in families for sample in family.samples)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
