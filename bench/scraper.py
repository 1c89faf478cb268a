"""A client that scrapes as Prometheus does, on one kept connection."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from typing import Self
from urllib.parse import urlsplit

# Under load a page of the others takes tens of seconds.
TIMEOUT_SECONDS = 300.0


class Scraper:
    """Reads one page again and again, with next to no work of its own."""

    def __init__(self, page_url: str, encoding: str = "identity") -> None:
        address = urlsplit(page_url)
        self._path = address.path
        self._headers = {"Accept-Encoding": encoding}
        self._connection = HTTPConnection(address.netloc, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def page(self, query: str = "") -> bytes:
        """Return the page; *query* is what comes after the question mark."""
        path = f"{self._path}?{query}" if query else self._path
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise ConnectionError(f"HTTP {response.status} instead of the page")
        return body

    def milliseconds(self) -> float:
        """Return how long the whole page takes."""
        began = time.perf_counter()
        self.page()
        return 1e3 * (time.perf_counter() - began)
