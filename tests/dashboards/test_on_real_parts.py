"""Every panel shows something: each query and variable, on a real Prometheus of a real cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards.files import PATHS, Ask, asks, filled_in, read, variables
from dashboards.incident import Demo, watching
from parts.prometheus import Prometheus

pytestmark = [pytest.mark.real, pytest.mark.slow]

RULES = Path(__file__).resolve().parents[2] / "alerting" / "rules"
PATIENCE_SECONDS = 60.0
REST_SECONDS = 3.0
STEP_SECONDS = 15
SHOWN_SECONDS = 300
# What this cluster cannot have.
NEVER_HERE = {
    ("celeriac-queues", "Delayed"): "RabbitMQ alone has native delayed delivery",
}
Question = tuple[str, str, str]
"""Dashboard, panel and query; or dashboard, variable and what it lists."""


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    with Demo() as demo, watching(demo, RULES) as server:
        demo.act()
        server.scraped()
        demo.lose_a_worker(server)
        demo.act()
        yield server


def has_data(prometheus: Prometheus, ask: Ask, promql: str) -> bool:
    if ask.is_instant:
        return bool(prometheus.query(promql))
    now = time.time()
    answer = prometheus.get(
        "/api/v1/query_range",
        query=promql,
        start=str(now - SHOWN_SECONDS),
        end=str(now),
        step=str(STEP_SECONDS),
    )
    return bool(answer["data"]["result"])


def unanswered(prometheus: Prometheus, left: dict[Question, Ask]) -> dict[Question, Ask]:
    return {
        question: ask
        for question, ask in left.items()
        if not has_data(prometheus, ask, question[2])
    }


def all_asks() -> dict[Question, Ask]:
    found: dict[Question, Ask] = {}
    for path in PATHS:
        dashboard = read(path)
        for ask in asks(dashboard):
            if (path.stem, ask.panel) not in NEVER_HERE:
                found[path.stem, ask.panel, filled_in(ask.promql, dashboard)] = ask
    return found


def test_every_query_of_every_panel_returns_data(prometheus: Prometheus) -> None:
    left = all_asks()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left and time.monotonic() < deadline:
        left = unanswered(prometheus, left)
        time.sleep(REST_SECONDS if left else 0)
    assert not left, "\n".join(" | ".join(question) for question in left)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_variable_lists_values(prometheus: Prometheus, path: Path) -> None:
    dashboard = read(path)
    for name, variable in variables(dashboard).items():
        asked = filled_in(variable["query"]["query"], dashboard)
        selector, _, label = asked.removeprefix("label_values(")[:-1].rpartition(", ")
        answer = prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": selector})
        assert answer["data"], name
