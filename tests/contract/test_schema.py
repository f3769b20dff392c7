"""The published schemas agree with the models."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from holdtrue.contract.report import Coverage, Finding, Reached, Report, Result, Summary
from holdtrue.contract.schema import document_schema, report_schema
from holdtrue.contract.words import Confidence, Outcome, Place, Severity, Verdict

SHOP = Path(__file__).parent / "documents" / "shop.toml"


def shop() -> dict[str, Any]:
    # TOML has dates, JSON has texts.
    return json.loads(json.dumps(tomllib.loads(SHOP.read_text()), default=str))  # type: ignore[no-any-return]


def report() -> Report:
    finding = Finding(
        code="PAY009",
        fingerprint="0" * 16,
        severity=Severity.CRITICAL,
        confidence=Confidence.PROVED,
        seen="s",
        where="w",
        why="y",
        do="d",
        do_not="n",
        replay="r",
    )
    result = Result(code="PAY009", place=Place.PAYMENTS, title="t", outcome=Outcome.BROKEN, findings=[finding])
    return Report(
        app="shop",
        outcome=Verdict.BROKEN,
        summary=Summary(broken=1),
        coverage=Coverage(routes=Reached(total=2, reached=1)),
        results=[result],
        seed=1,
        seconds=1.5,
    )


@pytest.mark.parametrize("schema", [document_schema(), report_schema()], ids=["document", "report"])
def test_a_schema_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_sound_document_is_valid() -> None:
    jsonschema.validate(shop(), document_schema())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("app", "nmae"), "x"),
        (("routes", "get /x"), {"public": "x"}),
        (("principals", "Owner"), {}),
        (("principals", "owner", "per"), "tenants"),
        (("process", "ready_seconds"), 0),
        (("waivers", 0, "code"), "x"),
        (("resources", "order", "as_"), "x"),
    ],
)
def test_what_the_reader_refuses_the_schema_refuses(path: tuple[str | int, ...], value: Any) -> None:
    document: Any = shop()
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, document_schema())


def test_a_report_is_valid_as_it_is_written() -> None:
    jsonschema.validate(json.loads(report().model_dump_json(by_alias=True)), report_schema())


def test_a_report_without_its_verdict_is_not_valid() -> None:
    written = json.loads(report().model_dump_json(by_alias=True))
    del written["outcome"]
    with pytest.raises(jsonschema.ValidationError, match="outcome"):
        jsonschema.validate(written, report_schema())


def test_keys_are_described_by_their_docstrings_in_markdown() -> None:
    route = document_schema()["$defs"]["Route"]
    assert route["description"] == "What a route needs, and how a rehearsal calls it with success."
    assert route["properties"]["permission"]["description"].startswith("The permission it needs; `signed_in` when")
    assert "\n" not in document_schema()["$defs"]["Process"]["properties"]["env"]["description"]
    assert report_schema()["$defs"]["Finding"]["properties"]["do_not"]["description"] == "The tempting wrong fix."
