"""No secret in any line of the log, in either format."""

from __future__ import annotations

import io
import json
import logging
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.logs import HIDDEN, Redactor, set_up_logs

CANARY = "canary5ecret"
logger = logging.getLogger("celeriac.test")
FORMATS = ("text", "json")
both_formats = pytest.mark.parametrize("log_format", FORMATS)


def logged(write: Callable[[], object], log_format: str, *secrets: str) -> str:
    """Return what the log has after *write*, all secrets told."""
    stream = io.StringIO()
    set_up_logs("debug", log_format, stream).hide(*secrets)
    write()
    return stream.getvalue()


def fail_with(message: str) -> None:
    """Log an error with its cause, both of them saying *message*."""
    error = RuntimeError(f"again: {message}")
    error.__cause__ = OSError(message)
    logger.error("it failed: %s", message, exc_info=error)


MESSAGES = {
    "url": f"redis://user:{CANARY}@host:6379/0",
    "url without user": f"redis://:{CANARY}@host",
    "alternates": f"amqp://u:{CANARY}@a//;amqp://v:{CANARY}@b//",
    "url in a repr": repr({"broker_url": f"amqp://u:{CANARY}@host//"}),
    "at in the password": f"redis://:{CANARY}@{CANARY}@host/0",
    "colon in the password": f"redis://u:{CANARY}:{CANARY}@host/0",
    "query": f"redis://host/0?password={CANARY}&x=1",
    "option": f"sentinel_kwargs={{'password': '{CANARY}'}}",
    "option in double quotes": f'{{"password": "{CANARY}"}}',
    "passwd": f"passwd: {CANARY}",
    "token": f"token={CANARY}",
    "secret": f"SECRET = {CANARY}",
}


@both_formats
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_what_looks_like_a_secret_is_hidden_untold(message: str, log_format: str) -> None:
    text = logged(lambda: logger.info("tried %s", message), log_format)
    assert CANARY not in text
    assert HIDDEN in text


@both_formats
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_a_traceback_hides_it_too(message: str, log_format: str) -> None:
    text = logged(lambda: fail_with(message), log_format)
    assert "RuntimeError" in text
    assert CANARY not in text


@both_formats
def test_a_secret_that_was_told_is_hidden_anywhere(log_format: str) -> None:
    text = logged(lambda: fail_with(f"plainly {CANARY}!"), log_format, CANARY)
    assert CANARY not in text


@both_formats
def test_a_longer_secret_is_hidden_before_one_within_it(log_format: str) -> None:
    text = logged(lambda: logger.info("x secret1234 y"), log_format, "secret", "secret1234")
    assert "1234" not in text


@both_formats
def test_no_empty_secret_hides_anything(log_format: str) -> None:
    text = logged(lambda: logger.info("plain"), log_format, "", "")
    assert HIDDEN not in text


@both_formats
def test_a_url_without_password_stays_readable(log_format: str) -> None:
    text = logged(lambda: logger.info("redis://host:6379/0 http://[::1]:80/x"), log_format)
    assert "redis://host:6379/0" in text
    assert "http://[::1]:80/x" in text


@both_formats
def test_the_host_of_a_url_stays_readable(log_format: str) -> None:
    text = logged(lambda: logger.info("redis://u:%s@host:6379/0", CANARY), log_format)
    assert f"redis://u:{HIDDEN}@host:6379/0" in text


@both_formats
@pytest.mark.parametrize(
    "password",
    ['quo"te-canary', "back\\slash-canary", "\u00fcml\u00e4ut-canary", "tab\tcanary", "'canary'"],
)
def test_a_password_that_a_format_escapes_is_hidden(password: str, log_format: str) -> None:
    text = logged(lambda: fail_with(f"bad password {password}"), log_format, password)
    assert "canary" not in text


@both_formats
@given(password=st.text(st.characters(codec="utf-8"), min_size=8, max_size=20))
def test_no_password_is_in_the_log_in_any_form(password: str, log_format: str) -> None:
    url = f"redis://:{urllib.parse.quote(password, safe='')}@host/0"
    text = logged(lambda: logger.warning("%s %s", url, password), log_format, password)
    forms = {password, urllib.parse.quote(password, safe=""), json.dumps(password)[1:-1]}
    forms = {form for form in forms if form.strip() and form not in HIDDEN}
    assert not [form for form in forms if form in text]
    if log_format == "json":
        json.loads(text)


def test_json_has_one_object_a_line() -> None:
    text = logged(lambda: fail_with("two\nlines"), "json")
    (line,) = text.splitlines()
    record = json.loads(line)
    assert record["level"] == "ERROR"
    assert record["logger"] == "celeriac.test"
    assert record["message"] == "it failed: two\nlines"
    assert "RuntimeError" in record["exc_info"]
    assert record["time"]


def test_text_has_level_and_name() -> None:
    text = logged(lambda: logger.info("here"), "text")
    assert "INFO    celeriac.test  here" in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "is_json"), [(Terminal(), False), (io.StringIO(), True)])
def test_auto_is_text_on_a_terminal_or_json_elsewhere(stream: io.StringIO, is_json: bool) -> None:
    set_up_logs("info", "auto", stream)
    logger.info("here")
    assert stream.getvalue().startswith("{") is is_json


def test_a_level_below_the_one_asked_for_is_silent() -> None:
    stream = io.StringIO()
    set_up_logs("warning", "text", stream)
    logger.info("here")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("noisy", ["amqp", "kombu", "celery", "urllib3"])
def test_libraries_do_not_talk_below_a_warning(noisy: str) -> None:
    text = logged(lambda: logging.getLogger(noisy).info("here"), "text")
    assert text == ""


def test_hiding_is_possible_after_the_log_has_begun() -> None:
    redactor = Redactor()
    assert redactor.clean(CANARY) == CANARY
    redactor.hide(CANARY)
    assert redactor.clean(CANARY) == HIDDEN
