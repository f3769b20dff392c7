"""How long the cast's tokens last, and the words for those that have run out."""

from __future__ import annotations

import math

import pytest

from holdtrue.contract.document import Document
from holdtrue.stage.cast import Cast, Who
from holdtrue.stage.tokens.jws import encoded_json
from holdtrue.stage.tokens.lifetimes import Lifetime, duration, end_of, ended

OWNER = Who("owner", "a")


def jwt(**claims: object) -> str:
    return f"{encoded_json({'alg': 'none'})}.{encoded_json(claims)}.c2ln"


def cast(**known: object) -> Cast:
    document = Document.model_validate(
        {
            "app": {"name": "clock"},
            "process": {"start": "run {port}", "env": {"DATABASE_URL": "{postgres_url}"}},
            "principals": {"owner": {"headers": {"Authorization": "Bearer {token}"}}},
        }
    )
    made = Cast(document, seed=1)
    made.learn(OWNER, "a", known)
    return made


@pytest.mark.parametrize("exp", [None, True, "soon", math.inf, math.nan, [1]])
def test_a_token_without_a_moment_as_its_end_has_none(exp: object) -> None:
    assert end_of(jwt(exp=exp)) is None
    assert end_of(jwt()) is None


def test_what_is_no_token_has_no_end() -> None:
    assert [end_of(value) for value in ("abc", "a.b.c", 7, None, {"exp": 1})] == [None] * 5


def test_a_token_has_run_out_from_its_end_on() -> None:
    known = cast(token=jwt(exp=1000))
    assert ended(known, OWNER, 999.9) is None
    assert ended(known, OWNER, 1090.0) == "the token of owner@a (`token`) had run out 90 s before, by its `exp`"
    assert ended(known, Who("owner", "b"), 1090.0) is None


def test_only_a_token_that_was_sent_counts_for_a_request() -> None:
    token = jwt(exp=1000)
    known = cast(token=token, link=jwt(exp=500))
    assert ended(known, OWNER, 800.0, inside=f"Bearer {token}") is None
    assert "`link`" in str(ended(known, OWNER, 800.0))


def test_half_of_what_requests_carry_is_left_or_not() -> None:
    lifetime = Lifetime.of(cast(token=jwt(exp=1000), link=jwt(exp=200)), 100.0)
    assert (lifetime.began, lifetime.ends) == (100.0, 1000.0)
    assert [lifetime.wanes(now) for now in (100.0, 549.0, 550.0, 1000.0)] == [False, False, True, True]
    assert [lifetime.is_over(now) for now in (999.0, 1000.0)] == [False, True]


def test_tokens_that_tell_no_end_never_wane() -> None:
    lifetime = Lifetime.of(cast(token="opaque"), 100.0)
    assert not lifetime.wanes(1e12)
    assert not lifetime.is_over(1e12)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (121, "2 min"), (7100, "118 min"), (7300, "2 h")]
)
def test_a_duration_is_told_in_the_unit_that_people_would_use(seconds: float, words: str) -> None:
    assert duration(seconds) == words
