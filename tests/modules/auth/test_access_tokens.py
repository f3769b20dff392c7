"""Access tokens: one way to read them, and whatever is wrong with one is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from holdtrue.modules.auth.adapters import access_tokens
from holdtrue.modules.auth.adapters.access_tokens import (
    RESERVED,
    AccessTokens,
    Claims,
    new_key,
    private_text,
    public_part,
    read_key,
)
from holdtrue.modules.auth.adapters.sealing import SealBrokenError, Sealer
from holdtrue.runtime import Unauthorized

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
KID = UUID("018f0000-0000-7000-8000-000000000001")
KEY = new_key(KID)
PUBLIC = read_key(public_part(KEY))
TOKENS = AccessTokens(issuer="https://house.test", audience="https://api.house.test", lifetime=300, leeway=5)
CLAIMS = Claims(user_id=uuid4(), session_id=uuid4(), client_id="web", email="ada@example.test", tenant=uuid4())
GOOD: dict[str, Any] = {
    "iss": "https://house.test",
    "aud": "https://api.house.test",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 300,
    "jti": "j",
    "sub": str(CLAIMS.user_id),
    "sid": str(CLAIMS.session_id),
    "client_id": "web",
    "email": "ada@example.test",
}
HEADER = {"alg": "RS256", "typ": "at+jwt", "kid": str(KID)}


def encoded(value: bytes | dict[str, Any]) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(claims: dict[str, Any], header: dict[str, Any] = HEADER, key: RSAKey = KEY) -> str:
    """Signed as it is, whatever it says."""
    registry = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
    return jws.serialize_compact(header, json.dumps(claims), key, registry=registry)


def refused(token: str, now: datetime = NOW) -> bool:
    try:
        TOKENS.read(token, PUBLIC, now)
    except Unauthorized:
        return True
    return False


def test_what_was_issued_is_read() -> None:
    token = TOKENS.issue(KEY, CLAIMS, {"plan": "gold"}, NOW)
    assert TOKENS.key_id(token) == KID
    assert TOKENS.read(token, PUBLIC, NOW) == CLAIMS
    told = jwt.decode(token, PUBLIC, algorithms=["RS256"])
    assert told.header == HEADER
    assert told.claims["plan"] == "gold"
    assert {"iss", "aud", "exp", "sub", "client_id", "iat", "jti", "sid", "tenant"} <= set(told.claims)
    assert not refused(signed(GOOD))


def test_a_token_that_was_read_before_is_held_to_its_times_all_the_same() -> None:
    token = signed(GOOD | {"nbf": int(NOW.timestamp())})
    assert not refused(token)
    for seconds, wrong in ((-6, True), (-5, False), (0, False), (304, False), (305, True), (304, False)):
        assert refused(token, NOW + timedelta(seconds=seconds)) is wrong, seconds


def test_a_token_that_was_read_before_is_verified_again_with_a_key_that_was_read_again() -> None:
    token = signed(GOOD)
    assert not refused(token)
    with pytest.raises(Unauthorized):
        TOKENS.read(token, read_key(public_part(new_key(KID))), NOW)
    assert TOKENS.read(token, read_key(public_part(KEY)), NOW).user_id == CLAIMS.user_id


def test_of_tokens_that_were_read_before_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "_MOST_KNOWN", 2)
    tokens = AccessTokens(issuer="https://house.test", audience="https://api.house.test", lifetime=300, leeway=5)
    for number in range(4):
        token = signed(GOOD | {"jti": str(number)})
        assert [tokens.read(token, PUBLIC, NOW).email for _ in range(2)] == [CLAIMS.email] * 2
        assert token not in repr(tokens._known)
    assert len(tokens._known) == 2


@pytest.mark.parametrize(
    "change",
    [
        *({name: None} for name in ("iss", "aud", "exp", "iat", "sub", "jti", "sid", "client_id", "email")),
        {"iss": "https://house.test.evil"},
        {"iss": "https://house.test/"},
        {"iss": ["https://house.test"]},
        {"aud": "https://house.test"},
        {"aud": ["https://api.house.test", "https://other.test"]},
        {"aud": []},
        {"exp": GOOD["iat"] - 6},
        {"exp": str(GOOD["exp"])},
        {"exp": True},
        {"exp": float("nan")},
        {"nbf": GOOD["iat"] + 60},
        {"iat": GOOD["iat"] + 60},
        {"sub": "ada"},
        {"sid": 7},
        {"tenant": "everybody"},
        {"tenant": None, "sub": {"$ne": 1}},
    ],
    ids=str,
)
def test_a_claim_that_is_missing_or_another_is_refused(change: dict[str, Any]) -> None:
    claims = {name: value for name, value in (GOOD | change).items() if value is not None}
    assert refused(signed(claims))


@pytest.mark.parametrize(
    "change",
    [
        {"typ": "JWT"},
        {"typ": "application/at+jwt"},
        {"typ": "refresh+jwt"},
        {"typ": None},
        {"kid": None},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1"},
        {"kid": 7},
        {"kid": ["x"]},
        {"jku": "https://evil.test/jwks"},
        {"jwk": KEY.as_dict(private=False)},
        {"x5u": "https://evil.test/cert"},
        {"crit": ["exp"], "exp": 1},
        {"b64": False, "crit": ["b64"]},
        {"cty": "JWT"},
    ],
    ids="-".join,  # not by their values: a key is new in every process
)
def test_a_header_that_says_anything_else_is_refused(change: dict[str, Any]) -> None:
    header = {name: value for name, value in (HEADER | change).items() if value is not None}
    body = f"{encoded(header)}.{encoded(GOOD)}"
    signature = KEY.get_op_key("sign").sign(body.encode(), *_rs256())
    assert refused(f"{body}.{encoded(signature)}")


def _rs256() -> tuple[Any, Any]:
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.hashes import SHA256

    return padding.PKCS1v15(), SHA256()


def test_no_algorithm_but_ours_is_accepted() -> None:
    unsigned = f"{encoded(HEADER | {'alg': 'none'})}.{encoded(GOOD)}."
    assert refused(unsigned)
    # The classic: the public key, which everybody has, taken for a shared secret.
    for secret in (PUBLIC.as_pem(private=False), json.dumps(public_part(KEY)).encode()):
        body = f"{encoded(HEADER | {'alg': 'HS256'})}.{encoded(GOOD)}"
        assert refused(f"{body}.{encoded(hmac.digest(secret, body.encode(), hashlib.sha256))}")
    for alg, key in (
        ("ES256", ECKey.generate_key("P-256")),
        ("PS256", KEY),
        ("RS512", KEY),
        ("HS256", OctKey.generate_key()),
    ):
        plain = key if alg == "ES256" or alg == "HS256" else RSAKey.import_key(KEY.as_pem(private=True))
        assert refused(jwt.encode(HEADER | {"alg": alg}, GOOD, plain, algorithms=[alg]))


def test_an_altered_token_is_refused_wherever_it_was_altered() -> None:
    token = TOKENS.issue(KEY, CLAIMS, {}, NOW)
    header, payload, signature = token.split(".")
    other = TOKENS.issue(new_key(KID), CLAIMS, {}, NOW)
    wrong = [
        f"{header}.{encoded(GOOD | {'sub': str(uuid4())})}.{signature}",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{token}.",
        f"{header}.{payload}?.{signature}",
        f"{header}.{payload}.{signature}\n",
        f" {token}",
        "",
        ".",
        "..",
        "a.b.c",
        "\u00e9.\u00e9.\u00e9",
        token + "x" * 9000,
        other,
        f"{encoded(b'[' * 5000)}.{payload}.{signature}",
    ]
    assert [each for each in wrong if not refused(each)] == []


def test_a_token_ends_at_its_time_by_the_clock_of_the_context() -> None:
    token = TOKENS.issue(KEY, CLAIMS, {}, NOW)
    assert not refused(token, NOW + timedelta(seconds=304))
    assert refused(token, NOW + timedelta(seconds=305))
    assert refused(token, NOW - timedelta(seconds=6))


def test_registered_claims_win_over_extra_ones() -> None:
    extra = dict.fromkeys(RESERVED, "evil") | {"plan": "gold"}
    token = TOKENS.issue(KEY, CLAIMS, extra, NOW)
    assert TOKENS.read(token, PUBLIC, NOW) == CLAIMS
    assert "evil" not in jwt.decode(token, PUBLIC, algorithms=["RS256"]).claims.values()


def test_what_is_published_of_a_key_is_not_private() -> None:
    assert set(public_part(KEY)) == {"kty", "n", "e", "kid", "use", "alg"}
    assert "d" in json.loads(private_text(KEY))


def test_what_is_sealed_opens_for_its_purpose_and_after_a_change_of_secrets_only() -> None:
    old, new = Sealer(["first" * 8]), Sealer(["second" * 8, "first" * 8])
    sealed = old.seal("a", "text")
    assert "text" not in sealed
    assert (old.unseal("a", sealed), new.unseal("a", sealed)) == ("text", "text")
    for sealer, purpose, what in ((old, "b", sealed), (old, "a", sealed[:-2] + "AA"), (old, "a", "junk")):
        with pytest.raises(SealBrokenError):
            sealer.unseal(purpose, what)
    with pytest.raises(SealBrokenError):
        Sealer(["second" * 8]).unseal("a", sealed)
