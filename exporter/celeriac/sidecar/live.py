"""The live numbers: one poller for everybody, running while somebody listens or says so."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import msgspec

from celeriac.clients.exporter_page import ExporterPageError, Page
from celeriac.service import Background
from celeriac.sidecar import dashboard, numbers
from celeriac.sidecar.alerts import Alerts
from celeriac.sidecar.contract import Call
from celeriac.sidecar.dashboard import Dashboard
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.numbers import LiveNumbers, Now, Picture, live_numbers, nothing
from celeriac.sidecar.problems import ProblemError
from celeriac.sidecar.rates import Rates

logger = logging.getLogger(__name__)

NAMES = (*numbers.NAMES, *dashboard.NAMES)
Status = Literal["started", "already_running", "stopped", "not_running"]

FRESH_SECONDS = 1.0
# Of a source of the exporter's.
STALE_AFTER_SECONDS = 30.0
MIN_REST_SECONDS = 0.05
# Of a poll that somebody else makes. The exporter's client gives up about as soon.
PATIENCE_SECONDS = 3.0


class MonitorStatus(msgspec.Struct, frozen=True):
    """Whether the numbers are polled in the background, and for how many WebSocket clients."""

    running: bool
    started_at: dt.datetime | None
    interval_seconds: float
    clients: int
    last_sample_at: dt.datetime | None


class MonitorAnswer(MonitorStatus, frozen=True, kw_only=True):
    """What a command to the monitor came to; one with clients goes on for them when stopped."""

    status: Status


def system_now() -> Now:
    return Now(time.time(), time.monotonic())


class Live(Background):
    """Asks the exporter, keeps its last page, and tells whoever listens about each poll."""

    def __init__(
        self,
        fetch: Callable[[Sequence[str]], Page],
        alerts: Alerts,
        metrics: SidecarMetrics,
        interval_seconds: float = 1.0,
        now: Callable[[], Now] = system_now,
    ) -> None:
        super().__init__("live numbers")
        self._fetch = fetch
        self._alerts = alerts
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._now = now
        self._rates = Rates()
        self._picture: Picture = nothing(now())
        self._sampled_at: dt.datetime | None = None
        self._tried_mono = float("-inf")
        self._polling = threading.Lock()
        self._changing = threading.Lock()
        self._wanted = threading.Event()
        self._is_kept_running = False
        self._clients = 0
        self._started_at: dt.datetime | None = None
        self._listeners: list[Callable[[LiveNumbers], None]] = []

    def listen(self, listener: Callable[[LiveNumbers], None]) -> None:
        """Call *listener* after each poll in the background, in the poller's thread."""
        self._listeners.append(listener)

    def join(self) -> None:
        """Poll in the background until this client leaves."""
        self._change(clients=1)

    def leave(self) -> None:
        self._change(clients=-1)

    def look(self) -> LiveNumbers:
        """Return the numbers, asking the exporter if they are a second old."""
        intervals = 2 if self._wanted.is_set() else 0
        self._refresh(FRESH_SECONDS + intervals * self._interval_seconds)
        return self._numbers()

    def look_around(self) -> Dashboard:
        """Return the dashboard object, asking the exporter if the numbers are a second old."""
        live = self.look()
        return dashboard.dashboard(self._picture, live, self._alerts.latest())

    def show_numbers(self, _: Call) -> LiveNumbers:
        return self._unless_nothing_is_known(self.look())

    def show_dashboard(self, _: Call) -> Dashboard:
        overview = self.look_around()
        self._unless_nothing_is_known(overview.real_time_metrics)
        return overview

    def show_status(self, _: Call) -> MonitorStatus:
        return MonitorStatus(*self._status())

    def keep_running(self, _: Call) -> MonitorAnswer:
        was_running = self._change(is_kept_running=True)
        status: Status = "already_running" if was_running else "started"
        return MonitorAnswer(*self._status(), status=status)

    def let_stop(self, _: Call) -> MonitorAnswer:
        was_running = self._change(is_kept_running=False)
        status: Status = "stopped" if was_running else "not_running"
        return MonitorAnswer(*self._status(), status=status)

    def stop(self) -> None:
        self.stopping.set()
        self._wanted.set()
        super().stop()

    def run(self) -> None:
        # Also once before anybody listens: whoever looks first has something to compare with.
        while not self.stopping.is_set():
            began_mono = self._now().mono
            self._poll_and_tell()
            rest_seconds = self._interval_seconds - (self._now().mono - began_mono)
            self.stopping.wait(max(MIN_REST_SECONDS, rest_seconds))
            self._wanted.wait()

    def _poll_and_tell(self) -> None:
        try:
            self._refresh(0)
            live = self._numbers()
            for listener in self._listeners:
                listener(live)
        except Exception:
            logger.exception("a poll failed in a way that nobody expected; please report it")

    def _numbers(self) -> LiveNumbers:
        return live_numbers(self._picture, self._now(), STALE_AFTER_SECONDS)

    def _refresh(self, max_age_seconds: float) -> None:
        """Ask the exporter unless somebody did so lately; one asks, the others wait for him."""
        began_mono = self._now().mono
        if began_mono - self._tried_mono <= max_age_seconds:
            return
        if not self._polling.acquire(timeout=PATIENCE_SECONDS):
            return
        try:
            if self._tried_mono < began_mono:
                self._poll()
        finally:
            self._polling.release()

    def _poll(self) -> None:
        try:
            page = self._fetch(NAMES)
        except ExporterPageError as error:
            self._note_failure(error)
        else:
            self._note_page(page)
        self._tried_mono = self._now().mono

    def _note_page(self, page: Page) -> None:
        now = self._now()
        if self._picture.is_away:
            logger.info("the exporter answers")
        self._picture = Picture(page, self._rates.take(page, now.mono), now)
        self._sampled_at = now.time
        self._metrics.polled(now.mono)

    def _note_failure(self, error: ExporterPageError) -> None:
        """Keep the last numbers, and log the first failure of a row."""
        is_news = self._tried_mono == float("-inf")
        if not self._picture.is_away:
            self._picture = replace(self._picture, is_away=True)
            is_news = True
        logger.log(logging.WARNING if is_news else logging.DEBUG, "no live numbers: %s", error)

    def _unless_nothing_is_known(self, live: LiveNumbers) -> LiveNumbers:
        if self._sampled_at is None:
            raise ProblemError(503, "the exporter does not answer, and has not before")
        return live

    def _change(self, *, clients: int = 0, is_kept_running: bool | None = None) -> bool:
        """Take a wish; return whether the monitor had been told to run before."""
        with self._changing:
            before = self._is_kept_running
            self._clients += clients
            if is_kept_running is not None:
                self._is_kept_running = is_kept_running
            if not (self._clients or self._is_kept_running):
                self._wanted.clear()
                self._started_at = None
            elif not self._wanted.is_set():
                self._started_at = self._now().time
                self._wanted.set()
            return before

    def _status(self) -> tuple[bool, dt.datetime | None, float, int, dt.datetime | None]:
        is_running, interval = self._wanted.is_set(), self._interval_seconds
        return is_running, self._started_at, interval, self._clients, self._sampled_at
