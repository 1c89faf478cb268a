"""How names, counts and durations read."""

from __future__ import annotations

import pytest

from celeriac.doctor.questions.http import Address
from celeriac.doctor.words import listed, several, span


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((), ""),
        (("a",), "a"),
        (("b", "a"), "a and b"),
        (("c", "a", "b"), "a, b and c"),
        ("abcdefg", "a, b, c, d, e and 2 more"),
    ],
)
def test_names_read_as_a_list(names: tuple[str, ...], text: str) -> None:
    assert listed(names) == text


def test_a_number_agrees_with_its_noun() -> None:
    assert [several(count, "worker") for count in (0, 1, 2, 1234)] == [
        "0 workers",
        "1 worker",
        "2 workers",
        "1,234 workers",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (12.0, "12 s"), (90.0, "90 s"), (600.0, "10 min"), (9000.0, "2 h")],
)
def test_a_duration_has_the_unit_of_its_size(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    "base",
    ["http://user:pass@host:9090/prom/", "http://host:9090/prom", "http://a:b@c@host:9090/prom"],
)
def test_an_address_is_shown_without_user_and_password(base: str) -> None:
    assert Address(base).url == "http://host:9090/prom"
