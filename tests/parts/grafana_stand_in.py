"""A stand-in for Grafana, no Grafana: it answers the five paths of its HTTP API that are asked.

Grafana's server is in no package registry. The shapes are those of its documentation (HTTP API:
other, data source, folder/dashboard search). What it cannot show is that a real one answers so.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import requests

PROXY = "/api/datasources/proxy/uid/"


class GrafanaStandIn:
    """Serves one data source, which leads to a real Prometheus, and some dashboards.

    Without the token, only ``/api/health`` answers, as in the real one.
    """

    def __init__(self, prometheus_url: str, *, token: str, dashboards: tuple[str, ...]) -> None:
        self._prometheus_url = prometheus_url
        self._token = token
        self._dashboards = dashboards
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = outer.answer(self.path, self.headers.get("Authorization", ""))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, target: str, authorization: str) -> tuple[int, bytes]:
        """Return status and body of a GET."""
        parts = urlsplit(target)
        if parts.path == "/api/health":
            return _json({"database": "ok", "version": "13.0.0", "commit": "0"})
        if authorization != f"Bearer {self._token}":
            return _json({"message": "Unauthorized"}, 401)
        if parts.path == "/api/datasources":
            source = {"id": 1, "uid": "p1", "name": "Prometheus", "type": "prometheus"}
            return _json([source, {"id": 2, "uid": "l1", "name": "Loki", "type": "loki"}])
        if parts.path == "/api/search":
            tags = parse_qs(parts.query).get("tag", [])
            return _json([{"title": title, "tags": tags} for title in self._dashboards])
        if parts.path.startswith(f"{PROXY}p1/"):
            return self._proxied(parts.path.removeprefix(f"{PROXY}p1"), parts.query)
        return _json({"message": "Not found"}, 404)

    def _proxied(self, path: str, query: str) -> tuple[int, bytes]:
        try:
            answer = requests.get(f"{self._prometheus_url}{path}?{query}", timeout=5)
        except requests.RequestException:
            return _json({"message": "Bad Gateway"}, 502)
        return answer.status_code, answer.content


def _json(body: Any, status: int = 200) -> tuple[int, bytes]:
    return status, json.dumps(body).encode()
