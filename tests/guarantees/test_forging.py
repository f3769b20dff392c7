"""Tokens that are wrong in one way, and in no other."""

import time

from holdtrue.guarantees.auth.auth003_scope_found_in_another import _scopes
from holdtrue.guarantees.auth.auth006_token_taken_unverified import _longer
from holdtrue.guarantees.auth.auth007_token_without_end import DAY, _older
from holdtrue.guarantees.auth.auth008_token_for_another_audience import _for
from holdtrue.guarantees.auth.finding import _kind_of
from holdtrue.guarantees.auth.forging import flipped
from holdtrue.stage.tokens import Jws, SigningKey
from holdtrue.stage.tokens.jws import encoded_json


def token(*, typ: str = "JWT", **claims: object) -> Jws:
    header = {"alg": "HS256", "typ": typ}
    protected = f"{encoded_json(header)}.{encoded_json(claims)}"
    unsigned = Jws(header=header, claims=claims, signature=b"", protected=protected)
    return SigningKey(alg="HS256", secret=b"secret").sign(unsigned)


def test_an_expired_token_is_over_since_a_day_however_long_it_was_good_for() -> None:
    for lifetime in (60, 30 * DAY):
        now = int(time.time())
        with_issue = _older(token(sub="7", iat=now, nbf=now, exp=now + lifetime, level=3))
        without = _older(token(sub="7", exp=now + lifetime))
        for claims in (with_issue, without):
            assert isinstance(claims["exp"], int)
            assert abs(claims["exp"] - (time.time() - DAY)) < DAY / 2
        assert with_issue["exp"] - with_issue["iat"] == lifetime  # type: ignore[operator]
        assert (with_issue["sub"], with_issue["level"]) == ("7", 3)


def test_a_foreign_audience_is_written_as_the_app_writes_its_own() -> None:
    assert _for(token(sub="7", aud="ours"), "theirs") == {"sub": "7", "aud": "theirs"}
    assert _for(token(sub="7", aud=["ours"]), "theirs") == {"sub": "7", "aud": ["theirs"]}
    assert _for(token(sub="7", aud="ours"), None) == {"sub": "7"}


def test_a_changed_payload_keeps_the_signature_and_a_flipped_signature_the_payload() -> None:
    genuine = token(sub="7", exp=100)
    longer, other = _longer(genuine), flipped(genuine)
    assert (longer.signature, longer.claims) == (genuine.signature, {"sub": "7", "exp": 3700})
    assert longer.protected != genuine.protected
    assert other.protected == genuine.protected
    assert other.signature != genuine.signature
    assert _longer(token(sub="7")).protected != token(sub="7").protected


def test_tokens_of_two_people_are_one_kind_and_those_of_two_issuers_are_two() -> None:
    owner, clerk = token(sub="1", iss="app"), token(sub="2", iss="app")
    admin, typed = token(sub="1", iss="admin"), token(sub="1", iss="app", typ="at+jwt")
    kinds = [_kind_of({"access_token": each.text}) for each in (owner, clerk, admin, typed)]
    assert kinds[0] == kinds[1]
    assert len(set(kinds)) == 3
    assert _kind_of({"session": "opaque one"}) == _kind_of({"session": "opaque two"})


def test_scopes_are_words_or_a_list() -> None:
    assert _scopes("orders.read  orders.write") == ["orders.read", "orders.write"]
    assert _scopes(["orders.read"]) == ["orders.read"]
    assert _scopes(None) == _scopes(7) == []
