"""Publishing a recording from a process beside the consumer's."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from bench.recording import Recording
from bench.stage import module
from parts.processes import Child, PartFailedError

FINISH_SECONDS = 900.0


class Published(NamedTuple):
    """What went out, and how long that took."""

    events: int
    seconds: float

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds


class Publisher:
    """Publishes from when it is entered on; ``finish`` waits for the end of it."""

    def __init__(
        self,
        broker_url: str,
        recording: Recording,
        folder: Path,
        events_per_second: float = math.inf,
        times: int = 1,
    ) -> None:
        self.sent = Counter({kind: times * count for kind, count in recording.by_type.items()})
        arguments = (broker_url, str(recording.path), str(events_per_second), str(times))
        self._child: Child = module("publisher", folder, *arguments)

    def __enter__(self) -> Publisher:
        self._child.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()

    @property
    def is_running(self) -> bool:
        return self._child.is_running

    def finish(self) -> Published:
        """Return once the broker has everything."""
        if self._child.wait(FINISH_SECONDS) != 0:
            raise PartFailedError(self._child.log_tail())
        told = json.loads(self._child.log_text().splitlines()[-1])
        return Published(int(told["events"]), told["seconds"])


def publish(
    broker_url: str, recording: Recording, folder: Path, events_per_second: float = math.inf
) -> Published:
    """Publish a recording once; return when the broker has everything."""
    with Publisher(broker_url, recording, folder, events_per_second) as publisher:
        return publisher.finish()
