"""A worker's answer to ``inspect conf``: untrusted JSON in, a fact out; pure, without I/O.

A setting of the wrong type counts as not set: an application may have anything in its
configuration. Only the default queue is not made up, because tasks are counted by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, TypeAlias

import msgspec

from celeriac.model.facts import ScheduledEntry, WorkerConf
from celeriac.sources.schedules import seconds_of_timedelta
from celeriac.sources.shapes import (
    Name,
    Seconds,
    Text,
    UnreadableAnswerError,
    entry_name,
    reader,
    same_of_many,
)

MAX_ENTRIES = 1000

# Celery still takes the settings' names of before 4.0, and then shows no others (celery 5.7).
# A namespace, as Django's applications have, does not matter: the plain names are there too.
_OLD_NAMES = {
    "task_default_queue": "CELERY_DEFAULT_QUEUE",
    "task_routes": "CELERY_ROUTES",
    "beat_schedule": "CELERYBEAT_SCHEDULE",
    "timezone": "CELERY_TIMEZONE",
    "enable_utc": "CELERY_ENABLE_UTC",
    "broker_transport_options": "BROKER_TRANSPORT_OPTIONS",
    "task_acks_late": "CELERY_ACKS_LATE",
    "worker_prefetch_multiplier": "CELERYD_PREFETCH_MULTIPLIER",
    "task_send_sent_event": "CELERY_SEND_TASK_SENT_EVENT",
    "worker_send_task_events": "CELERY_SEND_EVENTS",
    "result_backend": "CELERY_RESULT_BACKEND",
    "result_expires": "CELERY_TASK_RESULT_EXPIRES",
    "task_time_limit": "CELERYD_TASK_TIME_LIMIT",
    "task_soft_time_limit": "CELERYD_TASK_SOFT_TIME_LIMIT",
}

_Settings: TypeAlias = Mapping[str, msgspec.Raw]
_Multiplier = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class _Entry(msgspec.Struct, gc=False):
    task: Name
    schedule: float | Text


class _TransportOptions(msgspec.Struct, gc=False):
    visibility_timeout: Seconds | None = None


_read_settings = reader(dict[str, msgspec.Raw])
_read_queue = reader(Text)
_read_entry = reader(_Entry)


@same_of_many
def conf(raw: msgspec.Raw) -> WorkerConf:
    """Read ``inspect conf``, best asked for with defaults; no secret is in the result."""
    settings: _Settings = _read_settings(raw)
    queue = _raw(settings, "task_default_queue")
    options = _value(settings, "broker_transport_options", _TransportOptions, _TransportOptions())
    return WorkerConf(
        default_queue=_DEFAULTS.default_queue if queue is None else _read_queue(queue),
        routes=tuple(_routes(_value(settings, "task_routes", dict[str, Any], {}))),
        beat_schedule=tuple(_entries(settings))[:MAX_ENTRIES],
        timezone=_zone(_value(settings, "timezone", Text | None, None)),
        enable_utc=_flag(settings, "enable_utc", _DEFAULTS.enable_utc),
        visibility_timeout_seconds=options.visibility_timeout,
        acks_late=_flag(settings, "task_acks_late", _DEFAULTS.acks_late),
        prefetch_multiplier=_value(
            settings, "worker_prefetch_multiplier", _Multiplier, _DEFAULTS.prefetch_multiplier
        ),
        sends_sent_events=_flag(settings, "task_send_sent_event", _DEFAULTS.sends_sent_events),
        sends_task_events=_flag(settings, "worker_send_task_events", _DEFAULTS.sends_task_events),
        result_backend=_kind(_value(settings, "result_backend", str | None, None)),
        result_expires_seconds=_expires(settings),
        task_time_limit_seconds=_value(settings, "task_time_limit", Seconds | None, None),
        task_soft_time_limit_seconds=_value(settings, "task_soft_time_limit", Seconds | None, None),
    )


_DEFAULTS = WorkerConf()


def _raw(settings: _Settings, name: str) -> msgspec.Raw | None:
    return settings.get(name) or settings.get(_OLD_NAMES[name])


def _value(settings: _Settings, name: str, shape: Any, default: Any) -> Any:
    """Return the setting if it has *shape*, else *default*."""
    raw = _raw(settings, name)
    try:
        return default if raw is None else msgspec.json.decode(raw, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return default


def _flag(settings: _Settings, name: str, default: bool) -> bool:
    return bool(_value(settings, name, bool | int, default))


def _routes(routes: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the routes that are data; those that are code are left out."""
    for pattern, route in routes.items():
        queue = route.get("queue") if isinstance(route, Mapping) else route
        if isinstance(queue, str):
            yield pattern, queue


def _entries(settings: _Settings) -> Iterator[ScheduledEntry]:
    """Yield the entries that name a task and a schedule."""
    for name, raw in _value(settings, "beat_schedule", dict[str, msgspec.Raw], {}).items():
        with suppress(UnreadableAnswerError):
            entry: _Entry = _read_entry(raw)
            yield ScheduledEntry(entry_name(name), entry.task, str(entry.schedule))


def _zone(text: str | None) -> str | None:
    """Return the zone's name, also of a zone that is an object, which Celery shows as Python does.

    Such as ``zoneinfo.ZoneInfo(key='Europe/Berlin')`` or pytz's ``<UTC>``.
    """
    if text is None or re.fullmatch(r"[\w+/-]+", text):
        return text
    quoted = re.search(r"'([\w+/-]+)'", text)
    if quoted:
        return quoted[1]
    return "UTC" if re.search(r"\butc\b", text, re.IGNORECASE) else text


def _kind(backend: str | None) -> str | None:
    """Return the scheme of a URL, or the name of a backend that has none."""
    found = re.match(r"[\w.+-]{1,100}(?=:|$)", backend or "")
    return found[0] if found else None


def _expires(settings: _Settings) -> float | None:
    expires = _value(
        settings, "result_expires", Seconds | Text | None, _DEFAULTS.result_expires_seconds
    )
    if isinstance(expires, str):
        expires = seconds_of_timedelta(expires)
    return expires or None
