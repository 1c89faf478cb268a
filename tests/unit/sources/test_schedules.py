"""Schedules in every form that Celery shows them in, and in none."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab, schedule
from hypothesis import given
from hypothesis import strategies as st

from celeriac.sources.schedules import (
    Schedule,
    UnreadableScheduleError,
    is_zone,
    read,
    seconds_of_timedelta,
    zone_of,
)

NOON = datetime(2026, 7, 15, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3600, 86_400


def interval(text: str, zone: str | None = "UTC") -> float:
    return read(text).interval_seconds(zone, NOON)


@pytest.mark.parametrize(
    ("text", "seconds"),
    {
        "30": 30,
        "30.0": 30,
        "0.25": 0.25,
        "0:02:00": 120,
        "0:00:00.500000": 0.5,
        "1 day, 0:00:00": DAY,
        "7 days, 12:00:01": 7 * DAY + 12 * HOUR + 1,
        "<freq: 30.00 seconds>": 30,
        "<freq: 1.00 minute>": 60,
        "<freq: 1.50 hours>": 5400,
        "<freq: 2.00 days>": 2 * DAY,
        "<freq: now>": 1,
        "5m": 300,
        "1h30m": 5400,
        "90s": 90,
        "1d": DAY,
        "1.5h": 5400,
    }.items(),
)
def test_a_time_between_runs_is_itself(text: str, seconds: float) -> None:
    assert interval(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    {
        "<crontab: */5 * * * * (m/h/dM/MY/d)>": 300,
        "<crontab: 0 9 * * 1-5 (m/h/dM/MY/d)>": 3 * DAY,
        "<crontab: 0 9 * * mon-fri (m/h/dM/MY/d)>": 3 * DAY,
        # As celery 5.0 to 5.2 wrote it.
        "<crontab: 0 9 1-5 * * (m/h/d/dM/MY)>": 3 * DAY,
        "<crontab: 0 9 * 1 * (m/h/d/dM/MY)>": 31 * DAY,
        # As django-celery-beat does, with the entry's own time zone.
        "<crontab: 0 9 1-5 * * (m/h/d/dM/MY), Asia/Tokyo>": 3 * DAY,
        "<crontab: {0, 30} [8, 9] * * * (m/h/dM/MY/d)>": 22 * HOUR + 1800,
        "<crontab: range(0, 60, 20) * * * * (m/h/dM/MY/d)>": 1200,
        "<crontab: (0,) frozenset({12}) * * * (m/h/dM/MY/d)>": DAY,
        "<crontab: 0, 30 8, 9 * * * (m/h/dM/MY/d)>": 22 * HOUR + 1800,
        "0 9 * * 1-5": 3 * DAY,
    }.items(),
)
def test_a_crontab_is_read_in_the_order_of_its_legend(text: str, seconds: float) -> None:
    assert interval(text) == seconds


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [
        (crontab(minute="*/10"), 600),
        (crontab("0", "9", "mon-fri"), 3 * DAY),
        (crontab(minute=[0, 20, 40], hour={1, 2}), 22 * HOUR + 1200),
        (crontab(minute=range(0, 60, 5)), 300),
        (crontab("0", "8-17", month_of_year="2-12", day_of_month="1"), 61 * DAY + 15 * HOUR),
    ],
    ids=repr,
)
def test_a_crontab_is_read_as_celery_writes_it(shown: crontab, seconds: float) -> None:
    assert interval(repr(shown)) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "0",
        "-5",
        "1e300",
        "nan",
        "inf",
        "none",
        "-1 day, 23:59:00",
        "0:00:00",
        "<solar: sunset at latitude 48, longitude: 11>",
        "<app.schedules.Moon object at 0x7f0000000000>",
        "<freq: often>",
        "<crontab: * * * (m/h/dM/MY/d)>",
        "<crontab: * * * * * (m/h/dM/MY/m)>",
        "<crontab: * * * * * ()>",
        "<crontab: * * * * *>",
        "60 * * * *",
        "*/0 * * * *",
        "* * * * 7",
        "* * 30 2 *",
        "* * 0 * *",
        "a b c d e",
        "[] * * * *",
        "[1.5] * * * *",
        "range(0, 60, 0) * * * *",
        "range(0) * * * *",
        "{99999999} * * * *",
        "* * * *",
        "* * * * * *",
        "[" + "1" * 500 + " * * * *",
        "9" * 500,
        "1d" * 250,
        "<crontab: " + "1, " * 150 + "x (m/h/dM/MY/d)>",
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_schedule_is_refused_at_once(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(UnreadableScheduleError):
        read(text)
    assert time.perf_counter() - began < 0.1


@given(st.text(max_size=60) | st.text("0123456789*/,-[]{}() mdhyfreq<>:", max_size=120))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        found = read(text)
    except UnreadableScheduleError:
        return
    assert isinstance(found, Schedule)
    assert found.interval_seconds("Europe/Berlin", NOON) > 0


@given(st.timedeltas(timedelta(0), timedelta(days=10_000)))
def test_a_timedelta_is_read_as_python_writes_it(delta: timedelta) -> None:
    assert seconds_of_timedelta(str(delta)) == pytest.approx(delta.total_seconds())


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=1000)))
def test_a_frequency_is_read_as_far_as_celery_writes_it(delta: timedelta) -> None:
    assert interval(repr(schedule(delta))) == pytest.approx(delta.total_seconds(), rel=0.006)


# -- time zones -------------------------------------------------------------------------------


def test_the_zone_of_the_entry_goes_before_the_zone_of_the_worker() -> None:
    back = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    plain, zoned = (f"<crontab: 0 * * * * (m/h/dM/MY/d){zone}>" for zone in ("", ", Asia/Tokyo"))
    assert read(plain).interval_seconds("Europe/Berlin", back) == 2 * HOUR
    assert read(zoned).interval_seconds("Europe/Berlin", back) == HOUR


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "", "..", "../etc/passwd", "/etc", "a\0b", "Europe"]
)
def test_an_unknown_zone_is_told(name: str) -> None:
    assert not is_zone(name)
    with pytest.raises(UnreadableScheduleError, match="unknown time zone"):
        interval("* * * * *", name)


def test_a_zone_of_no_name_is_that_of_this_machine() -> None:
    here = datetime.now().astimezone()
    assert zone_of(None).utcoffset(here.replace(tzinfo=None)) == here.utcoffset()


# Clocks in Berlin are set back at this instant.
BACK = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("after_seconds", "seconds"),
    {-61: 30, -29: 3630, 0: 3630, 3600: 3630, 3600 + 59: 3630, 3600 + 61: 30}.items(),
)
def test_before_celery_5_7_an_interval_pauses_while_an_hour_comes_twice(
    after_seconds: float, seconds: float
) -> None:
    assert read("30.0").interval_seconds("Europe/Berlin", BACK + after_seconds) == seconds


def test_where_clocks_are_never_set_back_an_interval_never_pauses() -> None:
    assert read("30.0").interval_seconds("UTC", BACK) == 30
