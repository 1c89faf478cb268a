"""What breaks is named: the Overview's verdict and culprit, on histories with a known truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from dashboards.files import FOLDER, Ask, asks, filled_in, read
from grafana.tour.__main__ import END, history
from grafana.tour.backfill import serving, write
from grafana.tour.incidents import FAILING_TASK, INCIDENTS, STUCK_QUEUE
from parts.presence import require

pytestmark = [pytest.mark.real, pytest.mark.slow]

HISTORY_SECONDS = 2700.0
TIMEOUT_SECONDS = 10.0
OVERVIEW = read(FOLDER / "celeriac-overview.json")
Row = tuple[dict[str, str], float]
BROKEN = {
    "stuck-queue": ("queues that nobody consumes", "Worst queues", "queue", STUCK_QUEUE),
    "failing-after-deploy": (
        "tasks fail in over 10% of their runs",
        "Worst tasks, last 15 minutes",
        "task",
        FAILING_TASK,
    ),
    "workers-lost": ("workers lost and not replaced", "Worst workers", "worker", "batch-1@shop"),
}


@pytest.fixture(scope="module", params=[*INCIDENTS, None], ids=lambda i: i.name if i else "none")
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Yield the incident's name, and a Prometheus with its history; no rules are evaluated."""
    require("prometheus")
    folder: Path = tmp_path_factory.mktemp("history")
    write(history(request.param, HISTORY_SECONDS), folder)
    with serving(folder) as url:
        yield request.param.name if request.param else "", url


def answer(url: str, ask: Ask) -> list[Row]:
    asked = {"query": filled_in(ask.promql, OVERVIEW), "time": str(END)}
    got = requests.post(f"{url}/api/v1/query", data=asked, timeout=TIMEOUT_SECONDS).json()
    return [(row["metric"], float(row["value"][1])) for row in got["data"]["result"]]


def answers(url: str, panel: str) -> list[list[Row]]:
    return [answer(url, ask) for ask in asks(OVERVIEW) if ask.panel == panel]


def test_the_verdict_is_that_of_what_broke(scene: tuple[str, str]) -> None:
    name, url = scene
    why, *_ = BROKEN.get(name, ("nothing is wrong",))
    assert answers(url, "Verdict") == [[({"why": why}, 1.0 if name else 0.0)]]


def test_the_culprit_is_the_first_of_its_table(scene: tuple[str, str]) -> None:
    name, url = scene
    if not name:
        assert not any(answers(url, "Worst workers"))
        return
    _, panel, label, culprit = BROKEN[name]
    sorted_by = next(rows for rows in answers(url, panel) if rows)
    worst = max(sorted_by, key=lambda row: row[1])
    assert worst[0][label] == culprit


def test_nothing_else_is_called_wrong(scene: tuple[str, str]) -> None:
    name, url = scene
    why = [metric["why"] for rows in answers(url, "Why") for metric, _ in rows]
    assert why == ([BROKEN[name][0]] if name else [])
