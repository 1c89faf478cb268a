"""The checkup: all parts at once, none waited for, none believed for long."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from celeriac.celery_app import BrokerOptions, make_app
from celeriac.clients.alertmanager_api import AlertmanagerApi
from celeriac.clients.exporter_page import ExporterPage
from celeriac.clients.prometheus_api import PrometheusApi
from celeriac.sidecar import checks
from celeriac.sidecar.checks import Check, Checks, Checkup, Part, overall
from celeriac.sidecar.database import Database

GOOD, BAD = Check("healthy", ""), Check("unhealthy", "")
WELL = {"broker": GOOD, "exporter": GOOD, "workers": GOOD, "prometheus": GOOD}


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        ((), "healthy"),
        (("exporter", "workers"), "degraded"),
        (("prometheus",), "degraded"),
        (("workers",), "degraded"),
        (("broker",), "unhealthy"),
        (("broker", "exporter", "workers", "prometheus"), "unhealthy"),
    ],
)
def test_without_the_broker_nothing_is_well(bad: tuple[str, ...], status: str) -> None:
    assert overall(WELL | dict.fromkeys(bad, BAD)) == status


def test_a_look_is_good_for_a_moment() -> None:
    looks: list[int] = []

    def look() -> Checks:
        looks.append(1)
        return {"broker": GOOD}

    checkup = Checkup([Part(("broker",), look)])
    with ThreadPoolExecutor(8) as threads:
        found = [threads.submit(checkup.checks) for _ in range(20)]
    assert [each.result() for each in found] == [{"broker": GOOD}] * 20
    assert len(looks) == 1
    checkup._looked_mono -= checks.FRESH_SECONDS
    checkup.checks()
    assert len(looks) == 2


def test_who_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PATIENCE_SECONDS", 0.1)
    end = threading.Event()

    def hang() -> Checks:
        end.wait(10)
        return {}

    checkup = Checkup([Part(("a", "b"), hang), Part(("c",), lambda: {"c": GOOD})])
    began = time.monotonic()
    found = checkup.checks()
    assert time.monotonic() - began < 5
    assert [found[name].status for name in "abc"] == ["unhealthy", "unhealthy", "healthy"]
    assert found["a"].detail == "no answer in time"
    end.set()


def test_a_look_that_fails_is_no_fault_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Checks:
        raise RuntimeError("canary5ecret")

    found = Checkup([Part(("a",), fail), Part(("b",), lambda: {"b": GOOD})]).checks()
    assert (found["a"].status, found["b"].status) == ("unhealthy", "healthy")
    assert "canary5ecret" not in found["a"].detail
    assert "please report it" in caplog.text


def test_what_is_away_is_said_without_its_address(tmp_path: Path) -> None:
    (tmp_path / "canary5ecret").touch()
    url = "http://user:canary5ecret@127.0.0.1:9"
    parts = [
        checks.exporter_part(ExporterPage(url)),
        checks.part("alertmanager", AlertmanagerApi(url).firing),
        checks.prometheus_part(PrometheusApi(url)),
        checks.broker_part(make_app(BrokerOptions("redis://:canary5ecret@127.0.0.1:9/0"))),
        checks.database_part(Database(f"sqlite:///{tmp_path}/canary5ecret/x.db")),
    ]
    found = Checkup(parts).checks()
    assert {name: check.status for name, check in found.items()} == {
        "exporter": "unhealthy",
        "workers": "degraded",
        "prometheus": "unhealthy",
        "alertmanager": "unhealthy",
        "broker": "unhealthy",
        "database": "unhealthy",
    }
    assert "canary5ecret" not in str(found)
    assert all(check.detail for check in found.values())
