"""``celeriac sidecar``: its options, and the settings they become."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import click

from celeriac import settings
from celeriac import sidecar_settings as sidecar_options
from celeriac.broker_options import (
    broker_options,
    broker_settings,
    passwords,
    warn_if_shown,
    warn_of_shown_passwords,
)
from celeriac.extras import check_sidecar_extra
from celeriac.logs import set_up_logs
from celeriac.options import (
    CONTEXT,
    FILE,
    SectionedCommand,
    Value,
    duration,
    log_options,
    one_of,
    seconds,
    section,
    whole,
)
from celeriac.sidecar_settings import LimitSettings, SidecarSettings
from celeriac.token_command import secret_of_file, token_options, token_settings

LIMITS = tuple(field.name for field in fields(LimitSettings))
EVERYWHERE = "0.0.0.0"  # noqa: S104  its clients are on other hosts

logger = logging.getLogger("celeriac")


def _origins(text: str) -> frozenset[str]:
    parts = (part.strip() for part in text.split(","))
    return frozenset(sidecar_options.origin(part) for part in parts if part)


ORIGINS = Value("origins", "origins such as https://host, or null, with commas", _origins)
RATE = Value("rate", "a rate such as 60000/minute", sidecar_options.rate)
ZONE = Value("zone", "a time zone such as Europe/Vienna", sidecar_options.time_zone)

# The settings say what is chosen where nothing is told.
DEFAULTS = {
    field.name: field.default
    for of in (SidecarSettings, LimitSettings)
    for field in fields(of)
    if field.default is not MISSING
}


def _told(title: str) -> Callable[..., Callable[[Any], Any]]:
    """Return ``click.option`` for settings under *title*: the name is the option's, or last."""
    option = section(title)

    def setting(*names: str, help: str, **more: Any) -> Callable[[Any], Any]:  # noqa: A002
        default = DEFAULTS.get(names[-1].removeprefix("--").replace("-", "_"))
        if isinstance(default, (str, int, float)):
            more = {"default": default, "show_default": True, **more}
        return option(*names, help=help, **more)

    return setting


serving = _told("Serving")
sources = _told("What it reads")
remembering = _told("What it remembers")
tokens = _told("Tokens")
limit = _told("Limits")

OPTIONS = (
    serving("--host", help="Address to listen on."),
    serving("--port", type=whole(1, 65535), help="Port to listen on."),
    serving(
        "--trusted-proxies",
        type=whole(0, 10),
        help="Proxies in front whose X-Forwarded-For tells a client's address.",
    ),
    serving(
        "--ws-auth",
        type=one_of("required", "optional"),
        default="required",
        show_default=True,
        help="optional: a WebSocket client without a token may look on, as a viewer.",
    ),
    serving(
        "--allowed-origins",
        type=ORIGINS,
        default="",
        metavar="A,B,…",
        help="Web pages of other origins that may open a WebSocket: https://host, or null for "
        "files.",
    ),
    sources("--exporter-url", metavar="URL", help="Where the exporter of this broker is."),
    sources("--prometheus-url", metavar="URL", help="The HTTP API with the exporter's history."),
    sources(
        "--prometheus-job",
        metavar="JOB",
        help="The exporter's job there, if Prometheus scrapes exporters of other brokers as well.",
    ),
    sources(
        "--prometheus-token-file",
        type=FILE,
        help="A bearer token for it; read again for every query.",
    ),
    sources("--alertmanager-url", metavar="URL", help="Where to ask which alerts fire."),
    sources(
        "--ca-file",
        type=FILE,
        help="Trust the certificates that this authority has signed, of these three.",
    ),
    sources(
        "--poll-interval",
        "poll_interval_seconds",
        type=seconds(0.2, 60),
        metavar="SECONDS",
        help="How often the live numbers are read, while somebody looks.",
    ),
    sources(
        "--time-zone",
        type=ZONE,
        default="UTC",
        show_default=True,
        metavar="ZONE",
        help="Of times in requests that do not name theirs.",
    ),
    remembering(
        "--database-url",
        metavar="URL",
        help="Audit records and saved reports: sqlite:///path or postgresql://user@host/database."
        f"  [default: {sidecar_options.DEFAULT_DATABASE}]",
    ),
    remembering(
        "--operations-memory",
        "operations_memory_seconds",
        type=duration(0, 30 * 86400),
        default="24h",
        metavar="DURATION",
        help="How long a revoke is told to workers that join later.",
    ),
    tokens("--jwks-url", metavar="URL", help="Keys of RS256 and ES256, instead of a secret."),
    tokens(
        "--jwks-refresh",
        "jwks_refresh_seconds",
        type=seconds(1, 3600),
        metavar="SECONDS",
        help="How often they are fetched, so how soon a new key is good and an old one is not.",
    ),
    tokens("--alerts-token-file", type=FILE, help="The token that Alertmanager sends with alerts."),
    limit("--max-revoke-ids", type=whole(1, 10**6), help="Task ids to revoke in one call."),
    limit("--max-terminate-ids", type=whole(1, 10**6), help="Task ids to terminate in one call."),
    limit("--max-body-bytes", type=whole(1024, 1 << 30), help="Bytes of a request's body."),
    limit("--max-websocket-clients", type=whole(1, 10**5), help="WebSocket clients at a time."),
    limit("--max-report-days", type=whole(1, 3660), help="Days that a report may span."),
    limit(
        "--rate-limit",
        type=RATE,
        metavar="N/UNIT",
        help="Calls of one caller in a second, minute, hour or day.",
    ),
    limit(
        "--control-timeout",
        "control_timeout_seconds",
        type=seconds(0.1, 60),
        metavar="SECONDS",
        help="How long workers may take to acknowledge.",
    ),
    limit(
        "--report-timeout",
        "report_timeout_seconds",
        type=seconds(1, 300),
        metavar="SECONDS",
        help="How long a report may take.",
    ),
)


