"""thresholds.yml: one file of numbers, from which the rules are made that record them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from bundle.generator import generator
from bundle.rule_files import recordings

THRESHOLDS: dict[str, dict[str, Any]] = yaml.safe_load(generator.SOURCE.read_text())
BACKLOG = {"means": "Messages", "of": "queue:celery_queue_length:max", "warning": 50}


def expression(**changes: Any) -> str:
    """Return what is recorded of one threshold."""
    made = yaml.safe_load(generator.rules({"backlog": BACKLOG | changes}))
    [rule] = made["groups"][0]["rules"]
    return " ".join(rule["expr"].split())


def test_the_rules_are_what_the_thresholds_say() -> None:
    assert generator.RULES.read_text() == generator.rules(THRESHOLDS)


def test_a_threshold_has_one_value_for_each_series() -> None:
    assert expression() == "0 * queue:celery_queue_length:max + 50"


def test_a_queue_has_a_threshold_of_its_own() -> None:
    own = [{"queue": "nightly", "warning": 500}]
    assert expression(own=own) == (
        '0 * queue:celery_queue_length:max{queue="nightly"} + 500'
        " or 0 * queue:celery_queue_length:max + 50"
    )


def test_a_regular_expression_begins_with_a_tilde() -> None:
    own = [{"queue": "~batch-.+", "job": "staging", "warning": 500}]
    assert expression(own=own).startswith(
        '0 * queue:celery_queue_length:max{queue=~"batch-.+", job="staging"} + 500 or'
    )


def test_quotes_in_a_name_are_escaped() -> None:
    assert r'{queue="a\"b\\"}' in expression(own=[{"queue": 'a"b\\', "warning": 1}])


def test_an_own_number_of_another_level_changes_nothing() -> None:
    own = [{"queue": "nightly", "critical": 900}]
    made = yaml.safe_load(generator.rules({"b": BACKLOG | {"critical": 100, "own": own}}))
    warning, critical = made["groups"][0]["rules"]
    assert "nightly" not in warning["expr"]
    assert "nightly" in critical["expr"]


@pytest.mark.parametrize(
    "wrong",
    [{"warning": "many"}, {"warning": True}, {"own": [{"qeue": "a", "warning": 1}]}, {"of": None}],
    ids=["text", "truth", "unknown label", "no series"],
)
def test_what_cannot_be_used_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(generator.ThresholdError, match="backlog"):
        generator.rules({"backlog": BACKLOG | wrong})


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_threshold_is_of_a_series_that_is_recorded(name: str) -> None:
    assert THRESHOLDS[name]["of"] in {rule.name for rule in recordings()}
