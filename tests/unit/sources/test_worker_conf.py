"""A worker's configuration as celery 5.7 tells it, with everything that an application may say."""

from __future__ import annotations

import json
import types
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from celery import Celery
from celery.schedules import crontab, schedule
from celery.worker import control
from hypothesis import given
from hypothesis import strategies as st

from celeriac.model.facts import ScheduledEntry, WorkerConf
from celeriac.sources.shapes import UnreadableAnswerError
from celeriac.sources.worker_conf import MAX_ENTRIES, conf

CANARY = "canary-of-the-broker"


def read(settings: object) -> WorkerConf:
    return conf(msgspec.Raw(msgspec.json.encode(settings)))


def told(app: Celery, *, with_defaults: bool = True) -> WorkerConf:
    """Return what is read of the answer that a worker of *app* gives."""
    state = types.SimpleNamespace(app=app)
    return read(control.conf(state, with_defaults=with_defaults))


def app_with(**settings: Any) -> Celery:
    app = Celery("app", set_as_current=False)
    app.conf.update(settings)
    return app


def run(_: object = None) -> None:
    """Do what a task does."""


EVERYTHING: dict[str, Any] = {
    "broker_url": f"redis://:{CANARY}@broker.example/0",
    "result_backend": f"redis://:{CANARY}@broker.example/1",
    "result_expires": timedelta(hours=1),
    "broker_transport_options": {
        "visibility_timeout": 43200,
        "sentinel_kwargs": {"password": CANARY},
    },
    "timezone": "Europe/Berlin",
    "enable_utc": False,
    "task_default_queue": "default",
    "task_routes": {"app.mail.*": {"queue": "mail"}, "app.x": "direct"},
    "task_acks_late": True,
    "task_send_sent_event": True,
    "worker_send_task_events": True,
    "worker_prefetch_multiplier": 2,
    "task_time_limit": 30,
    "task_soft_time_limit": 20.5,
    "beat_schedule": {
        "often": {"task": "app.often", "schedule": 30, "args": (CANARY,)},
        "object": {"task": "app.object", "schedule": schedule(90)},
        "delta": {"task": "app.delta", "schedule": timedelta(days=1, minutes=2)},
        "crontab": {"task": "app.crontab", "schedule": crontab(hour="9", minute="0")},
    },
}
READ = WorkerConf(
    default_queue="default",
    routes=(("app.mail.*", "mail"), ("app.x", "direct")),
    beat_schedule=(
        ScheduledEntry("often", "app.often", "30.0"),
        ScheduledEntry("object", "app.object", "<freq: 1.50 minutes>"),
        ScheduledEntry("delta", "app.delta", "1 day, 0:02:00"),
        ScheduledEntry("crontab", "app.crontab", "<crontab: 0 9 * * * (m/h/dM/MY/d)>"),
    ),
    timezone="Europe/Berlin",
    enable_utc=False,
    visibility_timeout_seconds=43200,
    acks_late=True,
    prefetch_multiplier=2,
    sends_sent_events=True,
    sends_task_events=True,
    result_backend="redis",
    result_expires_seconds=3600,
    task_time_limit_seconds=30,
    task_soft_time_limit_seconds=20.5,
)


@pytest.mark.parametrize("with_defaults", [True, False])
def test_everything_that_is_used_is_read(with_defaults: bool) -> None:
    assert told(app_with(**EVERYTHING), with_defaults=with_defaults) == READ


def test_no_secret_is_kept() -> None:
    assert CANARY not in repr(told(app_with(**EVERYTHING)))
    assert CANARY not in repr(read({"result_backend": f"{CANARY}@host/1"}))


def test_what_is_not_set_is_as_celery_has_it() -> None:
    assert told(app_with()) == read({}) == WorkerConf()


def test_a_namespace_as_djangos_applications_have_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = types.SimpleNamespace(
        **{f"CELERY_{name.upper()}": value for name, value in EVERYTHING.items()}
    )
    app = Celery("app", set_as_current=False)
    app.config_from_object(source, namespace="CELERY")
    assert told(app) == READ


def test_the_names_of_before_celery_4_are_understood() -> None:
    source = types.SimpleNamespace(
        CELERY_DEFAULT_QUEUE="default",
        CELERY_ROUTES={"app.x": {"queue": "mail"}},
        CELERYBEAT_SCHEDULE={"often": {"task": "app.often", "schedule": 30}},
        CELERY_TIMEZONE="Europe/Berlin",
        CELERY_SEND_TASK_SENT_EVENT=True,
        CELERYD_PREFETCH_MULTIPLIER=1,
        CELERY_TASK_RESULT_EXPIRES=60,
    )
    app = Celery("app", set_as_current=False)
    app.config_from_object(source)
    found = told(app)
    assert (found.default_queue, found.routes) == ("default", (("app.x", "mail"),))
    assert found.beat_schedule == (ScheduledEntry("often", "app.often", "30.0"),)
    assert (found.timezone, found.sends_sent_events) == ("Europe/Berlin", True)
    assert (found.prefetch_multiplier, found.result_expires_seconds) == (1, 60)


