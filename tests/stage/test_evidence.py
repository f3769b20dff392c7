"""Evidence is kept without any secret in it."""

import json

from holdtrue.stage.evidence import Evidence, Redactor


def test_a_captured_token_never_reaches_the_file() -> None:
    redactor = Redactor()
    redactor.learn_all({"access_token": "eyJhbGciOiJIUzI1NiJ9.e30.x", "shop_id": "4711-4711-4711"})
    evidence = Evidence()
    evidence.add("request", headers={"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}, shop="4711-4711-4711")
    kept = json.dumps(evidence.export(redactor))
    assert "eyJ" not in kept
    assert "[access_token]" in kept
    assert "4711-4711-4711" in kept


def test_a_secret_nobody_told_is_blanked_by_the_name_of_its_key() -> None:
    evidence = Evidence()
    evidence.add("request", body={"password": "correct horse", "email": "owner@a.test"})
    (entry,) = evidence.export(Redactor())
    assert entry["body"] == {"password": "[password]", "email": "owner@a.test"}


def test_the_longer_of_two_secrets_is_taken_out_first() -> None:
    redactor = Redactor()
    redactor.learn_all({"api_key": "sk_test_1234", "webhook_secret": "sk_test_1234_and_more"})
    assert redactor.text("sk_test_1234_and_more") == "[webhook_secret]"


def test_a_short_value_does_not_blank_ordinary_words() -> None:
    redactor = Redactor()
    redactor.learn("password", "on")
    assert redactor.text("on and on") == "on and on"
