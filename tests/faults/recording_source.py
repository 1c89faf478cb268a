"""The real events source, whose counting is a line in a file.

``python -m faults.recording_source URL FILE [FATAL]`` runs it until SIGTERM, or until it has
counted FATAL events and kills itself before they can be acknowledged. A line is written before
counting returns: whatever was counted is in the file, however the process ends.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from celeriac import brokers
from celeriac.brokers.event_queue import EventQueue
from celeriac.celery_app import BrokerOptions, make_app
from celeriac.clock import system_clock
from celeriac.model.state import ClusterState, StateOptions
from celeriac.model.tallies import Buckets
from celeriac.settings import RUNTIME_BUCKETS, WAIT_BUCKETS
from celeriac.sources.events import Backoff, EventsSource


class RecordingState(ClusterState):
    """Writes down each task event; says when it listens."""

    def __init__(self, path: str, fatal: float) -> None:
        super().__init__(StateOptions(Buckets(RUNTIME_BUCKETS, WAIT_BUCKETS, WAIT_BUCKETS)))
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._left = fatal

    def apply_task_events(self, events: Sequence[Any], now: Any) -> None:
        os.write(self._file, "".join(f"{e.uuid} {e.type}\n" for e in events).encode())
        self._left -= len(events)
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def listening(self, now: Any, *, has_kept_events: bool = False) -> None:
        super().listening(now, has_kept_events=has_kept_events)
        print(f"listening, has_kept_events={has_kept_events}", flush=True)


def main() -> None:
    url, path, *fatal = sys.argv[1:]
    options = BrokerOptions(url)
    app, queue = make_app(options), EventQueue("recorded", is_durable=True, max_length=200_000)
    source = EventsSource(
        lambda: brokers.subscribe(options.scheme, app, queue),
        RecordingState(path, float(fatal[0]) if fatal else math.inf),
        system_clock,
        lambda: None,
        Backoff(),
    )
    asked_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.set())
    source.start()
    asked_to_stop.wait()
    source.stop()


if __name__ == "__main__":
    main()
