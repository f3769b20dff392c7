"""Evidence is kept without any secret in it."""

import json

from holdtrue.stage.evidence import MOST_ENTRIES, Evidence, Redactor


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


def test_entries_stand_in_the_order_in_which_they_began() -> None:
    times = iter([100.0, 101.5])
    evidence = Evidence(clock=lambda: next(times))
    evidence.add("request", moment=101.0, took=0.4)
    evidence.add("statement", moment=100.25)
    evidence.add("kill")
    assert [(entry["kind"], entry["at"]) for entry in evidence.export(Redactor())] == [
        ("statement", 0.25),
        ("request", 1.0),
        ("kill", 1.5),
    ]


def test_what_the_instruments_have_seen_is_gathered_before_evidence_is_handed_over() -> None:
    evidence = Evidence(gather=lambda: evidence.add("mail", subject="Your password is hunter2-but-longer"))
    redactor = Redactor()
    redactor.learn("password", "hunter2-but-longer")
    assert [entry["subject"] for entry in evidence.export(redactor)] == ["Your password is [password]"]


def test_evidence_has_an_end() -> None:
    evidence = Evidence(clock=lambda: 0.0)
    evidence.add("request", answer_body="x" * 10**6)
    for number in range(MOST_ENTRIES * 3):
        evidence.add("statement", number=number)
    entries = evidence.export(Redactor())
    assert len(entries) == MOST_ENTRIES + 1
    assert entries[MOST_ENTRIES // 2] == {"kind": "left_out", "at": 0.0, "entries": MOST_ENTRIES * 2 + 1}
    assert entries[-1]["number"] == MOST_ENTRIES * 3 - 1
    assert entries[0]["answer_body"].endswith("more characters)")
    assert len(json.dumps(entries[0])) < 21_000
