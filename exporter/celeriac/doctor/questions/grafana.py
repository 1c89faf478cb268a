"""What Grafana's HTTP API says: version, data sources, dashboards."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import msgspec

from celeriac.doctor.questions.http import Web, WebFailureError, answer_or_reason
from celeriac.doctor.unexamined import Unexamined
from celeriac.doctor.web_facts import Datasource, GrafanaFacts, WebContact

# What our dashboards are tagged with.
TAG = "celeriac"
_Text = Annotated[str, msgspec.Meta(max_length=1000)]


class _Health(msgspec.Struct, gc=False):
    version: _Text = ""


class _Datasource(msgspec.Struct, gc=False):
    name: _Text
    type: _Text
    uid: _Text


class _Found(msgspec.Struct, gc=False):
    title: _Text


class _Vector(msgspec.Struct, gc=False):
    result: list[msgspec.Raw]


class _QueryAnswer(msgspec.Struct, gc=False):
    data: _Vector


def try_ask(web: Web) -> tuple[WebContact, GrafanaFacts | Unexamined]:
    """Return whether Grafana answers, and what it says."""
    try:
        # Answers without a login.
        web.json("/api/health", _Health)
    except WebFailureError as error:
        return WebContact(web.url, str(error)), Unexamined("Grafana does not answer")
    return WebContact(web.url), GrafanaFacts(
        web.url,
        answer_or_reason(lambda: _datasources(web)),
        answer_or_reason(lambda: _dashboards(web)),
    )


def _datasources(web: Web) -> tuple[Datasource, ...]:
    found = web.json("/api/datasources", list[_Datasource])
    return tuple(_try_query(web, source) for source in found if source.type == "prometheus")


def _try_query(web: Web, source: _Datasource) -> Datasource:
    """Ask as a panel does, through Grafana's proxy."""
    path = f"/api/datasources/proxy/uid/{quote(source.uid, safe='')}/api/v1/query"
    try:
        answer = web.json(path, _QueryAnswer, query="celery_active_workers")
    except WebFailureError as error:
        return Datasource(source.name, str(error), has_celery=False)
    return Datasource(source.name, None, has_celery=bool(answer.data.result))


def _dashboards(web: Web) -> tuple[str, ...]:
    found = web.json("/api/search", list[_Found], tag=TAG, type="dash-db")
    return tuple(dashboard.title for dashboard in found)
