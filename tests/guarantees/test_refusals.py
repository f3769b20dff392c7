"""What is taken for a made-up id, for the same answer, and for the database's own words."""

from uuid import UUID

import httpx
import pytest

from holdtrue.guarantees.likeness import alike, tokens, unstable
from holdtrue.guarantees.tenancy.leaks import Leaks
from holdtrue.guarantees.tenancy.missing import missing
from holdtrue.stage.client import Answer

LEAKS = Leaks.knowing(
    {"orders", "shops"}, {"shops_slug_key", "orders_pkey", "price_cents", "positive"}, {"slug", "price_cents"}
)


def answer(text: str, status: int = 409) -> Answer:
    return Answer(status=status, headers=httpx.Headers(), body=text.encode())


@pytest.mark.parametrize("text", ["0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5bd9cb469fa16570867728950e"])
def test_a_made_up_uuid_keeps_its_version_and_its_form(text: str) -> None:
    made = str(missing(text, {text}, seed=1))
    assert made != text
    assert len(made) == len(text)
    assert UUID(made).version == UUID(text).version


def test_a_made_up_number_is_far_above_and_keeps_its_type() -> None:
    number = missing(7, {"7"}, seed=1)
    assert isinstance(number, int)
    assert number > 2**30
    assert str(missing("7", {"7"}, seed=1)).isdecimal()


def test_a_made_up_text_has_the_same_letters_behind_the_same_prefix() -> None:
    made = str(missing("ord_k3x9q2", {"ord_k3x9q2"}, seed=1))
    assert made.startswith("ord_")
    assert sorted(made) == sorted("ord_k3x9q2")
    assert made != "ord_k3x9q2"


def test_an_id_that_cannot_be_made_of_its_own_letters_is_made_longer() -> None:
    assert missing("aaa", {"aaa"}, seed=1) != "aaa"


def test_answers_are_alike_but_for_the_id_that_was_sent_and_for_request_ids() -> None:
    request_ids = "6d5f1a0e-8a8b-4c58-9d3f-0c3f4f2b9f10", "0f8fad5b-d9cb-469f-a165-70867728950e"
    one = tokens(answer(f'{{"detail": "no order 17", "request": "{request_ids[0]}"}}'), [17])
    two = tokens(answer(f'{{"detail": "no order 99", "request": "{request_ids[1]}"}}'), [99])
    assert alike(one, two)
    assert not alike(one, tokens(answer('{"detail": "order 17 is not yours"}'), [17]))


def test_what_changes_when_the_same_is_asked_twice_is_noise() -> None:
    one, two = tokens(answer('{"left": 9, "detail": "no"}')), tokens(answer('{"left": 8, "detail": "no"}'))
    noise = unstable(one, two)
    assert noise
    assert alike(one, tokens(answer('{"left": 7, "detail": "no"}')), noise)
    assert not alike(one, tokens(answer('{"left": 7, "detail": "paid"}')), noise)


@pytest.mark.parametrize(
    "text",
    [
        'duplicate key value violates unique constraint "anything"',
        "IntegrityError: shops_slug_key",
        '{"detail": "SELECT orders.id FROM orders WHERE orders.id = $1"}',
        '{"error": "insert into \\"orders\\" (\\"id\\") values ($1)"}',
        'Traceback (most recent call last):\n  File "/srv/app/main.py", line 3',
        "Error: no\n    at Object.handler (/srv/app/src/server.js:10:5)",
    ],
)
def test_the_databases_own_words_are_known(text: str) -> None:
    assert LEAKS.told(answer(text))


@pytest.mark.parametrize(
    "text",
    [
        "The slug is taken already.",
        "Select an order from orders that are open.",
        "We could not update orders of this shop.",
        '{"at": ["body", "price_cents"], "message": "must be positive"}',
        "The request conflicts with what is already there.",
    ],
)
def test_a_sentence_for_people_is_no_leak(text: str) -> None:
    assert LEAKS.told(answer(text)) is None


def test_what_was_asked_for_may_hold_anything() -> None:
    assert LEAKS.told(answer('{"note": "shops_slug_key"}', 200)) is None
