"""The page at the root."""

from __future__ import annotations

import re

from celeriac.exposition.landing import landing_page

LINKS = {"/metrics": "What Prometheus reads", "/readyz?a=1&b=<2>": "Ready & true"}


def page() -> str:
    body = landing_page("1.2.3", LINKS).body
    assert isinstance(body, bytes)
    return body.decode()


def test_it_names_the_product_with_its_version() -> None:
    assert "<h1>Celeriac <small>1.2.3</small></h1>" in page()


def test_it_links_in_the_order_given() -> None:
    assert re.findall('href="(/[^"]*)"', page()) == ["/metrics", "/readyz?a=1&amp;b=&lt;2&gt;"]


def test_it_describes_each_link() -> None:
    assert "What Prometheus reads" in page()
    assert "Ready &amp; true" in page()


def test_it_loads_nothing_from_elsewhere() -> None:
    assert "://" not in page()
    assert "<script" not in page()


def test_it_is_html() -> None:
    assert landing_page("1", {}).content_type == "text/html; charset=utf-8"
