"""A real Celery worker."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from parts.processes import Child, Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_SECONDS = 30.0
# Workers of another Celery are those of another environment.
PYTHON = os.environ.get("CELERIAC_WORKER_PYTHON", sys.executable)
HOST = "localhost"


class Worker(Part):
    """``celery worker``: started on entering, usable after ``ready``.

    So several workers can be started together and waited for afterwards.
    ``pool`` is prefork, threads, solo, gevent or eventlet.
    """

    def __init__(
        self,
        broker_url: str,
        name: str,
        *,
        app: str = "workload.app",
        pool: str = "prefork",
        concurrency: int = 2,
        queues: Sequence[str] = ("celery",),
        events: bool = True,
        extra: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.node = f"{name}@{HOST}"
        command = [PYTHON, "-m", "celery", "-A", app, "worker", "-n", self.node]
        command += ["-P", pool, "-c", str(concurrency), "-Q", ",".join(queues), "-l", "INFO"]
        command += ["-E"] if events else []
        environment = {"BROKER_URL": broker_url} | dict(env or {})
        self.child = self.adopt(Child(name, [*command, *extra], self.folder, environment))

    def start(self) -> None:
        """Start it, also once more after it has ended."""
        self._times_ready = self._count_ready()
        self.child.start()

    def ready(self, timeout_seconds: float = START_SECONDS) -> None:
        """Return when the worker consumes its queues, since its latest start."""
        self.child.wait_until(
            lambda: self._count_ready() > self._times_ready, timeout_seconds, f"{self.node} ready"
        )

    def _count_ready(self) -> int:
        return self.child.log_text().count(f"{self.node} ready.")

    def signal_pool(self, signum: int) -> None:
        """Send a signal to the processes that run the tasks, and not to the worker itself."""
        pid = self.child.pid
        for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(one), signum)
