"""A real Celery beat."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from parts.processes import Child, Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_SECONDS = 30.0


class Beat(Part):
    """``celery beat``; entered as soon as it has begun. ``child`` can be killed and started again.

    What it has sent is in a file of its own folder, so that it goes on where it was.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        app: str = "workload.scheduled_app",
        scheduler: str | None = None,
        extra: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        command = [sys.executable, "-m", "celery", "-A", app, "beat", "-l", "INFO"]
        command += ["--pidfile=", "-s", str(self.folder / "schedule")]
        command += ["-S", scheduler] if scheduler else []
        environment = {"BROKER_URL": broker_url} | dict(env or {})
        self.child = self.adopt(Child("beat", [*command, *extra], self.folder, environment))

    def start(self) -> None:
        begun = self.child.log_text().count("beat: Starting")
        self.child.start()
        self.child.wait_until(
            lambda: self.child.log_text().count("beat: Starting") > begun,
            START_SECONDS,
            "beat: Starting",
        )
