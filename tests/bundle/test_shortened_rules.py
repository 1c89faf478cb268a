"""The rules of the drills are those of the bundle, in less time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from drills.shortened import FACTOR, duration, expression, write_shortened

from bundle.rule_files import RULE_FILES
from bundle.tools import promtool

NUMBER_WITH_UNIT = re.compile(r"\d+(ms|[smhd])\b")


@pytest.fixture(scope="module")
def shortened(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_shortened(tmp_path_factory.mktemp("drills") / "rules")


def test_an_hour_is_a_minute() -> None:
    assert duration("1h") == "60000ms"


def test_ranges_and_offsets_are_shorter() -> None:
    assert expression("rate(x[5m] offset 10m)") == "rate(x[5000ms] offset 10000ms)"


def test_a_horizon_in_seconds_is_shorter() -> None:
    assert expression("predict_linear(x[1h], 4 * 3600)") == "predict_linear(x[60000ms], 4 * 60)"


def test_the_name_of_a_recorded_series_is_the_same() -> None:
    assert expression("job:celery_task_events:rate5m > 3") == "job:celery_task_events:rate5m > 3"


def test_a_threshold_in_seconds_is_shorter(shortened: list[Path]) -> None:
    [path] = [path for path in shortened if path.name == "thresholds.yml"]
    assert f"longest + {300 / FACTOR}" in path.read_text()


def test_a_threshold_of_something_else_is_the_same(shortened: list[Path]) -> None:
    [path] = [path for path in shortened if path.name == "thresholds.yml"]
    assert "job:celery_queue_length:sum + 50" in path.read_text()


def test_nothing_but_times_is_changed(shortened: list[Path]) -> None:
    for path, shorter in zip(RULE_FILES, shortened, strict=True):
        if path.name != "thresholds.yml":
            assert without_times(shorter) == without_times(path)


@pytest.mark.real
def test_prometheus_reads_them(shortened: list[Path]) -> None:
    promtool("check", "rules", *shortened)


def without_times(path: Path) -> list[str]:
    groups = yaml.safe_load(path.read_text())["groups"]
    text = yaml.safe_dump(groups, width=10_000).replace("3600", "60")
    return NUMBER_WITH_UNIT.sub("", text).split()
