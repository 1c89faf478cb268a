"""Schedules as Celery writes them, and how long an entry may take from one run to the next; pure.

Numbers, timedeltas, ``<freq: …>`` and ``<crontab: …>``, and what ``--expect`` takes. What depends
on the sun, or is a class of the application, cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from celery import schedules as celery_schedules
from celery.utils.time import timezone as celery_timezone

from celeriac.sources.crontabs import Crontab, RunDays, set_back_seconds

MAX_SECONDS = 1e9
MOST_SET_BACK_SECONDS = 3 * 3600.0
SCHEDULES_REMEMBERED = 2048

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?"
)
_TIMEDELTA = re.compile(r"(?:(\d{1,9}) days?, )?(\d{1,2}):(\d\d):(\d\d(?:\.\d{1,6})?)")
_FREQ = re.compile(r"<freq: (?:(now)|(\d+\.\d+) (day|hour|minute|second)s?)>")
# With its zone, as django-celery-beat writes it.
_CRONTAB = re.compile(r"<crontab: (.+) \(([\w/]+)\)(?:, ([\w+/-]+))?>")
# A string may have spaces after its commas; a list, set, tuple or range is shown as Python does.
_FIELD = re.compile(
    r"frozenset\(\{[^}]*\}\)|range\([^)]*\)|[\[{(][^\]})]*[\]})]|[^\s,]+(?:\s*,\s*[^\s,]+)*"
)
_NUMBERS = re.compile(
    r"(range\(|frozenset\(\{|[\[{(])((?:\s*\d{1,4}\s*,)*(?:\s*\d{1,4})?\s*)(?:\}\)|[\]})])"
)
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
# The keys are those of the legend that Celery writes behind a crontab's fields. Until celery 5.3
# the weekday came before the day of the month.
_FIELDS = {
    "m": "minute",
    "h": "hour",
    "d": "day_of_week",
    "dM": "day_of_month",
    "MY": "month_of_year",
}
_CRONTAB_ORDER = "m/h/dM/MY/d"


class UnreadableScheduleError(ValueError):
    """A schedule or its time zone cannot be read."""


class Every(NamedTuple):
    """A run every so many seconds."""

    seconds: float

    def interval_seconds(self, zone: tzinfo, at: float) -> float:
        """Return the seconds, and the hour more that passes where clocks are set back.

        Before 5.7, Celery adds the seconds to what the clock on the wall shows.
        """
        since, until = at - 2 * self.seconds, at + self.seconds
        pause = set_back_seconds(zone, since - MOST_SET_BACK_SECONDS, until)
        return self.seconds + (pause and set_back_seconds(zone, since - pause, until))


class Schedule(NamedTuple):
    """When an entry runs, and in which time zone if it has one of its own."""

    runs: Every | Crontab
    zone: str | None = None

    def interval_seconds(self, zone: str | None, at: float) -> float:
        """Return the longest time between two runs, as of *at* seconds since the epoch.

        *zone* is the name of the entry's time zone, None the local one.
        Errors: UnreadableScheduleError, if the zone is unknown.
        """
        return self.runs.interval_seconds(zone_of(self.zone or zone), at)


def zone_of(name: str | None) -> tzinfo:
    """Return the time zone *name*, None for that of this machine."""
    if name is None:
        local: tzinfo = celery_timezone.local
        return local
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise UnreadableScheduleError(f"unknown time zone {name!r}") from error


def is_zone(name: str | None) -> bool:
    """Return whether there is such a time zone."""
    try:
        return zone_of(name) is not None
    except UnreadableScheduleError:
        return False


@lru_cache(maxsize=SCHEDULES_REMEMBERED)
def read(text: str) -> Schedule:
    """Read a schedule as Celery shows it. Errors: UnreadableScheduleError."""
    seconds = seconds_of(text)
    if seconds is not None:
        if not 0 < seconds < MAX_SECONDS:
            raise UnreadableScheduleError("not a time that can pass between two runs")
        return Schedule(Every(seconds))
    found = _CRONTAB.fullmatch(text)
    if found:
        return Schedule(_crontab(found[1], found[2]), found[3])
    if len(_FIELD.findall(text)) == len(_FIELDS) and not text.startswith("<"):
        return Schedule(_crontab(text, _CRONTAB_ORDER))
    raise UnreadableScheduleError(f"its schedule cannot be read: {text}")


def seconds_of(text: str) -> float | None:
    """Read a number, a timedelta, a ``<freq: …>`` or a duration such as 1h30m, else None."""
    if _NUMBER.fullmatch(text):
        return float(text)
    if found := _FREQ.fullmatch(text):
        # Celery calls it now if it is less than a second.
        return 1.0 if found[1] else float(found[2]) * _UNITS[found[3][0]]
    if (found := _DURATION.fullmatch(text)) and text:
        return _total(found.groups())
    return seconds_of_timedelta(text)


def seconds_of_timedelta(text: str) -> float | None:
    """Read what Python writes for a timedelta, for instance ``1 day, 0:02:00``."""
    found = _TIMEDELTA.fullmatch(text)
    return _total(found.groups()) if found else None


def _total(parts: Iterable[str | None]) -> float:
    """Add up days, hours, minutes and seconds."""
    return sum(float(part or 0) * unit for part, unit in zip(parts, _UNITS.values(), strict=True))


def _crontab(text: str, legend: str) -> Crontab:
    fields, keys = _FIELD.findall(text), legend.split("/")
    if len(fields) != len(keys) or set(keys) != set(_FIELDS):
        raise UnreadableScheduleError(f"its crontab does not have five fields: {text}")
    try:
        specs = {_FIELDS[key]: _spec(field) for key, field in zip(keys, fields, strict=True)}
        return _made(celery_schedules.crontab(**specs))
    except (celery_schedules.ParseException, LookupError, ValueError, TypeError) as error:
        raise UnreadableScheduleError(f"its crontab is not one: {text}") from error


def _spec(field: str) -> str | set[int]:
    """Return a field as Celery's crontab takes it."""
    found = _NUMBERS.fullmatch(field)
    if not found:
        return field
    numbers = [int(number) for number in found[2].split(",") if number.strip()]
    return set(range(*numbers)) if found[1] == "range(" else set(numbers)


def _made(crontab: Any) -> Crontab:
    fields: Mapping[str, frozenset[int]] = {
        name: frozenset(getattr(crontab, name)) for name in _FIELDS.values()
    }
    days = RunDays(fields["day_of_month"], fields["month_of_year"], fields["day_of_week"])
    return Crontab(days, fields["minute"], fields["hour"])