def _sidecar_options(command: Any) -> Any:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command(cls=SectionedCommand, context_settings=CONTEXT)
@broker_options
@_sidecar_options
@token_options
@log_options
@click.pass_context
def sidecar(context: click.Context, /, **options: Any) -> None:  # fmt: skip
    """Serve the API: live numbers, reports, batch operations, alerts.

    Every option can also be given in the environment: --broker-url is CELERIAC_BROKER_URL.
    """
    redactor = set_up_logs(options["log_level"], options["log_format"])
    check_sidecar_extra("sidecar")
    chosen = _settings(options)
    redactor.hide(chosen.tokens.secret, chosen.alerts_token, *passwords(*_urls(chosen).values()))
    _warn(context, chosen)
    # Imported here: --help does not need it.
    from celeriac import sidecar_process

    sidecar_process.run(chosen)


def _settings(options: dict[str, Any]) -> SidecarSettings:
    """Return the settings; every option is one of them, of a part, or read into one."""
    named = {field.name for field in fields(SidecarSettings)}
    rest = {name: value for name, value in options.items() if name in named}
    for name in ("exporter_url", "prometheus_url", "alertmanager_url"):
        rest[name] = settings.http_url(f"--{name.replace('_', '-')}", options[name])
    # It is read again and again; what is wrong with it is said now.
    secret_of_file("--prometheus-token-file", options["prometheus_token_file"])
    rest["ca_file"] = sidecar_options.authorities("--ca-file", options["ca_file"])
    database = options["database_url"] or sidecar_options.default_database_url()
    return SidecarSettings(
        broker=broker_settings(options),
        tokens=token_settings(options, settings.http_url("--jwks-url", options["jwks_url"])),
        limits=LimitSettings(**{name: options[name] for name in LIMITS}),
        alerts_token=secret_of_file("--alerts-token-file", options["alerts_token_file"]),
        requires_websocket_token=options["ws_auth"] == "required",
        **rest | {"database_url": sidecar_options.database_url("--database-url", database)},
    )


def _urls(chosen: SidecarSettings) -> dict[str, str | None]:
    return {
        "--broker-url": chosen.broker.url,
        "--exporter-url": chosen.exporter_url,
        "--prometheus-url": chosen.prometheus_url,
        "--alertmanager-url": chosen.alertmanager_url,
        "--database-url": chosen.database_url,
        "--jwks-url": chosen.tokens.jwks_url,
    }


def _warn(context: click.Context, chosen: SidecarSettings) -> None:
    warn_of_shown_passwords(context, _urls(chosen))
    warn_if_shown(context, "--jwt-secret")
    if chosen.host in {EVERYWHERE, "::"} and not chosen.requires_websocket_token:
        logger.warning("--ws-auth: optional lets everybody who reaches --host look on")
