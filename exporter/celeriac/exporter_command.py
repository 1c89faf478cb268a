"""``celeriac exporter``: its options, and the settings they become."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Any
from urllib.parse import unquote, urlsplit

import click
from click.core import ParameterSource

from celeriac import settings
from celeriac.logs import LEVELS, set_up_logs
from celeriac.options import (
    BUCKETS,
    CONTEXT,
    FILE,
    NAMES,
    SectionedCommand,
    one_of,
    seconds,
    section,
    variable,
    whole,
)

FORMATS = ("auto", "text", "json")

logger = logging.getLogger("celeriac")

broker = section("Broker")
serving = section("Serving")
sampling = section("What is sampled, and how often")
shape = section("Shape of the metrics")
logging_options = section("Logs")


def _buckets(
    option: str, name: str, default: tuple[float, ...], histogram: str
) -> Callable[[Any], Any]:
    text = f"Bounds in seconds of celery_task_{histogram}_seconds."
    return shape(option, name, type=BUCKETS, default=default, metavar="0.1,1,…", help=text)


def _limit(name: str, default: int, text: str) -> Callable[[Any], Any]:
    option = section("Limits")
    return option(name, type=whole(1, 100_000_000), default=default, show_default=True, help=text)


@click.command(cls=SectionedCommand, context_settings=CONTEXT)
@broker(
    "--broker-url",
    metavar="URL",
    default="redis://localhost:6379/0",
    show_default=True,
    help="Where the workers' broker is. A password is better off in --broker-url-file or in "
    "CELERIAC_BROKER_URL, where no other user can see it.",
)
@broker("--broker-url-file", type=FILE, help="Read the broker's URL from this file.")
@broker(
    "--broker-transport-option",
    multiple=True,
    metavar="KEY=VALUE",
    help="As in Celery's broker_transport_options, for instance global_keyprefix=app: "
    "or master_name=mymaster. May be given again.",
)
@broker(
    "--broker-ssl-option",
    multiple=True,
    metavar="KEY=VALUE",
    help="As in Celery's broker_use_ssl, for instance ssl_ca_certs=/etc/ca.pem. "
    "May be given again.",
)
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
    "--control-exchange",
    default="celery",
    show_default=True,
    help="As in Celery's control_exchange.",
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
@_limit("--max-series", 20_000, "Series on the page. What is over any limit goes to __overflow__.")
@_limit("--max-tracked-tasks", 50_000, "Unfinished task ids to remember.")
@logging_options(
    "--log-level",
    type=one_of(*LEVELS),
    default="info",
    show_default=True,
    help="debug, info, warning or error.",
)
@logging_options(
    "--log-format",
    type=one_of(*FORMATS),
    default="auto",
    show_default=True,
    help="text, json, or auto: text on a terminal, JSON elsewhere.",
)
@click.pass_context
def exporter(context: click.Context, /, **options: Any) -> None:  # fmt: skip
    """Serve the metrics of one broker's workers, queues and tasks.

    Every option can also be given in the environment: --broker-url is CELERIAC_BROKER_URL.
    """
    redactor = set_up_logs(options["log_level"], options["log_format"])
    chosen = _exporter_settings(options)
    redactor.hide(*_passwords(chosen.broker.url, chosen.broker.management_url))
    # Imported here: --help does not need Celery.
    from celeriac import brokers
    from celeriac import exporter as composition

    brokers.check_scheme(urlsplit(chosen.broker.url).scheme)
    _warn(context, chosen)
    composition.run(chosen)


def _exporter_settings(options: dict[str, Any]) -> settings.ExporterSettings:
    """Return the settings; every option of this command is one, or part of the broker's."""
    named = {field.name for field in fields(settings.ExporterSettings)}
    rest = {name: value for name, value in options.items() if name in named}
    return settings.ExporterSettings(broker=_broker_settings(options), **rest)


def _broker_settings(options: dict[str, Any]) -> settings.BrokerSettings:
    url = options["broker_url"]
    if options["broker_url_file"] is not None:
        url = settings.secret_from_file("--broker-url-file", options["broker_url_file"])
    return settings.BrokerSettings(
        url=settings.broker_url("--broker-url", url),
        transport_options=settings.transport_options(
            "--broker-transport-option", options["broker_transport_option"]
        ),
        ssl_options=settings.ssl_options("--broker-ssl-option", options["broker_ssl_option"]),
        management_url=settings.http_url(
            "--broker-management-url", options["broker_management_url"]
        ),
        event_exchange=options["event_exchange"],
        control_exchange=options["control_exchange"],
    )


def _passwords(*urls: str | None) -> list[str]:
    """Return the passwords in *urls*, each of which may be several, as written and as meant."""
    found = [urlsplit(url).password for several in urls for url in (several or "").split(";")]
    return [form for password in found if password for form in (password, unquote(password))]


def _warn(context: click.Context, chosen: settings.ExporterSettings) -> None:
    urls = {
        "--broker-url": chosen.broker.url,
        "--broker-management-url": chosen.broker.management_url,
    }
    for option, url in urls.items():
        source = context.get_parameter_source(option.removeprefix("--").replace("-", "_"))
        if source is ParameterSource.COMMANDLINE and _passwords(url):
            logger.warning(
                "%s: the password can be read in the list of processes; %s hides it",
                option,
                variable(option),
            )
    if chosen.inspect_timeout_seconds >= chosen.worker_interval_seconds:
        logger.warning(
            "--inspect-timeout: not shorter than --worker-interval, so one silent worker "
            "makes every sample late"
        )
