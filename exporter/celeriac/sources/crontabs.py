"""When a crontab runs: the longest time between two runs, and the times between runs around now.

The fields are read by Celery's own ``crontab``. The gaps are found here: Celery can only say
when the next run is due, and would have to be asked for every run of some years.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left, bisect_right
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

# Weekdays and leap years repeat after 400 years. The 29th of February may take 40 of them to
# fall on the same weekday again.
CALENDAR_CYCLE = range(2000, 2401)
MAX_YEARS_BETWEEN_RUNS = 41
KINDS_REMEMBERED = 4096
DAY_SECONDS = 86_400
ONE_DAY = timedelta(days=1)


class RunDays(NamedTuple):
    """The days a crontab runs on: month, day of the month and weekday must all fit (Celery)."""

    days_of_month: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """Sunday is 0."""

    def __contains__(self, day: object) -> bool:
        return (
            isinstance(day, date)
            and day.day in self.days_of_month
            and day.month in self.months
            and day.isoweekday() % 7 in self.weekdays
        )

    def after(self, day: date) -> date:
        """Return the first such day after *day*."""
        for year in range(day.year, day.year + MAX_YEARS_BETWEEN_RUNS):
            days, start = _days_of_year(self, year), _start(year)
            place = bisect_right(days, day.toordinal() - start)
            if place < len(days):
                return date.fromordinal(start + days[place])
        raise ValueError("no day fits")

    def before(self, day: date) -> date:
        """Return the last such day before *day*."""
        for year in range(day.year, day.year - MAX_YEARS_BETWEEN_RUNS, -1):
            days, start = _days_of_year(self, year), _start(year)
            place = bisect_left(days, day.toordinal() - start)
            if place:
                return date.fromordinal(start + days[place - 1])
        raise ValueError("no day fits")


def _start(year: int) -> int:
    """Return the ordinal of the last day before *year*."""
    return date(year, 1, 1).toordinal() - 1


def _days_of_year(days: RunDays, year: int) -> tuple[int, ...]:
    return _days_of(days, calendar.isleap(year), date(year, 1, 1).isoweekday() % 7)


@lru_cache(maxsize=KINDS_REMEMBERED)
def _days_of(days: RunDays, is_leap: bool, first_weekday: int) -> tuple[int, ...]:
    """Return the days by their number in the year; there are 14 kinds of year."""
    found, start = [], 0
    for month in range(1, 13):
        length = calendar.monthrange(2000 if is_leap else 2001, month)[1]
        if month in days.months:
            numbers = (start + day for day in sorted(days.days_of_month) if day <= length)
            found += [n for n in numbers if (first_weekday + n - 1) % 7 in days.weekdays]
        start += length
    return tuple(found)


@lru_cache(maxsize=KINDS_REMEMBERED)
def _longest_inside(days: tuple[int, ...]) -> int:
    return max((later - earlier for earlier, later in pairwise(days)), default=0)


@lru_cache(maxsize=KINDS_REMEMBERED)
def longest_gap_days(days: RunDays) -> int:
    """Return the most days from one to the next, over the whole calendar."""
    longest, last = 0, None
    for year in CALENDAR_CYCLE:
        numbers, start = _days_of_year(days, year), _start(year)
        if not numbers:
            continue
        across = 0 if last is None else start + numbers[0] - last
        longest = max(longest, across, _longest_inside(numbers))
        last = start + numbers[-1]
    return longest


class Crontab:
    """A crontab by its days and its times of day, in minutes since midnight."""

    def __init__(self, days: RunDays, minutes: frozenset[int], hours: frozenset[int]) -> None:
        self._days = days
        self._times = sorted(60 * hour + minute for hour in hours for minute in minutes)
        overnight = 1440 * longest_gap_days(days) + self._times[0] - self._times[-1]
        within_a_day = max((later - earlier for earlier, later in pairwise(self._times)), default=0)
        self.longest_gap_seconds = 60.0 * max(overnight, within_a_day)
        """By the clock on the wall, as if it were never changed."""

    def interval_seconds(self, zone: tzinfo, at: float) -> float:
        """Return the longest gap, or the real one at *at* or right before it if that is longer.

        It is longer where clocks are set back: Celery compares times of the wall clock, so what
        runs every five minutes pauses for the hour that comes twice.
        """
        last = self._last_run(zone, at)
        previous = self._last_run(zone, last - 1)
        return max(self.longest_gap_seconds, self._next_run(zone, last) - last, last - previous)

    def _next_run(self, zone: tzinfo, last_run_at: float) -> float:
        return _instant(self._wall_after(_wall(zone, last_run_at)), zone)

    def _last_run(self, zone: tzinfo, at: float) -> float:
        """Return the last run at or before *at*."""
        # Where clocks were just set back, it has run at times that are still to come once more.
        repeated = timedelta(seconds=set_back_seconds(zone, at - DAY_SECONDS, at))
        wall = self._wall_until(_wall(zone, at) + repeated)
        while _instant(wall, zone) > at:
            wall = self._wall_until(wall - timedelta(minutes=1))
        return _instant(wall, zone)

    def _wall_after(self, wall: datetime) -> datetime:
        place = bisect_right(self._times, _minute(wall))
        if place < len(self._times) and wall.date() in self._days:
            return _at(wall.date(), self._times[place])
        return _at(self._days.after(wall.date()), self._times[0])

    def _wall_until(self, wall: datetime) -> datetime:
        place = bisect_right(self._times, _minute(wall))
        if place and wall.date() in self._days:
            return _at(wall.date(), self._times[place - 1])
        return _at(self._days.before(wall.date()), self._times[-1])


def _minute(wall: datetime) -> int:
    return 60 * wall.hour + wall.minute


def _at(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(minute // 60, minute % 60))


def _wall(zone: tzinfo, at: float) -> datetime:
    """Return what the clock on the wall shows."""
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)


def _instant(wall: datetime, zone: tzinfo) -> float:
    """Return when the wall clock shows *wall*: of two times the first, as Celery does it.

    A time that clocks jump over is counted on from before the jump (02:30 is 03:30).
    """
    return wall.replace(tzinfo=zone).timestamp()


def set_back_seconds(zone: tzinfo, earlier: float, later: float) -> float:
    """Return by how much clocks are set back from *earlier* to *later*, 0 if they are not."""
    return max(0.0, _offset(zone, earlier) - _offset(zone, later))


def _offset(zone: tzinfo, at: float) -> float:
    return (datetime.fromtimestamp(at, zone).utcoffset() or timedelta(0)).total_seconds()
