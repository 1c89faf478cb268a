"""The class of an exception, from whatever a worker says about it."""

from __future__ import annotations

import pytest

from celeriac.model.exceptions import exception_class

WRAPPER = "ExceptionWithTraceback(ValueError('x'))"
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/app/tasks.py", line 3, in add\n'
    "    raise OutOfStock('shelf 3')\n"
)


@pytest.mark.parametrize(
    ("representation", "name"),
    [
        ("ValueError('a')", "ValueError"),
        ("ValueError()", "ValueError"),
        ("celery.exceptions.WorkerLostError('x')", "WorkerLostError"),
        ("<class 'app.errors.OutOfStock'>", "OutOfStock"),
        ("TimeLimitExceeded(1,)", "TimeLimitExceeded"),
        ("<MyError: no>", "MyError"),
        ("\u041e\u0448\u0438\u0431\u043a\u0430()", "\u041e\u0448\u0438\u0431\u043a\u0430"),
        ("reject requeue=False: None", "Reject"),
        (None, "other"),
        ("", "other"),
        (5, "other"),
        ({"a": 1}, "other"),
        ("('a', 1)", "other"),
        ("'just a text'", "other"),
        ("1234", "other"),
        ("\ud800()", "other"),
    ],
)
def test_an_exception_is_known_by_its_class(representation: object, name: str) -> None:
    assert exception_class(representation) == name


@pytest.mark.parametrize(
    ("last", "name"),
    [
        ("app.errors.OutOfStock: shelf 3", "OutOfStock"),
        ("app.errors.OutOfStock", "OutOfStock"),
        ("OutOfStock: shelf 3\n\n", "OutOfStock"),
        ("app.errors.OutOfStock: shelf 3\nshelf 4", "OutOfStock"),
        ("app.errors.OutOfStock: shelf 3\nsecret", "OutOfStock"),
        ("app.errors.OutOfStock: " + "x" * 20_000, "OutOfStock"),
    ],
    ids=["message", "bare", "blank lines", "two lines", "a word on its own", "long message"],
)
def test_behind_celerys_wrapper_the_traceback_names_the_class(last: str, name: str) -> None:
    assert exception_class(WRAPPER, TRACEBACK + last) == name


@pytest.mark.parametrize("traceback", [None, "", "  \n ", 5, {}, ["x"]])
def test_a_wrapper_without_traceback_is_known_as_itself(traceback: object) -> None:
    assert exception_class(WRAPPER, traceback) == "ExceptionWithTraceback"


def test_the_traceback_of_anything_else_does_not_matter() -> None:
    assert exception_class("KeyError('a')", TRACEBACK + "ValueError: x") == "KeyError"


@pytest.mark.parametrize("text", ["a." * 100_000, "a" * 1_000_000, "a." * 249 + "1", "\n" * 10**6])
def test_no_text_makes_a_long_name_or_a_long_wait(text: str) -> None:
    assert len(exception_class(text)) <= 200
    assert len(exception_class(WRAPPER, text)) <= 200
