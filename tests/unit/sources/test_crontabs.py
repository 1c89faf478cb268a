"""The gaps between a crontab's runs, by hand and beside Celery's own idea of the next run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab as celery_crontab
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from celeriac.sources.crontabs import Crontab
from celeriac.sources.schedules import UnreadableScheduleError, read

MINUTE, HOUR, DAY = 60, 3600, 86_400
BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"
TOKYO = "Asia/Tokyo"

LONGEST = {
    "* * * * *": MINUTE,
    "*/5 * * * *": 5 * MINUTE,
    "*/7 * * * *": 7 * MINUTE,
    "0,50 * * * *": 50 * MINUTE,
    "0 * * * *": HOUR,
    "0 */4 * * *": 4 * HOUR,
    "0 8-17 * * *": 15 * HOUR,
    "30 9 * * *": DAY,
    "0 9 * * 1-5": 3 * DAY,
    "0 9 * * mon-fri": 3 * DAY,
    "0 9,17 * * 1-5": 2 * DAY + 16 * HOUR,
    "0 9 * * sat,sun": 6 * DAY,
    "0 0 * * 0": 7 * DAY,
    "0 0 1 * *": 31 * DAY,
    "0 0 31 * *": 61 * DAY,
    "0 0 29 * *": 31 * DAY + 28 * DAY,
    "0 0 1 1 *": 366 * DAY,
    # 2100 is no leap year.
    "0 0 29 2 *": (8 * 365 + 1) * DAY,
    "0 0 29 2 mon": (40 * 365 + 9) * DAY,
    # Celery wants all of the day's fields to fit: the first Monday of a month.
    "0 0 1-7 * mon": 35 * DAY,
    "0 0 13 * fri": 427 * DAY,
}


def gaps(text: str) -> Crontab:
    found = read(text).runs
    assert isinstance(found, Crontab)
    return found


def at(zone: str, *when: int, fold: int = 0) -> float:
    return datetime(*when, tzinfo=ZoneInfo(zone), fold=fold).timestamp()  # type: ignore[arg-type,misc]


def interval(text: str, zone: str, *when: int, fold: int = 0) -> float:
    """Return the interval as of *when* on the wall clock of *zone*."""
    return read(text).interval_seconds(zone, at(zone, *when, fold=fold))


@pytest.mark.parametrize(("text", "seconds"), LONGEST.items(), ids=LONGEST)
def test_the_longest_gap_on_the_wall_clock(text: str, seconds: float) -> None:
    assert gaps(text).longest_gap_seconds == seconds


@pytest.mark.parametrize("text", ["*/5 * * * *", "0 9 * * *", "0 0 * * 0", "0 9 * * 1-5"])
@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, TOKYO, "UTC"])
def test_far_from_a_change_of_clocks_the_interval_is_that_gap(text: str, zone: str) -> None:
    assert interval(text, zone, 2026, 7, 15, 12, 34, 56) == gaps(text).longest_gap_seconds


# -- clocks are set back: 2026-10-25 03:00 in Berlin, 2026-11-01 02:00 in New York ---------------


def test_a_daily_run_has_a_day_of_25_hours() -> None:
    text = "0 9 * * *"
    assert interval(text, BERLIN, 2026, 10, 24, 8, 59) == DAY
    assert interval(text, BERLIN, 2026, 10, 24, 9, 0) == 25 * HOUR == 90_000
    # The gap before this one is still the longer: the last run may be on its way.
    assert interval(text, BERLIN, 2026, 10, 25, 12, 0) == 25 * HOUR
    assert interval(text, BERLIN, 2026, 10, 26, 9, 0) == DAY


def test_a_daily_run_in_new_york_has_one_a_week_later() -> None:
    assert interval("0 9 * * *", NEW_YORK, 2026, 10, 25, 12) == DAY
    assert interval("0 9 * * *", NEW_YORK, 2026, 11, 1, 8) == 25 * HOUR


def test_what_runs_often_pauses_while_an_hour_comes_twice() -> None:
    text = "*/5 * * * *"
    pause = HOUR + 5 * MINUTE
    assert interval(text, BERLIN, 2026, 10, 25, 2, 54) == 5 * MINUTE
    assert interval(text, BERLIN, 2026, 10, 25, 2, 55) == pause
    assert interval(text, BERLIN, 2026, 10, 25, 2, 10, fold=1) == pause
    assert interval(text, BERLIN, 2026, 10, 25, 3, 1) == pause
    assert interval(text, BERLIN, 2026, 10, 25, 3, 5) == 5 * MINUTE


def test_an_hourly_run_pauses_for_two_hours() -> None:
    assert interval("0 * * * *", BERLIN, 2026, 10, 25, 2, 30, fold=1) == 2 * HOUR


def test_a_run_in_the_hour_that_comes_twice_is_the_first_of_the_two() -> None:
    assert interval("30 2 * * *", BERLIN, 2026, 10, 24, 12) == DAY
    assert interval("30 2 * * *", BERLIN, 2026, 10, 25, 2, 40) == 25 * HOUR
    assert interval("30 2 * * *", BERLIN, 2026, 10, 25, 2, 40, fold=1) == 25 * HOUR


def test_a_weekend_is_an_hour_longer() -> None:
    assert interval("0 9 * * 1-5", BERLIN, 2026, 10, 24, 12) == 3 * DAY + HOUR


# -- clocks are set forward: 2026-03-29 02:00 in Berlin -------------------------------------------


def test_a_run_at_a_time_that_does_not_exist_is_not_missing() -> None:
    for hour in (1, 3, 4, 12):
        assert interval("30 2 * * *", BERLIN, 2026, 3, 29, hour) == DAY


def test_a_day_of_23_hours_makes_nothing_shorter() -> None:
    for day in (28, 29, 30):
        assert interval("0 9 * * *", BERLIN, 2026, 3, day, 10) == DAY


def test_without_changes_of_clocks_nothing_is_longer() -> None:
    for month in range(1, 13):
        assert interval("*/5 * * * *", TOKYO, 2026, month, 28, 2, 30) == 5 * MINUTE


# -- beside Celery ------------------------------------------------------------------------------


@cache
def app(zone: str) -> Celery:
    made = Celery(zone, set_as_current=False)
    made.conf.timezone = zone
    return made


def celerys_runs(text: str, zone: str, start: datetime, end: datetime) -> Iterator[float]:
    """Yield when beat would send, if it never slept: each run is at the time Celery found due."""
    now = start
    minute, hour, day, month, weekday = text.split()
    asked: Any = celery_crontab(
        minute, hour, weekday, day, month, nowfun=lambda: now, app=app(zone)
    )
    while now < end:
        last, delta, _ = asked.remaining_delta(now, tz=ZoneInfo(zone))
        now = (last + delta).astimezone(UTC)
        yield now.timestamp()


def check_beside_celery(text: str, zone: str, start: datetime, days: int) -> None:
    """No interval is shorter than a gap that Celery leaves; none is longer without a reason."""
    nominal = gaps(text).longest_gap_seconds
    before = timedelta(seconds=2 * nominal) + timedelta(days=1)
    runs = [*celerys_runs(text, zone, start - before, start + timedelta(days=days))]
    for (earlier, last), (_, following) in pairwise(pairwise(runs)):
        expected = max(nominal, last - earlier, following - last)
        for moment in (last, (last + following) / 2, following - 0.001):
            if moment >= start.timestamp():
                assert read(text).interval_seconds(zone, moment) == expected


CHANGES = [
    (BERLIN, datetime(2026, 10, 24, 12, tzinfo=UTC)),
    (BERLIN, datetime(2026, 3, 28, 12, tzinfo=UTC)),
    (NEW_YORK, datetime(2026, 10, 31, 12, tzinfo=UTC)),
    (NEW_YORK, datetime(2026, 3, 7, 12, tzinfo=UTC)),
    # By half an hour, at midnight, and not at all.
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 3, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 10, 31, 12, tzinfo=UTC)),
    (TOKYO, datetime(2026, 10, 24, 12, tzinfo=UTC)),
]
changes = pytest.mark.parametrize(("zone", "start"), CHANGES, ids=[f"{z} {s}" for z, s in CHANGES])


@changes
@pytest.mark.parametrize(
    "text",
    ["*/5 * * * *", "0 * * * *", "30 2 * * *", "15,45 0-3 * * *", "0 9 * * 1-5", "0 3 * * 0"],
)
def test_every_gap_is_celerys_at_a_change_of_clocks(text: str, zone: str, start: datetime) -> None:
    check_beside_celery(text, zone, start, 2)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return (
        st.just("*")
        | st.integers(2, high - low).map("*/{}".format)
        | st.lists(number, min_size=1, max_size=3, unique=True).map(
            lambda numbers: ",".join(map(str, numbers))
        )
        | st.tuples(number, number).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    )


crontabs = st.tuples(
    field(0, 59), field(0, 23), st.just("*") | field(1, 28), st.just("*"), field(0, 6)
).map(" ".join)


@settings(max_examples=30)
@given(crontabs, st.sampled_from(CHANGES))
def test_any_gap_is_celerys_at_a_change_of_clocks(text: str, change: tuple[str, datetime]) -> None:
    zone, start = change
    try:
        assume(gaps(text).longest_gap_seconds < 8 * DAY)
    except UnreadableScheduleError:
        assume(condition=False)
    check_beside_celery(text, zone, start, 1)


@given(crontabs, st.integers(0, 4 * 366))
def test_no_gap_of_some_years_is_longer_than_the_longest(text: str, day: int) -> None:
    start = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=day)
    nominal = gaps(text).longest_gap_seconds
    runs = [*celerys_runs(text, "UTC", start, start + timedelta(days=3))]
    assert all(later - earlier <= nominal for earlier, later in pairwise(runs))
