"""The rules: Prometheus reads them, and they ask for series and labels that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundle.exported import EXPORTED
from bundle.rule_files import (
    RULE_FILES,
    Rule,
    grouping_labels,
    groups,
    recordings,
    rules,
    selected,
)
from bundle.tools import promtool

# What Prometheus adds to every series, and Kubernetes to many.
TARGET = frozenset({"cluster", "namespace", "job", "instance", "pod", "container", "endpoint"})
SEVERAL_EXPORTERS = {"instance", "pod", "container", "endpoint"}
RECORDED_NAME = re.compile(r"[a-z_]+:cel(ery|eriac)_[a-z0-9_]+:[a-z0-9_]+")

every_file = pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)


def rules_of(path: Path) -> list[Rule]:
    return [rule for rule in rules() if rule.path == path]


RECORDED = {rule.name for rule in recordings()}
ALL_LABELS = TARGET.union(*EXPORTED.values(), *(rule.labels for rule in recordings()))


@pytest.mark.real
@every_file
def test_prometheus_reads_the_rules(path: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", path)


@every_file
def test_every_series_in_a_rule_exists(path: Path) -> None:
    for rule in rules_of(path):
        assert {wanted.name for wanted in selected(rule.expr)} <= EXPORTED.keys() | RECORDED


@every_file
def test_every_label_in_a_rule_exists(path: Path) -> None:
    for rule in rules_of(path):
        assert grouping_labels(rule.expr) <= ALL_LABELS
        for wanted in selected(rule.expr):
            assert wanted.labels <= EXPORTED.get(wanted.name, ALL_LABELS) | TARGET


@every_file
def test_a_recorded_name_is_level_metric_operation(path: Path) -> None:
    for rule in rules_of(path):
        assert rule.is_alert or RECORDED_NAME.fullmatch(rule.name)


@every_file
def test_what_two_exporters_say_is_not_added_up(path: Path) -> None:
    """A second exporter of the same broker is a spare: its numbers are the same ones."""
    for rule in rules_of(path):
        assert "sidecar" in rule.name or "sum without (instance" not in rule.expr


@every_file
def test_no_recorded_series_names_an_exporter(path: Path) -> None:
    for rule in rules_of(path):
        is_raw = any(wanted.name in EXPORTED for wanted in selected(rule.expr))
        if is_raw and not rule.is_alert and not rule.name.startswith("instance:"):
            assert grouping_labels(rule.expr) >= SEVERAL_EXPORTERS


def test_no_group_has_the_name_of_another() -> None:
    names = [group["name"] for _, group in groups()]
    assert len(names) == len(set(names))
