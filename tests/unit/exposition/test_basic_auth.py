"""Passwords: right ones come in, quickly the second time; wrong ones learn nothing."""

from __future__ import annotations

import base64

import bcrypt
import pytest

from celeriac.exposition.basic_auth import BasicAuth


def hashed(password: str, rounds: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def auth() -> BasicAuth:
    return BasicAuth({"alice": hashed("wonder:länd"), "bob": hashed("builder")})


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that bcrypt was asked about."""
    asked: list[bytes] = []
    check = bcrypt.checkpw

    def counted(password: bytes, password_hash: bytes) -> bool:
        asked.append(password_hash)
        return check(password, password_hash)

    monkeypatch.setattr("bcrypt.checkpw", counted)
    return asked


def test_the_right_password_comes_in(auth: BasicAuth) -> None:
    assert auth.allows(basic("alice", "wonder:länd"))


def test_the_scheme_is_known_in_any_case(auth: BasicAuth) -> None:
    assert auth.allows(basic("bob", "builder").replace("Basic", "bASIC"))


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Basic ***",
        "Basic é",
        "Bearer abc",
        basic("alice", ""),
        basic("alice", "builder"),
        basic("bob", "builder "),
        basic("bob", "build\0er"),
        basic("bob", "x" * 500),
        basic("carol", "builder"),
        basic("", "builder"),
        "Basic " + base64.b64encode(b"bob").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
    ],
)
def test_anything_else_stays_out(auth: BasicAuth, authorization: str) -> None:
    assert not auth.allows(authorization)


def test_a_proven_password_needs_no_second_bcrypt(auth: BasicAuth, work: list[bytes]) -> None:
    assert auth.allows(basic("bob", "builder"))
    assert auth.allows(basic("bob", "builder"))
    assert len(work) == 1


def test_a_wrong_password_costs_bcrypt_every_time(auth: BasicAuth, work: list[bytes]) -> None:
    auth.allows(basic("bob", "builder"))
    for _ in range(2):
        assert not auth.allows(basic("bob", "wrong"))
    assert len(work) == 3


def test_one_users_proven_password_does_not_open_another_account(auth: BasicAuth) -> None:
    auth.allows(basic("bob", "builder"))
    assert not auth.allows(basic("alice", "builder"))


def test_an_unknown_user_costs_as_much_as_the_costliest_known(work: list[bytes]) -> None:
    auth = BasicAuth({"alice": hashed("a", 4), "bob": hashed("b", 5)})
    auth.allows(basic("mallory", "guess"))
    assert [password_hash[:7] for password_hash in work] == [b"$2b$05$"]


def test_a_password_counts_up_to_the_72_bytes_that_bcrypt_reads() -> None:
    auth = BasicAuth({"alice": hashed("x" * 72)})
    assert auth.allows(basic("alice", "x" * 80))
