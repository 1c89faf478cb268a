"""The beat source: whose schedule counts, in which time zone, and what is left out."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cluster import Cluster, report

from celeriac.errors import BrokerUnavailableError
from celeriac.model.facts import Moment, ScheduledEntry, WorkerConf
from celeriac.sources.beat import BeatSource, zone_name

INTERVAL = "celery_beat_entry_interval_seconds"
BERLIN = "Europe/Berlin"
SUNSET = "<solar: sunset at latitude 48, longitude: 11>"


class Stored:
    """A schedule in the broker's database."""

    def __init__(self, *definitions: dict[str, Any]) -> None:
        self.definitions = [json.dumps(definition).encode() for definition in definitions]
        self.error: Exception | None = None
        self.is_closed = False

    def fetch(self) -> list[bytes]:
        if self.error is not None:
            raise self.error
        return self.definitions

    def close(self) -> None:
        self.is_closed = True


class Sampling:
    """A beat source beside a cluster whose workers tell what they are told to."""

    def __init__(
        self, stored: Stored | None = None, expected: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.cluster = Cluster()
        self.source = BeatSource(self.cluster.state, lambda: self.cluster.now, stored, expected)

    def tell(self, worker: str = "celery@one", /, zone: str | None = "UTC", **entries: str) -> None:
        """Let *worker* have a schedule: each entry by its name, as text."""
        beat_schedule = tuple(
            ScheduledEntry(name, f"app.{name}", text) for name, text in entries.items()
        )
        conf = WorkerConf(beat_schedule=beat_schedule, timezone=zone)
        self.cluster.answer(report(worker, conf=conf))

    def intervals(self) -> dict[str, float]:
        """Take a sample; return the interval on the page by entry."""
        self.source.sample_once()
        samples = self.cluster.first(INTERVAL).items()
        return {entry: value for (entry, _), value in samples}  # type: ignore[misc]

    def succeeds(self) -> bool:
        views = self.cluster.state.source_views(self.cluster.now)
        return next(view.is_successful for view in views if view.source == "beat")

    def set_clock(self, *when: int, zone: str = BERLIN, fold: int = 0) -> None:
        at = datetime(*when, tzinfo=ZoneInfo(zone), fold=fold).timestamp()  # type: ignore[arg-type,misc]
        self.cluster.now = Moment(at, self.cluster.now.mono)


def test_a_workers_schedule_is_on_the_page() -> None:
    sampling = Sampling()
    sampling.tell(often="30.0", nightly="<crontab: 30 3 * * * (m/h/dM/MY/d)>")
    assert sampling.intervals() == {"often": 30, "nightly": 86_400}
    assert sampling.succeeds()


def test_the_schedules_of_all_workers_are_one() -> None:
    sampling = Sampling()
    sampling.tell("celery@one", one="30.0")
    sampling.tell("celery@two", two="60.0")
    assert sampling.intervals() == {"one": 30, "two": 60}


def test_where_workers_do_not_agree_the_longer_interval_counts() -> None:
    sampling = Sampling()
    sampling.tell("celery@one", often="30.0")
    sampling.tell("celery@two", often="1 day, 0:00:00")
    sampling.tell("celery@three", often="60.0")
    assert sampling.intervals() == {"often": 86_400}


def test_an_entry_that_no_worker_names_any_more_is_gone() -> None:
    sampling = Sampling()
    sampling.tell(one="30.0", two="60.0")
    sampling.intervals()
    sampling.tell(two="60.0")
    assert sampling.intervals() == {"two": 60}


def test_entries_stay_for_three_minutes_without_workers() -> None:
    sampling = Sampling()
    sampling.tell(often="30.0")
    sampling.intervals()
    sampling.cluster.goodbye()
    sampling.cluster.wait(180)
    assert sampling.intervals() == {"often": 30}
    sampling.cluster.wait(1)
    assert sampling.intervals() == {}


def test_without_anybody_there_is_nothing() -> None:
    sampling = Sampling()
    assert sampling.intervals() == {}
    assert sampling.succeeds()


# -- the change of clocks -------------------------------------------------------------------------


def test_a_crontab_is_longer_while_its_zone_sets_clocks_back() -> None:
    sampling = Sampling()
    crontab = "<crontab: */5 * * * * (m/h/dM/MY/d)>"
    sampling.tell("celery@one", zone=BERLIN, here=crontab)
    sampling.tell("celery@two", zone="Asia/Tokyo", there=crontab)
    for when, fold, seconds in (
        ((2026, 10, 25, 2, 54), 0, 300),
        ((2026, 10, 25, 2, 56), 0, 3900),
        ((2026, 10, 25, 2, 30), 1, 3900),
        ((2026, 10, 25, 3, 6), 0, 300),
    ):
        sampling.set_clock(*when, fold=fold)
        assert sampling.intervals() == {"here": seconds, "there": 300}


def test_a_daily_entry_is_not_overdue_after_a_day_of_25_hours() -> None:
    sampling = Sampling()
    sampling.tell(zone=BERLIN, daily="<crontab: 0 9 * * * (m/h/dM/MY/d)>")
    sampling.set_clock(2026, 10, 25, 8, 59)
    assert sampling.intervals() == {"daily": 90_000}


@pytest.mark.parametrize(
    ("conf", "zone"),
    [
        (WorkerConf(timezone=BERLIN), BERLIN),
        (WorkerConf(timezone=BERLIN, enable_utc=False), BERLIN),
        (WorkerConf(), "UTC"),
        (WorkerConf(timezone=""), "UTC"),
        (WorkerConf(enable_utc=False), None),
    ],
)
def test_the_zone_is_the_one_that_celery_takes(conf: WorkerConf, zone: str | None) -> None:
    assert zone_name(conf) == zone


# -- what cannot be read --------------------------------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_cannot_be_read_is_left_out_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    sampling = Sampling()
    sampling.tell(often="30.0", sunset=SUNSET)
    assert sampling.intervals() == sampling.intervals() == {"often": 30}
    assert sampling.succeeds()
    (line,) = warnings(caplog)
    assert "'sunset'" in line
    assert SUNSET in line


def test_an_entry_in_an_unknown_zone_is_left_out_with_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sampling = Sampling(expected=[("app.report", "5m")])
    sampling.tell(zone="Mars/Olympus", often="<crontab: * * * * * (m/h/dM/MY/d)>")
    assert sampling.intervals() == sampling.intervals() == {"app.report": 300}
    (line,) = warnings(caplog)
    assert "unknown time zone 'Mars/Olympus'" in line


def test_a_name_with_a_newline_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    sampling = Sampling()
    sampling.tell(**{"a\nb": SUNSET})
    sampling.intervals()
    (line,) = warnings(caplog)
    assert "\n" not in line


def test_the_log_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    sampling = Sampling()
    for number in range(50):
        sampling.tell(**{f"{number} {n}": SUNSET for n in range(100)})
        sampling.intervals()
    assert len(warnings(caplog)) == 2000


# -- the schedule that is stored, and what is expected --------------------------------------------


def definition(name: str = "stored", **changes: Any) -> dict[str, Any]:
    every = {"__type__": "interval", "every": 45, "relative": False}
    return {"name": name, "task": f"app.{name}", "schedule": every, "enabled": True, **changes}


def test_a_stored_schedule_needs_no_worker() -> None:
    assert Sampling(Stored(definition())).intervals() == {"stored": 45}


def test_a_stored_crontab_is_in_the_zone_of_the_workers() -> None:
    sampling = Sampling(Stored(definition(schedule={"__type__": "crontab", "minute": "0"})))
    sampling.set_clock(2026, 10, 25, 2, 30, fold=1)
    assert sampling.intervals() == {"stored": 3600}
    sampling.tell(zone=BERLIN)
    assert sampling.intervals() == {"stored": 7200}


def test_what_is_stored_as_switched_off_is_not_expected() -> None:
    sampling = Sampling(Stored(definition("often", enabled=False)))
    sampling.tell(often="30.0", other="60.0")
    assert sampling.intervals() == {"other": 60}


def test_an_expected_task_is_an_entry_of_its_own_name() -> None:
    sampling = Sampling(expected=[("app.report", "1h30m"), ("app.mail", "0 9 * * 1-5")])
    assert sampling.intervals() == {"app.report": 5400, "app.mail": 259_200}


def test_while_the_stored_schedule_cannot_be_fetched_the_last_one_stays_for_three_minutes() -> None:
    stored = Stored(definition())
    sampling = Sampling(stored)
    sampling.intervals()
    stored.error = BrokerUnavailableError("gone")
    sampling.cluster.wait(180)
    assert sampling.intervals() == {"stored": 45}
    assert not sampling.succeeds()
    sampling.cluster.wait(1)
    assert sampling.intervals() == {}


def test_closing_gives_the_connection_back() -> None:
    stored = Stored()
    Sampling(stored).source.close()
    Sampling().source.close()
    assert stored.is_closed
