"""A real browser that opens one page, and what the page says it heard."""

from __future__ import annotations

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from parts.presence import BROWSERS, first_program, require
from parts.processes import Child, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

START_SECONDS = 60.0
# Nothing but loopback is to be reached, whatever a browser would like to look up.
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
PAGE = """<!doctype html><title>A client</title><script>
const [url, protocols, reports] = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const send = what => fetch(reports, {method: 'POST', mode: 'no-cors', body: what});
let last = Promise.resolve();
const report = what => { last = last.then(() => send(what)); };
const socket = new WebSocket(url, protocols);
socket.onmessage = message => report(JSON.parse(message.data).message_type);
socket.onclose = event => report('closed ' + event.code);
</script>"""


class Browser(Part):
    """Chromium with a page that opens a WebSocket; ``heard`` is the type of each message.

    The page comes from ``http://localhost`` on a port of its own, or from disk. A socket that ends
    is heard as ``closed`` and its code.
    """

    def __init__(
        self, websocket_url: str, protocols: Sequence[str] = (), *, is_from_disk: bool = False
    ) -> None:
        require("chromium")
        super().__init__()
        self.heard: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server_url = f"http://localhost:{self._server.server_port}/"
        page = self.folder / "page.html"
        page.write_text(PAGE)
        asked = urllib.parse.quote(json.dumps([websocket_url, list(protocols), server_url]))
        address = page.as_uri() if is_from_disk else server_url
        program = first_program(BROWSERS) or BROWSERS[0]
        command = [program, *FLAGS, f"--user-data-dir={self.folder}/profile", f"{address}#{asked}"]
        self.child = self.adopt(Child("browser", command, self.folder))

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._ends.callback(self._server.server_close)
        self._ends.callback(self._server.shutdown)
        self.child.start()

    def hears(self, *expected: str) -> None:
        """Return when the page has heard this first, in this order."""
        what = f"the page to hear {expected}"
        self.child.wait_until(lambda: len(self.heard) >= len(expected), START_SECONDS, what)
        assert tuple(self.heard[: len(expected)]) == expected

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(PAGE.encode())

            def do_POST(self) -> None:
                heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
