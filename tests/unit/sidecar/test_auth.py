"""Who is let in: every bad token is refused with the same answer."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from celeriac.sidecar.auth import Gate, SharedSecret, TokenRules
from celeriac.sidecar.contract import Role
from celeriac.sidecar.jwks import JwksKeys, read_keys
from celeriac.sidecar.problems import LoginRefusedError
from tokens import AUDIENCE, ISSUER, SECRET, claims, ec_key, forged, jwk, jwks, part, rsa_key, token

GATE = Gate(SharedSecret(SECRET), TokenRules())
STRICT = Gate(SharedSecret(SECRET), TokenRules(ISSUER, AUDIENCE))
HS256 = {"alg": "HS256", "typ": "JWT"}
NOW = int(time.time())


def refusal(gate: Gate, authorization: str | None) -> tuple[int, str]:
    """Return status and reason; check that the answer is the one everybody gets."""
    with pytest.raises(LoginRefusedError) as caught:
        gate.bearer(authorization, "192.0.2.1")
    error = caught.value
    if error.status == 401:
        assert error.response().get_data() == LoginRefusedError("any").response().get_data()
        assert error.response().headers["WWW-Authenticate"] == "Bearer"
    return error.status, error.reason


# -- who is let in -----------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
def test_a_good_token_is_a_caller(role: Role) -> None:
    good = token(role.name.lower(), sub="Zoë at home", exp=NOW + 86_400)
    caller = GATE.bearer(f"Bearer {good}", "192.0.2.1")
    assert caller == ("Zoë at home", role, "192.0.2.1", NOW + 86_400)


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": timedelta(seconds=-25)},
        {"iat": timedelta(seconds=25)},
        {"nbf": timedelta(seconds=25)},
        {"exp": timedelta(seconds=60.5)},
        {"aud": "whoever"},
        {"iss": "whoever"},
        {"more": {"a": [1]}},
    ],
    ids=str,
)
def test_half_a_minute_and_foreign_claims_are_forgiven(changed: dict[str, Any]) -> None:
    assert GATE.admit(token(**changed), "").role is Role.VIEWER


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE]])
def test_issuer_and_audience_are_ours(audience: Any) -> None:
    assert STRICT.admit(token(iss=ISSUER, aud=audience), "").role is Role.VIEWER


def test_the_role_may_stand_in_another_claim() -> None:
    gate = Gate(SharedSecret(SECRET), TokenRules(role_claim="https://x/role"))
    changed: dict[str, Any] = {"https://x/role": "admin"}
    assert gate.admit(token("viewer", **changed), "").role is Role.ADMIN


# -- what is refused ---------------------------------------------------------------------------

CLAIMS = {
    "102 no exp": {"exp": None},
    "103 expired": {"exp": NOW - 31},
    "104 nbf in the future": {"nbf": timedelta(seconds=60)},
    "105 iat in the future": {"iat": timedelta(seconds=60)},
    "no iat": {"iat": None},
    "111 exp of digits": {"exp": str(NOW + 600)},
    "exp true": {"exp": True},
    "exp endless": {"exp": 1e308},
    "exp infinite": {"exp": float("inf")},
    "exp no number": {"exp": float("nan")},
    "exp of many digits": {"exp": 10**400},
    "iat of digits": {"iat": str(NOW)},
    "iat negative": {"iat": -1},
    "nbf of digits": {"nbf": "0"},
    "nbf a list": {"nbf": [0]},
    "no sub": {"sub": None},
    "120 sub a number": {"sub": 5},
    "sub empty": {"sub": ""},
    "sub long": {"sub": "a" * 256},
    "sub with a newline": {"sub": "a\nb"},
    "sub with half a character": {"sub": "\ud800"},
}
STRICT_CLAIMS = {
    "106 wrong iss": {"iss": "https://other.example", "aud": AUDIENCE},
    "107 iss a prefix of ours": {"iss": ISSUER[:-1], "aud": AUDIENCE},
    "iss ours and more": {"iss": f"{ISSUER}/", "aud": AUDIENCE},
    "iss a list": {"iss": [ISSUER], "aud": AUDIENCE},
    "no iss": {"aud": AUDIENCE},
    "108 no aud": {"iss": ISSUER},
    "109 aud ours and another": {"iss": ISSUER, "aud": [AUDIENCE, "other"]},
    "aud another": {"iss": ISSUER, "aud": "other"},
    "aud empty": {"iss": ISSUER, "aud": []},
}
HEADERS = {
    "100 alg none": {"alg": "none"},
    "no alg": {"typ": "JWT"},
    "alg a number": {"alg": 5},
    "alg HS512": {"alg": "HS512"},
    "alg in lower case": {"alg": "hs256"},
    "114 unknown crit": HS256 | {"crit": ["exp"]},
    "crit with b64": HS256 | {"crit": ["b64"], "b64": False},
    "117 kid a number": HS256 | {"kid": 5},
    "header a list": [HS256],
    "header no JSON": b"{",
    "header no UTF-8": b'{"alg": "HS256\xff"}',
    "deep header": b"[" * 4000,
}


@pytest.mark.parametrize("changed", CLAIMS.values(), ids=CLAIMS)
def test_a_bad_claim_is_refused(changed: dict[str, Any]) -> None:
    assert refusal(GATE, f"Bearer {forged(HS256, claims(**changed))}")[0] == 401


@pytest.mark.parametrize("changed", STRICT_CLAIMS.values(), ids=STRICT_CLAIMS)
def test_a_token_for_others_is_refused(changed: dict[str, Any]) -> None:
    assert refusal(STRICT, f"Bearer {forged(HS256, claims(**changed))}") == (401, "claims")


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_bad_header_is_refused(header: Any) -> None:
    assert refusal(GATE, f"Bearer {forged(header, claims())}")[0] == 401


def unsigned(header: Any, payload: Any) -> str:
    return forged(header, payload).rpartition(".")[0] + "."


GOOD = token()
OTHERS = {
    "100 alg none, unsigned": unsigned({"alg": "none"}, claims()),
    "118 deep header, unsigned": unsigned(b"[" * 100_000, claims()),
    "119 payload a list": forged(HS256, [1]),
    "payload no JSON": forged(HS256, b"x"),
    "payload deep": forged(HS256, b'{"a":' * 1000),
    "another secret": forged(HS256, claims(), SECRET[::-1]),
    "changed on the way": GOOD[:-4] + ("AAAA" if GOOD[-4:] != "AAAA" else "BBBB"),
    "121 not ASCII": GOOD + "ä",
    "121 all of it": "ä.ö.ü",
    "122 9 KiB": token(more="a" * 9000),
    "no dots": "abc",
    "four parts": GOOD + ".abc",
    "empty parts": "..",
    "newline at the end": GOOD + "\n",
    "padding": GOOD + "=",
    "two tokens": f"{GOOD} {GOOD}",
    "124 no token": "",
    "124 a space": " ",
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_what_is_no_token_of_ours_is_refused(text: str) -> None:
    assert refusal(GATE, f"Bearer {text}")[0] == 401


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "missing"),
        ("", "malformed"),
        ("Bearer", "malformed"),
        (f"bearer {GOOD}", "malformed"),
        (f"Bearer\t{GOOD}", "malformed"),
        (f"Bearer  {GOOD}", "malformed"),
        (f"Basic {GOOD}", "malformed"),
        (GOOD, "malformed"),
    ],
)
def test_124_another_way_to_say_it_is_refused(authorization: str | None, reason: str) -> None:
    assert refusal(GATE, authorization) == (401, reason)


@pytest.mark.parametrize(
    "role", ["admin ", "Admin", ["admin"], "", None, 3, True, {"admin": 1}, "none", "root"], ids=str
)
def test_113_a_role_that_is_not_exactly_one_is_forbidden(role: Any) -> None:
    assert refusal(GATE, f"Bearer {token(role)}") == (403, "role")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (token(exp=NOW - 31), "expired"),
        (forged(HS256, claims(), "another"), "signature"),
        (token(exp=None), "claims"),
        (forged({"alg": "none"}, claims()), "key"),
        ("a.b.c", "malformed"),
    ],
)
def test_the_reason_is_counted(text: str, reason: str) -> None:
    assert refusal(GATE, f"Bearer {text}") == (401, reason)


@given(st.text())
def test_no_text_is_a_token(text: str) -> None:
    refusal(GATE, f"Bearer {text}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(JSON, st.dictionaries(st.sampled_from(["exp", "iat", "nbf", "sub", "aud", "iss"]), JSON))
def test_no_claims_are_an_error_of_ours(header: Any, changed: dict[str, Any]) -> None:
    for text in (forged(header, claims()), forged(HS256, claims() | changed)):
        for gate in (GATE, STRICT):
            with suppress(LoginRefusedError):
                gate.admit(text, "")


# -- keys of a JWKS server ---------------------------------------------------------------------


def jwks_gate(*keys: dict[str, Any]) -> Gate:
    source = JwksKeys("http://unused")
    source._keys = read_keys(jwks(*keys))
    return Gate(source, TokenRules())


RSA_ONE, EC_ONE = jwk(rsa_key(), "r1"), jwk(ec_key(), "e1")
BOTH = jwks_gate(RSA_ONE, EC_ONE)


def signed(key: Any, algorithm: str, kid: Any, **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm, {"kid": kid} if kid else None)


@pytest.mark.parametrize(
    "text", [signed(rsa_key(), "RS256", "r1"), signed(ec_key(), "ES256", "e1")], ids=["RSA", "EC"]
)
def test_a_token_of_a_published_key_is_good(text: str) -> None:
    assert BOTH.admit(text, "").role is Role.VIEWER


def public_pem() -> str:
    key = rsa_key().public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


P384 = ec_key("other", ec.SECP384R1)
FOREIGN = {
    "101 HS256 with the public key": forged(HS256 | {"kid": "r1"}, claims(), public_pem()),
    "101 HS256 with the published text": forged(
        HS256 | {"kid": "r1"}, claims(), json.dumps(RSA_ONE)
    ),
    "115 unknown kid": signed(rsa_key(), "RS256", "r2"),
    "no kid": signed(rsa_key(), "RS256", None),
    "117 kid a number": forged({"alg": "RS256", "kid": 5}, claims()),
    "kid of the other kind": signed(rsa_key(), "RS256", "e1"),
    "another algorithm": signed(rsa_key(), "RS512", "r1"),
    "PSS": signed(rsa_key(), "PS256", "r1"),
    "125 a key that is gone": signed(rsa_key("gone"), "RS256", "r1"),
    "126 another curve": signed(P384, "ES384", "e1"),
    "126 the signature of another curve": signed(ec_key(), "ES256", "e1").rpartition(".")[0]
    + "."
    + signed(P384, "ES384", "e1").rpartition(".")[2],
    "expired": signed(rsa_key(), "RS256", "r1", exp=NOW - 31),
    "signature empty": signed(rsa_key(), "RS256", "r1").rpartition(".")[0] + "." + part(b"\0"),
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_a_token_of_another_key_is_refused(text: str) -> None:
    assert refusal(BOTH, f"Bearer {text}")[0] == 401


UNUSABLE = {
    "a secret": {"kty": "oct", "k": part(SECRET.encode()), "kid": "r1"},
    "for encryption": jwk(rsa_key(), "r1", use="enc"),
    "for RS512": jwk(rsa_key(), "r1", alg="RS512"),
    "an EC key for RS256": jwk(ec_key(), "r1", alg="RS256"),
    "another curve for ES256": jwk(P384, "r1", alg="ES256"),
    "kid a number": jwk(rsa_key(), None) | {"kid": 5},
    "short": jwk(rsa_key("short", 1024), "r1"),
    "private": jwk(rsa_key(), "r1", d="AQAB"),
    "no kind": {"kid": "r1"},
    "no modulus": {"kty": "RSA", "kid": "r1"},
    "a modulus of garbage": {"kty": "RSA", "kid": "r1", "n": 5, "e": []},
    "unknown kind": {"kty": "XYZ", "kid": "r1"},
}


@pytest.mark.parametrize("key", UNUSABLE.values(), ids=UNUSABLE)
def test_a_bad_key_fails_alone(key: dict[str, Any]) -> None:
    assert set(read_keys(jwks(key, EC_ONE))) == {("e1", "ES256")}


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b'{"keys": 5}', b'{"keys": []}', b"\xff"])
def test_a_document_without_keys_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError):
        read_keys(document)
