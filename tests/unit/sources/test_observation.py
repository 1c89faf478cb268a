"""How a source reports on itself: once into the state, once into the log."""

from __future__ import annotations

import logging

import pytest
from cluster import EPOCH, Cluster

from celeriac.errors import BrokerRefusedError, BrokerUnavailableError, ConfigurationError
from celeriac.model.facts import Moment
from celeriac.model.sources import SourceView
from celeriac.sources.observation import Observation, reason_of


class Sampling:
    """An observed source whose samples take a quarter of a second."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self._mono = 100.0
        self.observation = Observation("queues", self.cluster.state, self._clock)

    def _clock(self) -> Moment:
        self._mono += 0.25
        return Moment(EPOCH, self._mono)

    def sample(self, error: BaseException | None = None) -> None:
        with self.observation.sample():
            if error is not None:
                raise error

    def view(self) -> SourceView:
        views = self.cluster.state.source_views(Moment(EPOCH, self._mono))
        return next(view for view in views if view.source == "queues")


@pytest.fixture
def sampling(caplog: pytest.LogCaptureFixture) -> Sampling:
    caplog.set_level(logging.INFO)
    return Sampling()


def test_a_sample_that_ends_well_is_a_success(sampling: Sampling) -> None:
    sampling.sample()
    view = sampling.view()
    assert (view.is_successful, view.duration_seconds, view.last_success_at) == (True, 0.25, EPOCH)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BrokerUnavailableError("away"), "broker"),
        (BrokerRefusedError("no"), "auth"),
        (KeyError("x"), "error"),
        (RecursionError(), "error"),
        (ConfigurationError("--x", "y"), "error"),
    ],
)
def test_a_failure_has_one_word_for_its_reason(
    sampling: Sampling, error: Exception, reason: str
) -> None:
    sampling.sample(error)
    assert (sampling.view().is_successful, sampling.view().reason) == (False, reason)
    assert reason_of(error) == reason


def test_a_failure_has_a_duration(sampling: Sampling) -> None:
    sampling.sample(KeyError())
    assert sampling.view().duration_seconds == 0.25


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_what_ends_the_process_is_not_held_up(sampling: Sampling, error: BaseException) -> None:
    with pytest.raises(type(error)):
        sampling.sample(error)


def test_a_failure_outside_a_sample_has_no_duration(sampling: Sampling) -> None:
    sampling.observation.fail(BrokerRefusedError("no"))
    assert (sampling.view().reason, sampling.view().duration_seconds) == ("auth", None)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_failure_that_lasts_is_logged_once(
    sampling: Sampling, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        sampling.sample(BrokerUnavailableError("redis://host: refused"))
    assert warnings(caplog) == ["source queues fails: redis://host: refused"]


def test_a_failure_of_another_kind_is_logged_again(
    sampling: Sampling, caplog: pytest.LogCaptureFixture
) -> None:
    sampling.sample(BrokerUnavailableError("away"))
    sampling.sample(BrokerRefusedError("no"))
    assert warnings(caplog) == ["source queues fails: away", "source queues fails: no"]


def test_a_recovery_is_logged_once(sampling: Sampling, caplog: pytest.LogCaptureFixture) -> None:
    sampling.sample(BrokerUnavailableError("away"))
    sampling.sample()
    sampling.sample()
    messages = [record.message for record in caplog.records]
    assert messages.count("source queues works again") == 1


def test_a_failure_after_a_recovery_is_logged_again(
    sampling: Sampling, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        sampling.sample(BrokerUnavailableError("away"))
        sampling.sample()
    assert len(warnings(caplog)) == 2


def test_a_success_that_follows_no_failure_is_not_logged(
    sampling: Sampling, caplog: pytest.LogCaptureFixture
) -> None:
    sampling.sample()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "has_trace"), [(BrokerUnavailableError("away"), False), (KeyError("x"), True)]
)
def test_only_what_nobody_expected_has_a_traceback(
    sampling: Sampling, caplog: pytest.LogCaptureFixture, error: Exception, has_trace: bool
) -> None:
    sampling.sample(error)
    assert bool(caplog.records[0].exc_info) is has_trace
