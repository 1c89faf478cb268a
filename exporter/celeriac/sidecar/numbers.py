"""What the live object says: numbers of one page, how old they are, and what is wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from celeriac.clients.exporter_page import LANDMARK, Page
from celeriac.sidecar import rates
from celeriac.sidecar.rates import Lately

Health = Literal["healthy", "degraded", "unhealthy"]

SOURCES = ("queues", "workers", "events")
RECENTLY_SECONDS = 300.0
MAX_ERROR_PERCENT = 10.0
MIN_FINISHED = 10
NAMED_AT_MOST = 3

ACTIVE_WORKERS, EXPECTED_WORKERS = "celery_active_workers", "celery_expected_workers"
WORKER_UP, STALLED = "celery_worker_up", "celery_worker_stalled"
HEARTBEAT = "celery_worker_last_heartbeat_timestamp_seconds"
ACTIVE, RESERVED = "celery_worker_active_tasks", "celery_worker_reserved_tasks"
SCHEDULED = "celery_worker_scheduled_tasks"
LENGTH, CONSUMERS = "celery_queue_length", "celery_queue_consumers"
BROKER_UP, SUCCESS = "celery_broker_up", "celery_exporter_sample_success"
NAMES = (
    ACTIVE_WORKERS, EXPECTED_WORKERS, WORKER_UP, STALLED, HEARTBEAT, ACTIVE, RESERVED, SCHEDULED,
    LENGTH, CONSUMERS, BROKER_UP, SUCCESS, *rates.NAMES,
)  # fmt: skip


class Now(NamedTuple):
    """Both clocks: seconds since the epoch, and seconds that never jump."""

    wall: float
    mono: float

    @property
    def time(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.wall, dt.UTC)


class LiveNumbers(msgspec.Struct, frozen=True):
    """The cluster now; null is unknown."""

    timestamp: dt.datetime
    active_workers: int | None
    total_workers: int | None
    pending_tasks: int | None
    processing_tasks: int | None
    reserved_tasks: int | None
    scheduled_tasks: int | None
    queue_lengths: dict[str, int]
    current_throughput: float | None
    error_rate_percent: float | None
    avg_execution_time_ms: float | None
    window_seconds: float
    system_health: Health
    system_health_reasons: list[str]
    data_age_seconds: float | None
    stale: bool


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The last page that could be had, and what is known of its age."""

    page: Page
    lately: Lately
    taken: Now
    is_away: bool = False
    """The exporter has not answered since."""

    def age_seconds(self, mono: float) -> float | None:
        """Return the age of the oldest source, None if one never had anything."""
        successes = self.page.by(LANDMARK, "source")
        oldest_at = min(successes.get(source, 0.0) for source in SOURCES)
        if not oldest_at:
            return None
        return max(0.0, self.page.served_at - oldest_at) + mono - self.taken.mono

    @property
    def failing_sources(self) -> list[str]:
        success = self.page.by(SUCCESS, "source")
        return [source for source in SOURCES if not success.get(source)]

    def total(self, name: str, source: str) -> int | None:
        """Return the sum of a gauge. Without a sample it is 0, or unknown if its source fails."""
        samples = self.page.of(name)
        return int(sum(samples.values())) if samples or source not in self.failing_sources else None

    @property
    def workers(self) -> int | None:
        """Return how many workers are known, up or down."""
        return None if self.total(WORKER_UP, "workers") is None else len(self.page.of(WORKER_UP))


def nothing(now: Now) -> Picture:
    """Return the picture before the first page: everything is unknown."""
    return Picture(Page({}), Lately(), now, is_away=True)


def live_numbers(picture: Picture, now: Now, stale_after_seconds: float) -> LiveNumbers:
    """Return the numbers of *picture* as they are seen *now*."""
    age = picture.age_seconds(now.mono)
    is_old = age is None or age > stale_after_seconds
    known = _known(picture, is_old)
    age = None if age is None else round(age, 3)
    return msgspec.structs.replace(known, timestamp=now.time, data_age_seconds=age)


