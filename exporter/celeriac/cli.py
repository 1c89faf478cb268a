"""The command line: options and environment become settings; errors become exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
from click.core import ParameterSource

from celeriac import __version__, settings
from celeriac.errors import ConfigurationError
from celeriac.logs import LEVELS, Redactor, set_up_logs
from celeriac.options import (
    BUCKETS,
    FILE,
    NAMES,
    SectionedCommand,
    one_line,
    one_of,
    seconds,
    section,
    whole,
)

EXIT_CONFIGURATION = 2
CONTEXT = {
    "auto_envvar_prefix": "CELERIAC",
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}
FORMATS = ("auto", "text", "json")
DEMO_DIRECTORY = Path(".demo")

logger = logging.getLogger("celeriac")

broker = section("Broker")
serving = section("Serving")
sampling = section("What is sampled, and how often")
shape = section("Shape of the metrics")
limits = section("Limits")
logging_options = section("Logs")


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, "-V", "--version", message="celeriac %(version)s")
def cli() -> None:
    """See, be warned about and act on a Celery cluster through Prometheus."""


@cli.command(cls=SectionedCommand, context_settings=CONTEXT)
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
    envvar="CELERIAC_WEB_CONFIG_FILE",
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
    type=seconds(1, 3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the workers are asked.",
)
@sampling(
    "--queue-interval",
    type=seconds(1, 3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the broker is asked how long its queues are.",
)
@sampling(
    "--inspect-timeout",
    type=seconds(0.1, 300),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a worker may take to answer. Only the silent wait.",
)
@sampling(
    "--retry-interval",
    type=seconds(0.5, 15),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest pause between two attempts to reach the broker.",
)
@sampling(
    "--worker-timeout",
    type=seconds(1, 86400),
    metavar="SECONDS",
    help="Call a worker down after this silence.  [default: two and a half of its own "
    "heartbeats, which is 5; 300 for a solo worker, which is mute while it works]",
)
@sampling(
    "--worker-retention",
    type=seconds(0, 30 * 86400),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long celery_worker_up stays at 0 before it disappears.",
)
@sampling(
    "--enable-events", is_flag=True, help="Switch task events on at workers that have them off."
)
@shape(
    "--buckets",
    type=BUCKETS,
    default=settings.RUNTIME_BUCKETS,
    metavar="0.1,1,…",
    help="Bounds in seconds of celery_task_runtime_seconds.",
)
@shape(
    "--queue-wait-buckets",
    type=BUCKETS,
    default=settings.WAIT_BUCKETS,
    metavar="0.1,1,…",
    help="Bounds in seconds of celery_task_queue_wait_seconds.",
)
@shape(
    "--prefetch-wait-buckets",
    type=BUCKETS,
    default=settings.WAIT_BUCKETS,
    metavar="0.1,1,…",
    help="Bounds in seconds of celery_task_prefetch_wait_seconds.",
)
@shape(
    "--expected-workers",
    type=whole(0, 1_000_000),
    metavar="N",
    help="Show this number as celery_expected_workers.",
)
@shape(
    "--worker-task-processed",
    is_flag=True,
    help="Add celery_worker_task_processed_total: by worker and task, without task events.",
)
@shape(
    "--compat",
    type=one_of("celery-exporter"),
    metavar="celery-exporter",
    help="Serve that exporter's metrics instead, for its dashboards and alerts.",
)
@limits(
    "--max-tasks",
    type=whole(1, 10_000_000),
    default=500,
    show_default=True,
    help="Task names that get series of their own.",
)
@limits(
    "--max-workers",
    type=whole(1, 10_000_000),
    default=500,
    show_default=True,
    help="Workers that get series of their own.",
)
@limits(
    "--max-queues",
    type=whole(1, 10_000_000),
    default=200,
    show_default=True,
    help="Queues that get series of their own.",
)
@limits(
    "--max-exceptions",
    type=whole(1, 10_000_000),
    default=100,
    show_default=True,
    help="Exception classes that get series of their own.",
)
@limits(
    "--max-series",
    type=whole(100, 100_000_000),
    default=20_000,
    show_default=True,
    help="Series on the page. What is over any limit goes to __overflow__.",
)
@limits(
    "--max-tracked-tasks",
    type=whole(100, 100_000_000),
    default=50_000,
    show_default=True,
    help="Unfinished task ids to remember.",
)
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
    _hide_secrets(redactor, chosen.broker.url, chosen.broker.management_url)
    _warn(context, chosen)
    # Imported here: --help does not need Celery.
    from celeriac import brokers
    from celeriac import exporter as composition

    brokers.check_scheme(urlsplit(chosen.broker.url).scheme)
    composition.run(chosen)


def _exporter_settings(options: dict[str, Any]) -> settings.ExporterSettings:
    return settings.ExporterSettings(
        broker=_broker_settings(options),
        host=options["host"],
        port=options["port"],
        web_config_file=options["web_config_file"],
        queues=options["queues"],
        runtime_buckets=options["buckets"],
        queue_wait_buckets=options["queue_wait_buckets"],
        prefetch_wait_buckets=options["prefetch_wait_buckets"],
        worker_interval_seconds=options["worker_interval"],
        queue_interval_seconds=options["queue_interval"],
        inspect_timeout_seconds=options["inspect_timeout"],
        worker_timeout_seconds=options["worker_timeout"],
        worker_retention_seconds=options["worker_retention"],
        retry_interval_seconds=options["retry_interval"],
        expected_workers=options["expected_workers"],
        enables_events=options["enable_events"],
        counts_processed_by_task=options["worker_task_processed"],
        compat=options["compat"],
        max_tasks=options["max_tasks"],
        max_workers=options["max_workers"],
        max_queues=options["max_queues"],
        max_exceptions=options["max_exceptions"],
        max_series=options["max_series"],
        max_tracked_tasks=options["max_tracked_tasks"],
    )


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


def _hide_secrets(redactor: Redactor, *urls: str | None) -> None:
    for url in urls:
        for one in (url or "").split(";"):
            password = urlsplit(one).password
            redactor.hide(password, password and unquote(password))


def _warn(context: click.Context, chosen: settings.ExporterSettings) -> None:
    is_in_argv = context.get_parameter_source("broker_url") is ParameterSource.COMMANDLINE
    if is_in_argv and urlsplit(chosen.broker.url).password:
        logger.warning(
            "--broker-url: the password can be read in the list of processes; "
            "--broker-url-file or CELERIAC_BROKER_URL hide it"
        )
    if chosen.inspect_timeout_seconds >= chosen.worker_interval_seconds:
        logger.warning(
            "--inspect-timeout: not shorter than --worker-interval, so one silent worker "
            "makes every sample late"
        )


@cli.command(context_settings=CONTEXT)
@click.option("--check", type=FILE, help="Compare with this file instead; exit 1 if it differs.")
def metrics(check: Path | None) -> None:
    """Print the table of all metrics as Markdown."""
    from celeriac.exposition.reference import markdown

    table = markdown()
    if check is None:
        click.echo(table, nl=False)
    elif not check.is_file() or check.read_text(encoding="utf-8") != table:
        click.echo(f"celeriac: {check} is not what `celeriac metrics` prints", err=True)
        sys.exit(1)


@cli.command(context_settings=CONTEXT)
@click.option(
    "--state-dir",
    type=FILE,
    default=DEMO_DIRECTORY,
    show_default=True,
    help="Where the demo keeps its files, and writes its addresses to env.",
)
@click.option(
    "--for",
    "duration",
    type=seconds(1, 7 * 86400),
    metavar="SECONDS",
    help="End by itself after this long.",
)
def demo(state_dir: Path, duration: float | None) -> None:  # fmt: skip
    """Run a whole cluster on this machine: broker, workers, load, exporter, Prometheus."""
    try:
        from celeriac.demo import run
    except ImportError as error:
        raise ConfigurationError(
            "demo", f"needs pip install 'celeriac[demo]' ({error.name})"
        ) from None
    run(state_dir, duration)


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the command line; an error of use or of configuration is one line and exit code 2."""
    try:
        cli.main(list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _refuse(one_line(error))
    except ConfigurationError as error:
        _refuse(str(error))
    except click.Abort:
        sys.exit(130)


def _refuse(problem: str) -> None:
    click.echo(f"celeriac: {problem}", err=True)
    sys.exit(EXIT_CONFIGURATION)
