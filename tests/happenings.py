"""Cases as evidence keeps them, with all that a picture can show, for tests of the page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdtrue.contract.report import Coverage, Finding, Reached, Report, Result, Summary
from holdtrue.contract.words import Confidence, Outcome, Place, Severity, Stability, Verdict

Entries = Sequence[Mapping[str, Any]]


def statement(at: float, sql: str, *, process: str = "web1", transaction: int = 1, **more: object) -> dict[str, Any]:
    sort = sql.split()[0].lower()
    facts = {"took": 0.001, "connection": 1, "tag": sql.split()[0], "answered": True, "sqlstate": None, "message": None}
    writes = sort in ("insert", "update", "delete")
    told = {"kind": "statement", "at": at, "process": process, "transaction": transaction}
    return told | facts | {"sort": sort, "writes": writes, "sql": sql} | more


def request(at: float, asked: str, answer: str, *, process: str = "web1", **more: object) -> dict[str, Any]:
    facts = {"sender": "owner@a", "request": asked, "answer": answer, "answer_body": "{}", "content": None}
    return {"kind": "request", "at": at, "took": 0.05, "process": process} | facts | more


KILLED: Entries = (
    {"kind": "scene", "at": 0.0},
    request(0.01, "POST /orders/1/checkout", "201"),
    statement(0.02, "SELECT id FROM orders"),
    statement(0.03, "SELECT id FROM products"),
    {"kind": "provider_call", "at": 0.04, "request": "POST /v1/checkout/sessions", "status": 200, "delivered": True},
    {"kind": "provider", "at": 0.07, "customer": "pay", "events": ["checkout.session.completed"]},
    {"kind": "webhook", "at": 0.1, "process": "web1", "note": "web1 is killed"},
    request(0.1, "POST /webhooks/stripe", "with nothing (connection lost)", content='{"type": "checkout.completed"}'),
    statement(0.11, "BEGIN", transaction=2),
    statement(0.12, "INSERT INTO inbox (id) VALUES ($1)", transaction=2),
    {"kind": "held", "at": 0.13, "process": "web1", "connection": 1, "sql": "COMMIT"},
    {"kind": "kill", "at": 0.14, "processes": ["web1"]},
    {"kind": "promote", "at": 0.16, "process": "web2", "becomes": "web1"},
    {"kind": "webhook", "at": 0.2, "process": "web1", "note": "redelivered"},
    request(0.2, "POST /webhooks/stripe", "200", content='{"type": "checkout.completed"}'),
    statement(0.21, "BEGIN", transaction=3),
    statement(0.22, "UPDATE orders SET status = $1, paid_at = $2 WHERE id = $3", transaction=3),
    statement(0.23, "COMMIT", transaction=3),
    {"kind": "cut", "at": 0.231, "process": "web1", "connection": 2, "when": "after", "sql": "COMMIT"},
    {"kind": "mail", "at": 0.24, "recipients": ["ann@a.test"], "subject": "Your receipt"},
    {"kind": "age", "at": 0.3, "seconds": 3600},
    {"kind": "start", "at": 0.31, "processes": ["worker"]},
    {"kind": "effects", "at": 0.4, "rows": ["orders #1: status pending → paid, paid_at null → now, a long tail " * 4]},
)
RACED: Entries = (
    request(0.0, "POST /orders/1/refund", "200", took=0.4),
    request(0.001, "POST /orders/1/refund", "200", process="web2", took=0.3),
    statement(0.1, "SELECT refunded FROM orders"),
    statement(0.1, "SELECT refunded FROM orders", process="web2", transaction=2, connection=2),
    statement(0.2, "UPDATE orders SET refunded = 500", process="web2", transaction=2, connection=2),
    statement(0.25, "COMMIT", process="web2", transaction=2, connection=2),
    statement(0.3, "UPDATE orders SET refunded = 500"),
    statement(0.35, "COMMIT"),
    {
        "kind": "interleaving",
        "at": 0.5,
        "schedule": "first to stop 1, second whole, first whole",
        "turns": [
            {"process": "web1", "statement": "UPDATE orders SET refunded = 500", "outcome": "held"},
            {"process": "web2", "statement": "UPDATE orders SET refunded = 500", "outcome": "waits"},
            {"process": "web2", "statement": "COMMIT", "outcome": "ran"},
            {"process": "web1", "statement": "", "outcome": "ended"},
        ],
    },
)


def finding(code: str, evidence: str, **more: object) -> Finding:
    facts: dict[str, Any] = {
        "code": code, "fingerprint": "5d41402abc4b2a76", "severity": Severity.CRITICAL,
        "confidence": Confidence.PROVED, "stability": Stability.DETERMINISTIC,
        "seen": "One payment was taken, and nothing was given for it.", "where": "POST /webhooks/stripe",
        "source": "shop/payments.py:41", "clause": "holdtrue.toml:62:1", "why": "Customers pay and get nothing.",
        "do": "Write the event and its effect in one transaction.", "do_not": "Do not answer 200 to make it stop.",
        "replay": f"holdtrue check . --only {code} --seed 7", "evidence": evidence, "cases": ["one", "two"],
    }  # fmt: skip
    return Finding.model_validate(facts | more)


def kept(directory: Path, name: str, entries: Sequence[Any]) -> str:
    """Write evidence as a check does; its path."""
    path = directory / f"{name}.json"
    path.write_text(json.dumps({"code": name, "case": f"case of {name}", "seed": 7, "entries": list(entries)}))
    return str(path)


def report(*findings: Finding, **more: object) -> Report:
    """A report in which each finding has a guarantee of its own, and one guarantee is kept."""
    results = [
        Result(
            code=each.code, place=Place.PAYMENTS, title=f"Promise {each.code} broken", outcome=Outcome.BROKEN,
            findings=[each], tried=3, possible=9, seconds=1.5,
        )
        for each in findings
    ]  # fmt: skip
    results.append(
        Result(code="MAIL050", place=Place.EMAIL, title="Mail lost", outcome=Outcome.KEPT, tried=2, possible=2)
    )
    facts: dict[str, Any] = {
        "app": "Plain shop", "outcome": Verdict.BROKEN if findings else Verdict.HELD,
        "summary": Summary(kept=1, broken=len(findings)), "coverage": Coverage(routes=Reached(total=4, reached=3)),
        "results": results, "seed": 7, "seconds": 12.3,
    }  # fmt: skip
    return Report.model_validate(facts | more)
