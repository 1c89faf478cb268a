"""The sidecar's composition root: builds each object once, starts them in flow order."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import celery
from prometheus_client import disable_created_metrics

from celeriac import __version__
from celeriac.celery_app import BrokerOptions, make_app
from celeriac.clients.alertmanager_api import AlertmanagerApi
from celeriac.clients.exporter_page import ExporterPage
from celeriac.clients.prometheus_api import PrometheusApi
from celeriac.service import Periodic, Service, begin_to_stop
from celeriac.sidecar import Frame, checks, create_app
from celeriac.sidecar.acting import Acting
from celeriac.sidecar.alerts import Alerts
from celeriac.sidecar.auth import Gate, Keys, SharedSecret, TokenRules
from celeriac.sidecar.batch import Limits
from celeriac.sidecar.database import Database
from celeriac.sidecar.entrance import Entrance, EntranceRules
from celeriac.sidecar.jwks import JwksKeys
from celeriac.sidecar.limits import RateLimit
from celeriac.sidecar.live import Live
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.report_store import ReportStore
from celeriac.sidecar.reports import ReportOptions, Reports
from celeriac.sidecar.routes import rows, with_document
from celeriac.sidecar.server import Server, log_lost_exceptions, raise_file_limit, wait_for_the_end
from celeriac.sidecar.stream import Stream
from celeriac.sidecar.system import InfoAnswer, System
from celeriac.sidecar_settings import SidecarSettings

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0
SPARE_CONNECTIONS = 1_000
FEATURES = ["alerts", "audit", "batch", "live", "reports", "stream", "workers"]


class Sidecar:
    """Everything that runs. The port is taken by ``start``."""

    def __init__(self, settings: SidecarSettings) -> None:
        self._settings = settings
        self._app = make_app(broker_options(settings))
        self._metrics = SidecarMetrics()
        self._database = Database(settings.database_url)
        self._exporter = ExporterPage(settings.exporter_url, ca_file=settings.ca_file)
        self._prometheus = PrometheusApi(
            settings.prometheus_url,
            ca_file=settings.ca_file,
            token_file=settings.prometheus_token_file,
        )
        url = settings.alertmanager_url
        self._alertmanager = AlertmanagerApi(url, settings.ca_file) if url else None
        self._services: list[Service] = []
        self._frame = self._make_frame()
        self._alerts = Alerts(settings.alerts_token, self._metrics, self._alertmanager)
        self._live = self._make_live()
        self._system = self._make_system()
        self.routes = with_document(rows(*self._handlers()))
        app = create_app(self.routes, self._frame)
        clients = settings.limits.max_websocket_clients + SPARE_CONNECTIONS
        self.server = Server((settings.host, settings.port), app, clients)

    def start(self) -> None:
        """Start everything; whatever it reads may be absent. Errors: ConfigurationError."""
        self.server.start()
        for service in self._services:
            service.start()
        logger.info("celeriac %s serves the API at port %s", __version__, self.server.server_port)

    def stop(self) -> None:
        """Finish what runs, and stop everything meanwhile; whoever asks is told."""
        self._system.is_stopping = self.server.is_stopping = True
        ends_mono = time.monotonic() + STOP_SECONDS
        stops = begin_to_stop(self._services)
        for stop in stops:
            stop.join(max(1.0, ends_mono - time.monotonic()))
        # Last: until then, whoever asks gets an answer.
        self.server.stop_accepting()
        if not self.server.running.wait_for_none(max(1.0, ends_mono - time.monotonic())):
            logger.warning("some requests did not end in %g s", STOP_SECONDS)
        self.server.stop(timeout=0.1)
        self._database.close()

    def _handlers(self) -> Sequence[object]:
        entrance = self._make_entrance()
        return (
            self._system,
            self._live,
            self._make_stream(entrance),
            entrance,
            self._make_reports(),
            *self._make_acting().handlers,
            self._alerts,
        )

    def _make_frame(self) -> Frame:
        tokens, limits = self._settings.tokens, self._settings.limits
        return Frame(
            Gate(self._keys(), TokenRules(tokens.issuer, tokens.audience, tokens.role_claim)),
            self._metrics,
            RateLimit(limits.rate_limit),
            limits.max_body_bytes,
            self._settings.trusted_proxies,
        )

    def _keys(self) -> Keys:
        tokens = self._settings.tokens
        if tokens.jwks_url is None:
            return SharedSecret(tokens.secret or "")
        keys = JwksKeys(tokens.jwks_url)
        self._services.append(Periodic("jwks", self._settings.jwks_refresh_seconds, keys.refresh))
        return keys

    def _make_live(self) -> Live:
        interval_seconds = self._settings.poll_interval_seconds
        live = Live(self._exporter.fetch, self._alerts, self._metrics, interval_seconds)
        self._services.append(live)
        return live

    def _make_entrance(self) -> Entrance:
        settings, frame = self._settings, self._frame
        rules = EntranceRules(settings.allowed_origins, settings.requires_websocket_token)
        return Entrance(frame.gate, frame.rate_limit, self._metrics, rules)

    def _make_stream(self, entrance: Entrance) -> Stream:
        most = self._settings.limits.max_websocket_clients
        stream = Stream(self._live, self._alerts, entrance, self._metrics, most)
        self._services.append(stream)
        return stream

    def _make_reports(self) -> Reports:
        settings = self._settings
        options = ReportOptions(
            settings.limits.max_report_days,
            settings.report_timeout_seconds,
            settings.time_zone,
            settings.prometheus_job,
        )
        return Reports(self._prometheus, ReportStore(self._database), options)

    def _make_acting(self) -> Acting:
        settings, most = self._settings, self._settings.limits
        limits = Limits(
            most.max_revoke_ids, most.max_terminate_ids, settings.control_timeout_seconds
        )
        memory_seconds = settings.operations_memory_seconds
        acting = Acting(self._app, self._database, self._metrics, limits, memory_seconds)
        self._services.append(acting)
        return acting

    def _make_system(self) -> System:
        parts = [
            checks.exporter_part(self._exporter),
            checks.broker_part(self._app),
            checks.prometheus_part(self._prometheus),
            checks.database_part(self._database),
        ]
        if self._alertmanager:
            parts.append(checks.part("alertmanager", self._alertmanager.firing))
        transport = self._settings.broker.url.partition(":")[0]
        info = InfoAnswer("celeriac", __version__, celery.__version__, transport, FEATURES)
        look_around = self._live.look_around
        checkup = checks.Checkup(parts)
        return System(checkup, info, self._metrics, look_around, self._exporter, self._alerts)


def broker_options(settings: SidecarSettings) -> BrokerOptions:
    """Return how the broker is reached."""
    broker = settings.broker
    return BrokerOptions(
        url=broker.url,
        transport_options=broker.transport_options,
        ssl=broker.ssl_options or None,
        control_exchange=broker.control_exchange,
    )


def run(settings: SidecarSettings) -> None:
    """Run a sidecar until SIGTERM or SIGINT. Errors: ConfigurationError."""
    raise_file_limit()
    log_lost_exceptions()
    disable_created_metrics()  # type: ignore[no-untyped-call]
    sidecar = Sidecar(settings)
    sidecar.start()
    wait_for_the_end()
    logger.info("stopping")
    sidecar.stop()
