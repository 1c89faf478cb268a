"""Settings read from text: what is understood, and what is refused."""

from __future__ import annotations

import math
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.errors import ConfigurationError
from celeriac.settings import (
    broker_url,
    buckets,
    http_url,
    key_values,
    secret_from_file,
    ssl_options,
    transport_options,
)
from certificates import signed

OPTION = "--the-option"
CANARY = "canary5ecret"


def refusal(read: object, *arguments: object) -> str:
    assert callable(read)
    with pytest.raises(ConfigurationError) as caught:
        read(OPTION, *arguments)
    assert caught.value.option == OPTION
    assert CANARY not in str(caught.value)
    return caught.value.problem


# -- buckets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("0.1,1,10", (0.1, 1.0, 10.0)),
        (" 0.1 , 1 ", (0.1, 1.0)),
        ("1", (1.0,)),
        ("1,2,", (1.0, 2.0)),
        ("1,2,inf", (1.0, 2.0)),
        ("1,2,+Inf", (1.0, 2.0)),
    ],
)
def test_132_buckets_are_ascending_numbers(text: str, bounds: tuple[float, ...]) -> None:
    assert buckets(OPTION, text) == bounds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "inf",
        "2,1",
        "1,1",
        "1,nan",
        "nan",
        "-inf,1",
        "1,inf,2",
        "1,inf,inf",
        f"1,{CANARY}",
        ",".join(map(str, range(51))),
    ],
)
def test_132_other_buckets_are_refused(text: str) -> None:
    refusal(buckets, text)


@given(st.lists(st.floats(allow_nan=True), max_size=60))
def test_no_list_of_numbers_gives_buckets_that_do_not_ascend(numbers: list[float]) -> None:
    try:
        bounds = buckets(OPTION, ",".join(map(repr, numbers)))
    except ConfigurationError:
        return
    assert all(math.isfinite(bound) for bound in bounds)
    assert list(bounds) == sorted(set(bounds))
    assert 1 <= len(bounds) <= 50


# -- secrets in files ------------------------------------------------------------------------


def secret_file(directory: Path, content: bytes, mode: int = 0o600) -> Path:
    path = directory / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [b"value", b"value\n", b"value\r\n", b"  value \n\n"])
def test_a_secret_is_the_file_without_its_white_space(content: bytes, tmp_path: Path) -> None:
    assert secret_from_file(OPTION, secret_file(tmp_path, content)) == "value"


def test_a_secret_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = secret_file(tmp_path, b"value\n# rotated in May\n")
    assert secret_from_file(OPTION, path) == "value"


@pytest.mark.parametrize(
    ("content", "mode"),
    [(b"", 0o600), (b" \n\n", 0o600), (b"\xff\xfe", 0o600), (b"value", 0o602), (b"value", 0o666)],
    ids=["empty", "blank", "not UTF-8", "world-writable", "open to all"],
)
def test_130_a_bad_secret_file_is_refused(content: bytes, mode: int, tmp_path: Path) -> None:
    refusal(secret_from_file, secret_file(tmp_path, content, mode))


def test_130_a_secret_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(secret_from_file, tmp_path / CANARY)


def test_130_a_secret_file_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(secret_from_file, tmp_path)


# -- key=value -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("k=1", 1),
        ("k=-1", -1),
        ("k=1.5", 1.5),
        ("k=true", True),
        ("k=False", False),
        ("k=none", None),
        ("k=[0,3,6]", [0, 3, 6]),
        ("k=[]", []),
        ("k=text", "text"),
        ("k=", ""),
        ("k=a=b", "a=b"),
        (" k = 1 ", 1),
        ("k=1.2.3", "1.2.3"),
        ("k=1e3", "1e3"),
    ],
)
def test_a_value_becomes_what_it_is(pair: str, value: object) -> None:
    read = key_values(OPTION, [pair])
    assert read == {"k": value}
    assert type(read["k"]) is type(value)


@pytest.mark.parametrize("pair", [CANARY, "", f"={CANARY}", " =1"])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    refusal(key_values, [pair])


def test_the_last_of_two_values_wins() -> None:
    assert key_values(OPTION, ["k=1", "k=2"]) == {"k": 2}


# -- transport options -----------------------------------------------------------------------

NUMERIC = (
    "visibility_timeout",
    "socket_timeout",
    "socket_connect_timeout",
    "max_connections",
    "health_check_interval",
    "polling_interval",
)


@pytest.mark.parametrize("key", NUMERIC)
@pytest.mark.parametrize("value", [CANARY, "true", "none", "[1]", ""])
def test_a_transport_option_that_is_no_number_is_refused(key: str, value: str) -> None:
    assert key in refusal(transport_options, [f"{key}={value}"])


@pytest.mark.parametrize("value", [CANARY, "3", "[a,b]", "true", "[1,1.5]"])
def test_priority_steps_that_are_no_list_of_numbers_are_refused(value: str) -> None:
    assert "priority_steps" in refusal(transport_options, [f"priority_steps={value}"])


