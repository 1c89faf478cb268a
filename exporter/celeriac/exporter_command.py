"""``celeriac exporter``: its options, and the settings they become."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

import click

from celeriac import settings
from celeriac.beat_options import beat_options
from celeriac.broker_options import (
    broker_options,
    broker_settings,
    passwords,
    warn_of_shown_passwords,
)
from celeriac.event_options import event_queue_options
from celeriac.logs import set_up_logs
from celeriac.options import (
    BUCKETS,
    CONTEXT,
    FILE,
    NAMES,
    SectionedCommand,
    log_options,
    one_of,
    seconds,
    section,
    whole,
)

logger = logging.getLogger("celeriac")

broker = section("Broker")
serving = section("Serving")
sampling = section("What is sampled, and how often")
shape = section("Shape of the metrics")


def _buckets(
    option: str, name: str, default: tuple[float, ...], histogram: str
) -> Callable[[Any], Any]:
    text = f"Bounds in seconds of celery_task_{histogram}_seconds."
    return shape(option, name, type=BUCKETS, default=default, metavar="0.1,1,…", help=text)


def _limit(name: str, default: int, text: str) -> Callable[[Any], Any]:
    option = section("Limits")
    return option(name, type=whole(1, 100_000_000), default=default, show_default=True, help=text)


@click.command(cls=SectionedCommand, context_settings=CONTEXT)
@broker_options
@broker(
    "--broker-management-url",
    metavar="URL",
    help="RabbitMQ's management API: adds unacked messages and queues nobody consumes. "
    "User and password are the broker's, unless the URL has its own.",
)
@broker(
    "--event-exchange", default="celeryev", show_default=True, help="As in Celery's event_exchange."
)
@broker(
    "--accept-content",
    default="json",
    show_default=True,
    type=one_of("json"),
    help="Content that is accepted from the broker. There is no other.",
)
@serving(
    "--host",
    default="0.0.0.0",
    show_default=True,
    help="Address to listen on.",
)
@serving(
    "--port",
    default=settings.DEFAULT_PORT,
    show_default=True,
    type=whole(1, 65535),
    help="Port to listen on.",
)
@serving(
    "--web.config.file",
    "web_config_file",
    type=FILE,
    help="TLS, client certificates and passwords, in the format of Prometheus' exporter-toolkit.",
)
@sampling(
    "--queues",
    "-Q",
    type=NAMES,
    default="",
    metavar="A,B,…",
    help="Queues to show even if neither the workers nor the broker name them.",
)
@sampling(
    "--worker-interval",
    "worker_interval_seconds",
    type=seconds(1, 3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the workers are asked.",
)
@sampling(
    "--queue-interval",
    "queue_interval_seconds",
    type=seconds(1, 3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the broker is asked how long its queues are.",
)
@sampling(
    "--inspect-timeout",
    "inspect_timeout_seconds",
    type=seconds(0.1, 300),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a worker may take to answer. Only the silent wait.",
)
@sampling(
    "--retry-interval",
    "retry_interval_seconds",
    type=seconds(0.5, 15),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest pause between two attempts to reach the broker.",
)
@sampling(
    "--worker-timeout",
    "worker_timeout_seconds",
    type=seconds(1, 86400),
    metavar="SECONDS",
    help="Call a worker down after this silence.  [default: two and a half of its own "
    "heartbeats, which is 5; 300 for a solo worker, which is mute while it works]",
)
@sampling(
    "--worker-retention",
    "worker_retention_seconds",
    type=seconds(0, 30 * 86400),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long celery_worker_up stays at 0 before it disappears.",
)
@sampling(
    "--enable-events",
    "enables_events",
    is_flag=True,
    help="Switch task events on at workers that have them off.",
)
@event_queue_options
@beat_options
@_buckets("--buckets", "runtime_buckets", settings.RUNTIME_BUCKETS, "runtime")
@_buckets("--queue-wait-buckets", "queue_wait_buckets", settings.WAIT_BUCKETS, "queue_wait")
@_buckets(
    "--prefetch-wait-buckets", "prefetch_wait_buckets", settings.WAIT_BUCKETS, "prefetch_wait"
)
@shape(
    "--expected-workers",
    type=whole(0, 1_000_000),
    metavar="N",
    help="Show this number as celery_expected_workers.",
)
@shape(
    "--worker-task-processed",
    "counts_processed_by_task",
    is_flag=True,
    help="Add celery_worker_task_processed_total: by worker and task, without task events.",
)
@shape(
    "--compat",
    type=one_of("celery-exporter"),
    metavar="celery-exporter",
    help="Serve that exporter's metrics instead, for its dashboards and alerts.",
)
@_limit("--max-tasks", 500, "Task names that get series of their own.")
@_limit("--max-workers", 500, "Workers that get series of their own.")
@_limit("--max-queues", 200, "Queues that get series of their own.")
@_limit("--max-exceptions", 100, "Exception classes that get series of their own.")
@_limit("--max-beat-entries", 500, "Scheduled entries that get series of their own.")
@_limit("--max-series", 20_000, "Series on the page. What is over any limit goes to __overflow__.")
@_limit("--max-tracked-tasks", 50_000, "Unfinished task ids to remember.")
@log_options
@click.pass_context
def exporter(context: click.Context, /, **options: Any) -> None:  # fmt: skip
    """Serve the metrics of one broker's workers, queues and tasks.

    Every option can also be given in the environment: --broker-url is CELERIAC_BROKER_URL.
    """
    redactor = set_up_logs(options["log_level"], options["log_format"])
    chosen = exporter_settings(options)
    redactor.hide(*passwords(chosen.broker.url, chosen.broker.management_url))
    # Imported here: --help does not need Celery.
    from celeriac import brokers
    from celeriac import exporter as composition

    brokers.check_scheme(urlsplit(chosen.broker.url).scheme)
    _warn(context, chosen)
    composition.run(chosen)


def exporter_settings(options: dict[str, Any]) -> settings.ExporterSettings:
    """Return the settings; every option of this command is one, or part of the broker's."""
    named = {field.name for field in fields(settings.ExporterSettings)}
    rest = {name: value for name, value in options.items() if name in named}
    return settings.ExporterSettings(broker=_broker_settings(options), **rest)


def _broker_settings(options: dict[str, Any]) -> settings.BrokerSettings:
    return broker_settings(
        options,
        management_url=settings.http_url(
            "--broker-management-url", options["broker_management_url"]
        ),
        event_exchange=options["event_exchange"],
    )


def _warn(context: click.Context, chosen: settings.ExporterSettings) -> None:
    warn_of_shown_passwords(
        context,
        {
            "--broker-url": chosen.broker.url,
            "--broker-management-url": chosen.broker.management_url,
        },
    )
    if chosen.inspect_timeout_seconds >= chosen.worker_interval_seconds:
        logger.warning(
            "--inspect-timeout: not shorter than --worker-interval, so one silent worker "
            "makes every sample late"
        )
