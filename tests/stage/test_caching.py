"""What a shared cache may give to somebody else, by RFC 9111."""

import httpx
import pytest

from holdtrue.stage.caching import shared
from holdtrue.stage.client import Answer

ONE, TWO = {"Authorization": "Bearer one"}, {"authorization": "Bearer two"}
COOKIES = {"Cookie": "sid=1"}, {"Cookie": "sid=2"}
DATES = {"date": "Sun, 22 Nov 2026 20:00:00 GMT", "expires": "Sun, 22 Nov 2026 21:00:00 GMT"}


def answer(status: int = 200, /, **headers: str) -> Answer:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=httpx.Headers(told), body=b"{}")


@pytest.mark.parametrize(
    "told",
    [
        "public, max-age=60",
        "Public , S-MaxAge=60",
        "s-maxage=1",
        'max-age="60", must-revalidate',
        "max-age=0, s-maxage=60, public",
    ],
)
def test_an_answer_to_an_authorized_request_is_shared_where_it_says_so(told: str) -> None:
    assert shared(answer(cache_control=told), ONE, TWO)


@pytest.mark.parametrize(
    "told",
    [
        "",
        "max-age=60",
        "public",
        "public, max-age=0",
        "public, max-age=60, s-maxage=0",
        "public, max-age=60, private",
        "public, max-age=60, no-store",
        "public, max-age=60, no-cache",
        'public, max-age=60, private="set-cookie"',
        "public, max-age=soon",
    ],
)
def test_an_answer_to_an_authorized_request_is_else_the_callers_own(told: str) -> None:
    assert shared(answer(cache_control=told), ONE, TWO) is None


def test_an_answer_to_a_cookie_is_shared_when_it_is_fresh() -> None:
    assert shared(answer(cache_control="max-age=60"), *COOKIES)
    assert shared(answer(**DATES), *COOKIES)
    assert shared(answer(last_modified="Sat, 21 Nov 2026 20:00:00 GMT"), *COOKIES)


def test_an_answer_to_a_cookie_that_says_nothing_of_freshness_is_not_accused() -> None:
    assert shared(answer(), *COOKIES) is None
    assert shared(answer(cache_control="public"), *COOKIES) is None


def test_an_answer_that_is_stale_at_once_is_not_shared() -> None:
    assert shared(answer(date=DATES["date"], expires="0"), *COOKIES) is None
    assert shared(answer(date=DATES["date"], expires=DATES["date"]), *COOKIES) is None
    assert shared(answer(cache_control="max-age=0", **DATES), *COOKIES) is None


def test_an_answer_that_varies_by_the_credential_is_not_shared() -> None:
    told = {"cache_control": "public, max-age=60"}
    assert shared(answer(**told, vary="Accept, Cookie"), *COOKIES) is None
    assert shared(answer(**told, vary="authorization"), ONE, TWO) is None
    assert shared(answer(**told, vary="*"), ONE, TWO) is None
    assert shared(answer(**told, vary="Accept-Encoding"), ONE, TWO)


def test_an_answer_whose_cdn_is_told_otherwise_is_not_shared() -> None:
    assert shared(answer(cache_control="public, max-age=60", cdn_cache_control="no-store"), ONE, TWO) is None


def test_an_error_is_not_shared() -> None:
    assert shared(answer(404, cache_control="public, max-age=60"), ONE, TWO) is None