@lru_cache(maxsize=2)
def _known(picture: Picture, is_old: bool) -> LiveNumbers:
    page, lately = picture.page, picture.lately
    up = page.one(ACTIVE_WORKERS)
    problems = list(_problems(picture, is_old=is_old))
    return LiveNumbers(
        timestamp=picture.taken.time,
        active_workers=None if up is None else int(up),
        total_workers=picture.workers,
        pending_tasks=picture.total(LENGTH, "queues"),
        processing_tasks=picture.total(ACTIVE, "workers"),
        reserved_tasks=picture.total(RESERVED, "workers"),
        scheduled_tasks=picture.total(SCHEDULED, "workers"),
        queue_lengths={queue: int(n) for queue, n in page.by(LENGTH, "queue").items()},
        current_throughput=lately.throughput,
        error_rate_percent=lately.total.error_rate_percent,
        avg_execution_time_ms=lately.total.mean_runtime_ms,
        window_seconds=round(lately.seconds, 3),
        system_health=next((health for health, _ in problems), "healthy"),
        system_health_reasons=[text for _, text in problems],
        data_age_seconds=None,
        stale=is_old or picture.is_away or bool(picture.failing_sources),
    )


def _problems(picture: Picture, *, is_old: bool) -> Iterator[tuple[Health, str]]:
    """Yield what is wrong, the worst first."""
    if picture.is_away:
        yield "unhealthy", "the exporter does not answer"
    for health, rule in RULES:
        text = rule(picture)
        if text is not None:
            yield health, text
    if is_old and not picture.is_away:
        yield "degraded", "the numbers are old"


def _broker_down(picture: Picture) -> str | None:
    return "the broker does not answer" if picture.page.one(BROKER_UP) == 0 else None


def _no_worker(picture: Picture) -> str | None:
    return "no worker is up" if picture.page.one(ACTIVE_WORKERS) == 0 else None


def _failing(picture: Picture) -> str | None:
    failing = picture.failing_sources if picture.page.samples else []
    return _named("the exporter cannot sample", failing)


def _too_few(picture: Picture) -> str | None:
    up, expected = picture.page.one(ACTIVE_WORKERS), picture.page.one(EXPECTED_WORKERS)
    if up is None or expected is None or up >= expected:
        return None
    return f"{up:.0f} of {expected:.0f} expected workers are up"


def _just_gone(picture: Picture) -> str | None:
    heartbeats = picture.page.by(HEARTBEAT, "worker")
    since = picture.page.served_at - RECENTLY_SECONDS
    up = picture.page.by(WORKER_UP, "worker")
    gone = [name for name, is_up in up.items() if not is_up and heartbeats.get(name, 0) > since]
    return _named("went down in the last five minutes", gone)


def _stalled(picture: Picture) -> str | None:
    stalled = picture.page.by(STALLED, "worker")
    return _named("stalled", [name for name, is_stalled in stalled.items() if is_stalled])


def _unconsumed(picture: Picture) -> str | None:
    lengths = picture.page.by(LENGTH, "queue")
    consumers = picture.page.by(CONSUMERS, "queue")
    alone = [queue for queue, n in lengths.items() if n and consumers.get(queue) == 0]
    return _named("queues with messages that nobody consumes", alone)


def _failures(picture: Picture) -> str | None:
    total = picture.lately.total
    percent = total.error_rate_percent
    if percent is None or percent <= MAX_ERROR_PERCENT or total.finished < MIN_FINISHED:
        return None
    return f"{percent:g} % of the tasks that ended lately failed"


RULES: tuple[tuple[Health, Callable[[Picture], str | None]], ...] = (
    ("unhealthy", _broker_down),
    ("unhealthy", _no_worker),
    ("degraded", _failing),
    ("degraded", _too_few),
    ("degraded", _just_gone),
    ("degraded", _stalled),
    ("degraded", _unconsumed),
    ("degraded", _failures),
)


def _named(what: str, names: list[str]) -> str | None:
    if not names:
        return None
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return f"{what}: {', '.join(sorted(names)[:NAMED_AT_MOST])}{more}"