def test_entries_that_are_added_one_by_one_are_there() -> None:
    app = app_with(timezone="UTC")
    app.add_periodic_task(10.0, app.task(name="app.added")(run).s(), name="added")
    app.finalize()
    assert told(app).beat_schedule == (ScheduledEntry("added", "app.added", "10.0"),)


def test_an_entry_without_a_name_has_a_short_one() -> None:
    app = app_with()
    app.add_periodic_task(10.0, app.task(name="app.added")(run).s("x" * 1000))
    app.finalize()
    ((entry, task, _),) = told(app).beat_schedule
    assert (len(entry), task) == (200, "app.added")
    assert entry.startswith("app.added('xxx")
    assert entry.endswith("…")


@pytest.mark.parametrize("routes", [None, [], ["app.routes.Router"], "app.routes.Router", {}, 5])
def test_routes_that_are_code_are_left_out(routes: object) -> None:
    assert read({"task_routes": routes}) == WorkerConf()


@pytest.mark.parametrize(
    ("text", "name"),
    {
        "Europe/Berlin": "Europe/Berlin",
        "Etc/GMT+3": "Etc/GMT+3",
        "zoneinfo.ZoneInfo(key='Europe/Berlin')": "Europe/Berlin",
        "<DstTzInfo 'Europe/Berlin' LMT+0:53:00 STD>": "Europe/Berlin",
        "datetime.timezone.utc": "UTC",
        "<UTC>": "UTC",
        "Mars Olympus": "Mars Olympus",
    }.items(),
)
def test_a_zone_that_is_an_object_has_its_name(text: str, name: str) -> None:
    assert read({"timezone": text}).timezone == name


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        (None, None),
        ("", None),
        ("rpc://", "rpc"),
        ("django-db", "django-db"),
        ("db+postgresql://u:p@host/db", "db+postgresql"),
        ("cache+memcached://127.0.0.1:11211/", "cache+memcached"),
        ("app.backends:Own", "app.backends"),
        ("<unparsable url>", None),
        (f"{CANARY}@host", None),
        (5, None),
    ],
)
def test_of_a_result_backend_only_the_kind_is_kept(backend: object, kind: str | None) -> None:
    assert read({"result_backend": backend}).result_backend == kind


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [("1 day, 0:00:00", 86400), (60, 60), (None, None), (0, None), ("soon", None), (-1, 86400)],
)
def test_results_expire_after_seconds_or_never(expires: object, seconds: float | None) -> None:
    assert read({"result_expires": expires}).result_expires_seconds == seconds


ODD: tuple[object, ...] = (None, "text", -1, 1e300, [], {}, [1], {"a": 1}, "x" * 10_000)


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize(
    "name",
    [
        "beat_schedule",
        "broker_transport_options",
        "worker_prefetch_multiplier",
        "task_acks_late",
        "task_send_sent_event",
        "task_time_limit",
        "result_backend",
        "timezone",
        "enable_utc",
    ],
)
def test_a_setting_of_another_type_leaves_the_others_as_they_are(name: str, value: object) -> None:
    found = read({name: value, "task_default_queue": "mail", "task_soft_time_limit": 5})
    assert (found.default_queue, found.task_soft_time_limit_seconds) == ("mail", 5)


@pytest.mark.parametrize("queue", [5, None, [], "x" * 10_000])
def test_a_default_queue_of_another_type_is_not_made_up(queue: object) -> None:
    with pytest.raises(UnreadableAnswerError):
        read({"task_default_queue": queue})


@pytest.mark.parametrize(
    "entry",
    [
        None,
        30,
        {},
        {"task": "app.a"},
        {"schedule": 30},
        {"task": None, "schedule": 30},
        {"task": "", "schedule": 30},
        {"task": "x" * 10_000, "schedule": 30},
        {"task": "app.a", "schedule": None},
        {"task": "app.a", "schedule": "x" * 10_000},
        {"task": "app.a", "schedule": {}},
    ],
    ids=lambda entry: repr(entry)[:40],
)
def test_an_entry_that_is_none_is_left_out_beside_the_others(entry: object) -> None:
    good = {"task": "app.good", "schedule": 30}
    found = read({"beat_schedule": {"bad": entry, "good": good}})
    assert found.beat_schedule == (ScheduledEntry("good", "app.good", "30.0"),)


def test_the_schedule_is_bounded() -> None:
    entry = {"task": "app.a", "schedule": 30}
    found = read({"beat_schedule": {str(number): entry for number in range(MAX_ENTRIES + 100)}})
    assert len(found.beat_schedule) == MAX_ENTRIES


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(EVERYTHING)), anything))
def test_any_configuration_is_read_or_refused(settings: dict[str, Any]) -> None:
    try:
        found = conf(msgspec.Raw(json.dumps(settings).encode()))
    except UnreadableAnswerError:
        return
    hash(found)
