"""No value can become anything but itself in a query."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.clients.promql import TEMPLATES, any_of, query, quote, selector

INJECTION = 'x"} or up{a="'
anything = st.text(st.characters(exclude_categories=["Cs"]))


def test_an_injection_is_a_literal() -> None:
    found = selector({"celery_queue_length"}, [("queue", INJECTION)])
    assert found == r'{__name__=~"celery_queue_length",queue="x\"} or up{a=\""}'


@given(anything)
def test_a_literal_ends_where_it_should_and_stands_for_its_value(value: str) -> None:
    literal = quote(value)
    # The escapes are among those of JSON, which Go's strings have too.
    assert re.fullmatch(r'"(?:[^"\\\n]|\\["\\]|\\u[0-9a-f]{4})*"', literal)
    assert json.loads(literal) == value


def test_what_no_label_can_hold_does_no_harm() -> None:
    assert json.loads(quote("a\ud800b")) == "a\ufffdb"


@given(st.lists(anything, min_size=1), anything)
def test_a_choice_matches_its_values_and_no_other(values: list[str], other: str) -> None:
    pattern = re.compile(any_of(values), re.DOTALL)
    assert all(pattern.fullmatch(value) for value in values)
    assert bool(pattern.fullmatch(other)) is (other in values)


def test_a_choice_of_tasks_is_escaped_for_both_languages() -> None:
    found = selector({"a_total"}, tasks=["shop.pay", INJECTION])
    assert found == r'{__name__=~"a_total",task=~"shop\\.pay|x\"\\} or up\\{a=\""}'


def test_a_label_that_cannot_be_written_is_left_out() -> None:
    assert selector({"a"}, [("k8s.pod", "x"), ("job", "y")]) == '{__name__=~"a",job="y"}'


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_holds_nothing_but_its_two_places(name: str) -> None:
    found = query(name, "SELECTOR", 5)
    assert "{" not in found
    assert found.count("SELECTOR") == TEMPLATES[name].count("{selector}")
