"""``--web.config.file`` while it is in use: TLS, headers and passwords, read anew when changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from celeriac.errors import ConfigurationError
from celeriac.exposition.basic_auth import BasicAuth
from celeriac.exposition.tls import TlsServer, files
from celeriac.exposition.web_config_format import OPTION, TlsSection, WebConfigFile, parse, refused

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class WebAccess:
    """Who may come in and how, by one version of the file; None means without."""

    tls: TlsServer | None
    passwords: BasicAuth | None
    headers: Mapping[str, str]


class WebConfig:
    """A web configuration file, watched.

    ``current()`` looks at the file and at the certificates it names, four ``stat`` calls, and reads
    them again when one changed. A new version that is not usable is logged once and changes
    nothing: the last good one stays, and ``reload_success`` is False until the next good one.
    Whether TLS is spoken at all is settled at start; that takes a restart.
    """

    def __init__(self, path: Path) -> None:
        """Read the file; raise ConfigurationError if it or a certificate is not usable."""
        self.reload_success = True
        self._path = path
        self._lock = threading.Lock()
        self._seen: dict[Path, _Stamp | None] = {}
        file = self._read()
        self._access = self._build(file)
        if file.http_server_config.http2:
            logger.info("%s: http_server_config.http2: this server speaks HTTP/1.1 only", OPTION)

    @property
    def is_tls(self) -> bool:
        return self._access.tls is not None

    def current(self) -> WebAccess:
        """Return the newest usable version; never raises."""
        with self._lock:
            if any(_stamp(path) != stamp for path, stamp in self._seen.items()):
                self._reload()
            return self._access

    def _reload(self) -> None:
        try:
            access = self._build(self._read())
            if (access.tls is None) == self.is_tls:
                raise refused("tls_server_config", "cannot come or go at run time; restart")
        except ConfigurationError as error:
            self.reload_success = False
            logger.error("%s; the last good version stays in use", error)  # noqa: TRY400
        else:
            self._access = access
            self.reload_success = True
            logger.info("%s: read again after a change", OPTION)

    def _read(self) -> WebConfigFile:
        # Stamped before reading: a change in between is then seen at the next look.
        self._seen = {self._path: _stamp(self._path)}
        try:
            return parse(self._path.read_bytes())
        except OSError as error:
            raise ConfigurationError(OPTION, f"cannot be read: {error.strerror}") from error

    def _build(self, file: WebConfigFile) -> WebAccess:
        section, directory = file.tls_server_config, self._path.parent
        self._seen |= {path: _stamp(path) for path in files(section, directory)}
        return WebAccess(
            tls=_tls_server(section, directory) if section != TlsSection() else None,
            passwords=BasicAuth(file.basic_auth_users) if file.basic_auth_users else None,
            headers={name: it for name, it in file.http_server_config.headers.items() if it},
        )


def _tls_server(section: TlsSection, directory: Path) -> TlsServer:
    try:
        return TlsServer(section, directory)
    except (OSError, ValueError) as error:  # ssl.SSLError too: a policy of the system's OpenSSL
        problem = "this machine's OpenSSL does not allow its versions, suites or curve"
        raise refused("tls_server_config", problem) from error


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes when the file does, or None when it is not there."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
