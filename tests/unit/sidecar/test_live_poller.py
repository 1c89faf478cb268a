"""One poller for everybody: whoever looks, how often the exporter is asked, what if it is away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from exporter_pages import NOW, page, task

from celeriac.clients.exporter_page import ExporterPageError, Page
from celeriac.sidecar.alerts import Alerts
from celeriac.sidecar.contract import Call
from celeriac.sidecar.live import Live
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.numbers import LiveNumbers, Now
from celeriac.sidecar.problems import ProblemError

WAIT_SECONDS = 5.0


class StubExporter:
    """Gives pages with one more task each time, or none while it is away."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_away = False
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.is_asked = threading.Event()

    def fetch(self, _: Sequence[str]) -> Page:
        self.asked += 1
        self.is_asked.set()
        self.may_answer.wait(WAIT_SECONDS)
        if self.is_away:
            raise ExporterPageError("away")
        return page(task("succeeded_total", self.asked))


class Clock:
    """A clock that stands until it is set, or goes on a little with each look at it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.step_seconds = 0.0

    def __call__(self) -> Now:
        self.seconds += self.step_seconds
        return Now(NOW + self.seconds, 1000 + self.seconds)


class Scene:
    """A poller that was not started, its exporter and its clock."""

    def __init__(self, interval_seconds: float = 0.01) -> None:
        self.exporter, self.clock, self.metrics = StubExporter(), Clock(), SidecarMetrics()
        alerts = Alerts(None, self.metrics)
        self.live = Live(self.exporter.fetch, alerts, self.metrics, interval_seconds, self.clock)

    def handle(self, handler: Callable[[Call], object]) -> object:
        return handler(None)  # type: ignore[arg-type]  # no handler here reads its request

    @contextmanager
    def running(self) -> Iterator[Signals]:
        signals = Signals()
        self.clock.step_seconds = 0.001
        self.live.listen(signals.note)
        self.live.start()
        try:
            yield signals
        finally:
            self.live.stop()
            assert not self.live.is_running


class Signals:
    """Counts what a listener was told."""

    def __init__(self) -> None:
        self._told: list[LiveNumbers] = []
        self._changed = threading.Condition()

    def note(self, live: LiveNumbers) -> None:
        with self._changed:
            self._told.append(live)
            self._changed.notify_all()

    def wait_for(self, n: int) -> list[LiveNumbers]:
        """Return the next *n* that arrive from now on."""
        with self._changed:
            before = len(self._told)
            assert self._changed.wait_for(lambda: len(self._told) >= before + n, WAIT_SECONDS)
            return self._told[before:]

    @property
    def count(self) -> int:
        return len(self._told)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_whoever_looks_within_a_second_gets_the_same_page(scene: Scene) -> None:
    for seconds in (0.0, 0.5, 1.0):
        scene.clock.seconds = seconds
        scene.live.look()
    assert scene.exporter.asked == 1


def test_whoever_looks_later_gets_a_new_page(scene: Scene) -> None:
    scene.live.look()
    scene.clock.seconds = 1.1
    assert scene.live.look().current_throughput == round(1 / 1.1, 3)
    assert scene.exporter.asked == 2


def test_many_who_look_at_once_ask_once(scene: Scene) -> None:
    scene.exporter.may_answer.clear()
    threads = [threading.Thread(target=scene.live.look) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert scene.exporter.is_asked.wait(WAIT_SECONDS)
    scene.exporter.may_answer.set()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert scene.exporter.asked == 1


def test_an_exporter_that_is_away_leaves_its_last_numbers_stale(scene: Scene) -> None:
    scene.live.look()
    scene.exporter.is_away, scene.clock.seconds = True, 5.0
    live = scene.live.look()
    assert (live.active_workers, live.stale, live.data_age_seconds) == (1, True, 5.0)
    assert live.system_health_reasons == ["the exporter does not answer"]


def test_an_exporter_that_is_back_has_fresh_numbers(scene: Scene) -> None:
    scene.live.look()
    scene.exporter.is_away, scene.clock.seconds = True, 5.0
    scene.live.look()
    scene.exporter.is_away, scene.clock.seconds = False, 10.0
    live = scene.live.look()
    assert (live.stale, live.data_age_seconds) == (False, 0.0)


@pytest.mark.parametrize("view", ["show_numbers", "show_dashboard"])
def test_without_any_page_ever_there_is_nothing_to_show(scene: Scene, view: str) -> None:
    scene.exporter.is_away = True
    with pytest.raises(ProblemError) as caught:
        scene.handle(getattr(scene.live, view))
    assert caught.value.status == 503


def test_a_failure_is_logged_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.exporter.is_away = True
    for seconds in (0.0, 2.0, 4.0):
        scene.clock.seconds = seconds
        scene.live.look()
    warnings = [one for one in caplog.records if one.levelname == "WARNING"]
    assert [one.getMessage() for one in warnings] == ["no live numbers: away"]


def test_the_age_of_the_last_poll_is_a_metric(scene: Scene) -> None:
    scene.live.look()
    body, _ = scene.metrics.page("")
    assert b"celeriac_sidecar_poll_age_seconds NaN" not in body


def test_it_polls_while_somebody_listens(scene: Scene) -> None:
    with scene.running() as signals:
        scene.live.join()
        assert len(signals.wait_for(3)) == 3


def test_it_does_not_poll_when_nobody_listens_any_more(scene: Scene) -> None:
    with scene.running() as signals:
        scene.live.join()
        scene.live.join()
        scene.live.leave()
        signals.wait_for(1)
        scene.live.leave()
    # The first one is for whoever looks first; a poll may have been on its way.
    assert scene.exporter.asked <= 1 + signals.count + 1


def test_without_listeners_it_asks_once_at_the_start(scene: Scene) -> None:
    with scene.running():
        assert scene.exporter.is_asked.wait(WAIT_SECONDS)
    assert scene.exporter.asked == 1


def test_start_is_idempotent(scene: Scene) -> None:
    with scene.running() as signals:
        first, second = (scene.handle(scene.live.keep_running) for _ in range(2))
        signals.wait_for(1)
    assert [answer.status for answer in (first, second)] == [  # type: ignore[attr-defined]
        "started",
        "already_running",
    ]


def test_stop_stops(scene: Scene) -> None:
    scene.handle(scene.live.keep_running)
    answers = [scene.handle(scene.live.let_stop) for _ in range(2)]
    assert [answer.status for answer in answers] == [  # type: ignore[attr-defined]
        "stopped",
        "not_running",
    ]
    status = scene.live.show_status(None)  # type: ignore[arg-type]
    assert (status.running, status.started_at) == (False, None)


def test_stop_does_not_take_the_numbers_from_those_who_listen(scene: Scene) -> None:
    scene.live.join()
    scene.handle(scene.live.keep_running)
    scene.handle(scene.live.let_stop)
    status = scene.live.show_status(None)  # type: ignore[arg-type]
    assert (status.running, status.clients) == (True, 1)


def test_listeners_are_told_that_the_exporter_is_away(scene: Scene) -> None:
    with scene.running() as signals:
        scene.live.join()
        signals.wait_for(1)
        scene.exporter.is_away = True
        assert signals.wait_for(3)[-1].stale


def test_a_listener_that_fails_does_not_end_the_poller(scene: Scene) -> None:
    def fail(_: LiveNumbers) -> None:
        raise RuntimeError("oops")

    with scene.running() as signals:
        scene.live.listen(fail)
        scene.live.join()
        assert signals.wait_for(2)


def test_a_poll_that_hangs_does_not_hold_up_whoever_looks(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celeriac.sidecar.live.PATIENCE_SECONDS", 0.01)
    scene.live.look()
    scene.clock.seconds = 5.0
    scene.exporter.may_answer.clear()
    scene.exporter.is_asked.clear()
    hanging = threading.Thread(target=scene.live.look)
    hanging.start()
    assert scene.exporter.is_asked.wait(WAIT_SECONDS)
    assert scene.live.look().data_age_seconds == 5.0
    scene.exporter.may_answer.set()
    hanging.join(WAIT_SECONDS)