def test_good_transport_options_are_passed_on() -> None:
    pairs = ["visibility_timeout=3600", "priority_steps=[0,3]", "global_keyprefix=app:"]
    assert transport_options(OPTION, pairs) == {
        "visibility_timeout": 3600,
        "priority_steps": [0, 3],
        "global_keyprefix": "app:",
    }


# -- TLS ------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A directory with two certificates and their keys."""
    signed("one").write(tmp_path, "one")
    signed("two").write(tmp_path, "two")
    return tmp_path


@pytest.mark.parametrize("prefix", ["", "ssl_"])
def test_a_certificate_and_its_key_are_taken(certificate: Path, prefix: str) -> None:
    pairs = [f"{prefix}certfile={certificate}/one.crt", f"{prefix}keyfile={certificate}/one.key"]
    assert len(ssl_options(OPTION, pairs)) == 2


@pytest.mark.parametrize("prefix", ["", "ssl_"])
def test_143_a_key_of_another_certificate_is_refused(certificate: Path, prefix: str) -> None:
    pairs = [f"{prefix}certfile={certificate}/one.crt", f"{prefix}keyfile={certificate}/two.key"]
    assert "do not belong together" in refusal(ssl_options, pairs)


def test_an_encrypted_key_is_refused_without_asking_anybody(certificate: Path) -> None:
    (certificate / "locked.key").write_bytes(signed("one").key_pem(CANARY.encode()))
    pairs = [f"certfile={certificate}/one.crt", f"keyfile={certificate}/locked.key"]
    refusal(ssl_options, pairs)


@pytest.mark.parametrize("key", ["certfile", "ca_certs", "ssl_certfile", "ssl_ca_certs"])
def test_a_file_that_is_not_there_is_refused(key: str, tmp_path: Path) -> None:
    assert "cannot be read" in refusal(ssl_options, [f"{key}={tmp_path}/{CANARY}"])


@pytest.mark.parametrize("key", ["certfile", "ca_certs"])
def test_a_file_that_is_no_certificate_is_refused(key: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(CANARY)
    refusal(ssl_options, [f"{key}={tmp_path}/x"])


@pytest.mark.parametrize("key", ["certfile", "ca_certs"])
@pytest.mark.parametrize("value", ["true", "5", "[1]"])
def test_a_file_that_is_no_path_is_refused(key: str, value: str) -> None:
    refusal(ssl_options, [f"{key}={value}"])


@pytest.mark.parametrize("key", ["cert_reqs", "ssl_cert_reqs"])
@pytest.mark.parametrize(
    ("word", "requirement"),
    [
        ("none", ssl.CERT_NONE),
        ("CERT_NONE", ssl.CERT_NONE),
        ("ssl.CERT_REQUIRED", ssl.CERT_REQUIRED),
        ("required", ssl.CERT_REQUIRED),
        ("Optional", ssl.CERT_OPTIONAL),
    ],
)
def test_cert_reqs_are_understood_in_every_spelling(
    key: str, word: str, requirement: ssl.VerifyMode
) -> None:
    assert ssl_options(OPTION, [f"{key}={word}"]) == {key: requirement}


@pytest.mark.parametrize("word", [CANARY, "", "5", "true"])
def test_other_cert_reqs_are_refused(word: str) -> None:
    refusal(ssl_options, [f"cert_reqs={word}"])


# -- URLs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:pass@host:6379/0",
        "sentinel://a:26379;sentinel://b:26379",
        "amqp://user:p%40ss@[::1]:5672//",
        "redis+socket:///run/redis.sock",
    ],
)
def test_a_broker_is_a_url(url: str) -> None:
    assert broker_url(OPTION, url) == url


@pytest.mark.parametrize(
    "url",
    [
        CANARY,
        "",
        f"redis://:{CANARY}@host:70000/0",
        f"redis://:{CANARY}@host:port/0",
        f"redis://:{CANARY}@host:-1/0",
        f"redis://:{CANARY}@[::1",
        f"redis://:{CANARY}@a/0;{CANARY}",
        f"redis://:{CANARY}/2@host:6379/0",
    ],
)
def test_a_broker_that_is_no_url_is_refused(url: str) -> None:
    refusal(broker_url, url)


@pytest.mark.parametrize("url", ["http://host:15672", "https://u:p@host/path", "HTTP://host"])
def test_a_management_api_is_an_http_url(url: str) -> None:
    assert http_url(OPTION, url) == url


def test_no_management_api_is_none() -> None:
    assert http_url(OPTION, None) is None


@pytest.mark.parametrize(
    "url",
    [
        f"file:///{CANARY}",
        f"file://host/{CANARY}",
        CANARY,
        "",
        "http://",
        f"ftp://{CANARY}",
        f"//{CANARY}",
        f"http://u:{CANARY}@[::1",
        f"http://u:{CANARY}@host:70000",
        f"http://u:{CANARY}@host:port",
    ],
)
def test_139_another_url_is_no_management_api(url: str) -> None:
    refusal(http_url, url)
