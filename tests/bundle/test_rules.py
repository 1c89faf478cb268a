"""The rules: Prometheus reads them, their tests pass, and they ask for metrics that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from celeriac.exposition.families import FAMILIES
from parts.presence import require

ALERTING = Path(__file__).resolve().parents[2] / "alerting"
RULES = sorted((ALERTING / "rules").glob("*.yml"))
TESTS = sorted((ALERTING / "tests").glob("*.yml"))
# Not part of a recorded name, which has colons.
METRIC = re.compile(r"(?<![:\w])celery_[a-z0-9_]+(?![:\w])")


def promtool(*arguments: str | Path) -> str:
    require("prometheus")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.real
@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_prometheus_reads_the_rules(path: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", path)


@pytest.mark.real
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", path)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_every_metric_in_a_rule_is_in_the_table(path: Path) -> None:
    known = {family.name for family in FAMILIES}
    groups = yaml.safe_load(path.read_text())["groups"]
    asked = {
        name for group in groups for rule in group["rules"] for name in METRIC.findall(rule["expr"])
    }
    assert asked <= known


def test_every_file_of_rules_has_tests() -> None:
    assert {path.stem for path in RULES} == {path.stem for path in TESTS}
