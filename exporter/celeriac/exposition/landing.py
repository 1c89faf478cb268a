"""The page at ``/``: what this is and where to go, self-contained."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from celeriac.exposition.messages import Response

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Celeriac</title>
<link rel="icon" href="data:,">
<style>
:root {{ --paper: #f7f6f1; --card: #fff; --ink: #22261f; --faint: #6a7064; --leaf: #3d7a2e; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #161a14; --card: #20251d; --ink: #e7eae2; --faint: #98a18f; --leaf: #8fcf7a; }}
}}
body {{ margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }}
main {{ max-width: 38rem; margin: 12vh auto; padding: 0 1.25rem; }}
h1 {{ margin: 0; font-size: 2.25rem; letter-spacing: -.02em; }}
h1 small {{ font-size: .9rem; font-weight: 400; letter-spacing: 0; color: var(--faint); }}
p {{ margin: .25rem 0 2rem; color: var(--faint); }}
ul {{ margin: 0; padding: 0; list-style: none; }}
a {{ display: block; margin: .6rem 0; padding: .8rem 1rem; border-radius: .6rem;
  border-left: .25rem solid var(--leaf); background: var(--card);
  color: inherit; text-decoration: none; }}
a:hover, a:focus-visible {{ outline: 2px solid var(--leaf); }}
code {{ color: var(--leaf); font-weight: 600; }}
span {{ display: block; color: var(--faint); }}
</style>
</head>
<body>
<main>
<h1>Celeriac <small>{version}</small></h1>
<p>A Prometheus exporter for Celery.</p>
<ul>
{links}
</ul>
</main>
</body>
</html>
"""
_LINK = '<li><a href="{target}"><code>{target}</code><span>{description}</span></a></li>'
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def landing_page(version: str, links: Mapping[str, str]) -> Response:
    """Return the page with a description for each link, in the order given."""
    items = [
        _LINK.format(target=escape(target), description=escape(description))
        for target, description in links.items()
    ]
    page = _PAGE.format(version=escape(version), links="\n".join(items))
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(page.encode(), "text/html; charset=utf-8", headers=headers)
