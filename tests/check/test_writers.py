"""What people and machines read of a check. The expected texts are the files in ``golden/``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from holdtrue.check.events import (
    CaseTried,
    CheckDone,
    CheckStarted,
    Event,
    GuaranteeDone,
    GuaranteeStarted,
    StageProgress,
)
from holdtrue.check.writers import json as json_writer
from holdtrue.check.writers import junit, output, sarif
from holdtrue.check.writers.findings import most_blocking_first, write_report, write_verdict
from holdtrue.check.writers.text import TextWriter
from holdtrue.contract.errors import UsageError
from holdtrue.contract.report import Coverage, Finding, Reached, Report, Result, Summary
from holdtrue.contract.words import Confidence, Outcome, Place, Severity, Stability, verdict

GOLDEN = Path(__file__).parent / "golden"

TWICE = Finding(
    code="PAY009",
    fingerprint="5d41402abc4b2a76",
    severity=Severity.CRITICAL,
    confidence=Confidence.PROVED,
    stability=Stability.DETERMINISTIC,
    seen="`checkout.session.completed` was delivered twice, and the member was given two years for one payment.",
    where="POST /webhooks/stripe",
    clause="holdtrue.toml:62:1",
    why="Stripe delivers every event at least once, and often twice. Each time, the customer gets for nothing what "
    "others pay for, and the books no longer agree with the bank.",
    do="Insert the event's id into a table with a unique constraint, in the transaction that applies the event.",
    do_not="Do not look the id up first and insert it later: two deliveries at once both find nothing.",
    replay="holdtrue check . --only PAY009 --case 'buy: checkout.session.completed delivered twice, one after the "
    "other' --seed 7",
    evidence=".holdtrue/runs/20260101T100000-000000/evidence/PAY009-1a2b3c4d.json",
    cases=["buy: delivered twice", "buy: delivered twice at once", "renew: delivered twice", "renew: at once"],
)
FLAKY = TWICE.model_copy(
    update={
        "code": "TEN003",
        "severity": Severity.HIGH,
        "stability": Stability.FLAKY,
        "seen": "Tenant b read `canaryaxyz` of tenant a.",
        "where": "GET /orders/{order_id}",
        "cases": ["one"],
        "clause": "",
    }
)
SUSPECT = TWICE.model_copy(
    update={"code": "AUTH007", "confidence": Confidence.SUSPECT, "stability": None, "cases": [], "evidence": ""}
)


def result(code: str, place: Place, title: str, outcome: Outcome, *found: Finding, **more: object) -> Result:
    return Result.model_validate(
        {"code": code, "place": place, "title": title, "outcome": outcome, "findings": list(found)} | more
    )


KEPT = result("MAIL001", Place.EMAIL, "A mail is lost when the server hiccups", Outcome.KEPT, tried=3, seconds=1.25)
BROKEN = result("PAY009", Place.PAYMENTS, "A webhook is applied twice", Outcome.BROKEN, TWICE, tried=9, seconds=4.0)
NOT_RUN = result(
    "REL002", Place.RELEASES, "A migration cannot be undone", Outcome.NOT_RUN, reason="no [migrations] are declared"
)
NOT_PROMISED = result("AUD001", Place.AUDIT, "A change leaves no event", Outcome.NOT_PROMISED)
ERRORED = result(
    "AUTH002", Place.AUTH, "A token never expires", Outcome.ERRORED, reason="the proof itself failed: KeyError: 'x'"
)
WAIVED = result(
    "TEN004",
    Place.TENANCY,
    "A search shows other tenants' rows",
    Outcome.WAIVED,
    FLAKY.model_copy(update={"waived": "waived by ana until 2030-01-31: the search goes away in January"}),
    reason="waived by ana until 2030-01-31: the search goes away in January",
)


def report(*results: Result, **more: object) -> Report:
    outcomes = [each.outcome for each in results]
    return Report.model_validate(
        {
            "app": "Plain shop",
            "outcome": verdict(outcomes),
            "summary": Summary(**{str(outcome): outcomes.count(outcome) for outcome in Outcome}),
            "coverage": Coverage(routes=Reached(total=4, reached=3)),
            "results": list(results),
            "seed": 7,
            "seconds": 12.3,
        }
        | more
    )


def everything() -> Report:
    return report(
        KEPT,
        result("AUTH007", Place.AUTH, "A route forgets its guard", Outcome.KEPT, SUSPECT),
        BROKEN,
        result("TEN003", Place.TENANCY, "A row is read by another tenant", Outcome.BROKEN, FLAKY),
        NOT_RUN,
        NOT_PROMISED,
        ERRORED,
        WAIVED,
        coverage=Coverage(
            routes=Reached(total=14, reached=12),
            out_of_scope={"GET /legacy/{thing}": "goes away in May", "spatial_ref_sys": "belongs to PostGIS"},
        ),
        noise=["orders.created_at", "sessions.token"],
        unmodelled=["POST /v1/terminal/readers"],
        egress=["api.openai.com:443 from web"],
    )


def console(*, terminal: bool = False, **settings: object) -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=terminal, _environ={}, **settings)  # type: ignore[arg-type]


def printed(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


def report_text(of: Report) -> str:
    on = console()
    write_report(on, of)
    write_verdict(on, of, Path(".holdtrue/runs/20260101T100000-000000"))
    return printed(on)


def expect(name: str, text: str) -> None:
    """Compare with a golden file. To change one on purpose, delete it, run once, and read the difference."""
    file = GOLDEN / name
    if not file.exists():
        file.write_text(text)
        pytest.fail(f"{file.name} was missing and has been written: read it, then run again")
    assert text == file.read_text()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("everything.txt", everything()),
        ("held.txt", report(KEPT, NOT_PROMISED)),
        ("undecided.txt", report(KEPT, NOT_RUN)),
        ("nothing_promised.txt", report(NOT_PROMISED)),
    ],
)
def test_a_report_reads_as_its_golden_file(name: str, shown: Report) -> None:
    expect(name, report_text(shown))


EVENTS: list[Event] = [
    CheckStarted(app="Plain shop", directory=Path(), seed=7, codes=("MAIL001", "PAY009", "AUD001")),
    StageProgress(doing="installing the app's requirements"),
    StageProgress(doing="starting the app", lane=1),
    GuaranteeStarted(code="PAY009", title=BROKEN.title),
    GuaranteeStarted(code="MAIL001", title=KEPT.title, lane=1),
    CaseTried(code="PAY009", case="buy: delivered twice", broken=True),
    CaseTried(code="MAIL001", case="refused once", broken=False),
    GuaranteeDone(result=KEPT),
    GuaranteeDone(result=BROKEN),
    GuaranteeDone(result=NOT_PROMISED),
    CheckDone(report=report(KEPT, BROKEN, NOT_PROMISED), directory=Path(".holdtrue/runs/1")),
]


def play(on: Console, **settings: bool) -> str:
    with TextWriter(on, **settings) as writer:
        for event in EVENTS:
            writer(event)
    return printed(on)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("progress.txt", {}),
        ("progress_verbose.txt", {"verbose": True}),
        ("progress_without_report.txt", {"report": False}),
    ],
)
def test_progress_without_a_terminal_is_plain_lines(name: str, settings: dict[str, bool]) -> None:
    text = play(console(), **settings)
    assert "\x1b" not in text
    expect(name, text)


def test_a_terminal_shows_what_runs_now_and_clears_it_at_the_end() -> None:
    text = play(console(terminal=True))
    assert "… PAY009  A webhook is applied twice: 1 case tried, 1 broken" in text
    assert "… installing the app's requirements" in text
    assert "\x1b[31m" in text or "\x1b[1;31m" in text
    assert "BROKEN" in text


def test_no_color_leaves_a_terminal_without_colours() -> None:
    on = console(terminal=True, no_color=True)
    write_report(on, everything())
    assert "[31m" not in printed(on)
    assert "[1;31m" not in printed(on)


def test_findings_that_do_not_count_come_last_and_the_worst_come_first() -> None:
    low = FLAKY.model_copy(update={"severity": Severity.LOW, "code": "TEN001"})
    mixed = result("X", Place.CORE, "t", Outcome.BROKEN, SUSPECT, low, FLAKY, TWICE)
    assert [found.code for _, found in most_blocking_first([mixed])] == ["PAY009", "TEN003", "TEN001", "AUTH007"]


def test_what_an_app_answers_cannot_steer_the_terminal_or_the_markup() -> None:
    nasty = TWICE.model_copy(update={"seen": "\x1b[2J[red]gone[/red] :smile:\x9b1A\r\nnext"})
    text = report_text(report(BROKEN.model_copy(update={"findings": [nasty]})))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "�[2J[red]gone[/red] :smile:�1A\n" in text


def test_commands_to_copy_are_never_wrapped() -> None:
    assert any(line.endswith(TWICE.replay) for line in report_text(everything()).splitlines())


def test_the_json_report_is_the_report(tmp_path: Path) -> None:
    stream = io.StringIO()
    output.put(json_writer.dumps(everything()), stream)
    output.put(json_writer.dumps(everything()), tmp_path / "report.json")
    assert stream.getvalue() == (tmp_path / "report.json").read_text()
    assert json.loads(stream.getvalue())["schema"] == "holdtrue/report/1"
    assert Report.model_validate_json(stream.getvalue()) == everything()


def test_a_report_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as caught:
        output.put("{}", tmp_path / "missing" / "report.json")
    assert str(tmp_path / "missing" / "report.json") in str(caught.value)


def test_where_a_report_could_not_be_written_is_said_before_the_check(tmp_path: Path) -> None:
    output.refuse_missing(None, tmp_path / "report.sarif", Path("report.xml"))
    with pytest.raises(UsageError, match="there is no directory"):
        output.refuse_missing(tmp_path / "missing" / "report.sarif")


# -- SARIF and JUnit -------------------------------------------------------------------------------------------------


def sarif_run(of: Report) -> Any:
    log = json.loads(sarif.dumps(of, Path("/repository")))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    return run


def test_a_finding_in_sarif_stands_at_its_line_and_keeps_its_identity() -> None:
    found = TWICE.model_copy(
        update={"source": "shop/web hooks.py:41", "clause": "/repository/apps/../holdtrue.toml:62:1"}
    )
    run = sarif_run(report(BROKEN.model_copy(update={"findings": [found]})))
    [shown], [rule] = run["results"], run["tool"]["driver"]["rules"]
    assert (shown["ruleId"], shown["ruleIndex"], rule["id"]) == ("PAY009", 0, "PAY009")
    assert shown["level"] == rule["defaultConfiguration"]["level"] == "error"
    place = shown["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "shop/web%20hooks.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 41}
    promise = shown["relatedLocations"][0]["physicalLocation"]
    assert promise["artifactLocation"]["uri"] == "holdtrue.toml"
    assert promise["region"] == {"startLine": 62, "startColumn": 1}
    assert shown["partialFingerprints"] == {"holdtrue/v1": TWICE.fingerprint}
    assert TWICE.replay in shown["message"]["text"]


def test_a_finding_in_sarif_without_a_line_in_the_code_stands_at_its_promise() -> None:
    elsewhere = TWICE.model_copy(update={"clause": "../app/holdtrue.toml:3"})
    for found, artifact in (
        (TWICE, {"uri": "holdtrue.toml", "uriBaseId": "%SRCROOT%"}),
        (elsewhere, {"uri": "file:///app/holdtrue.toml"}),
    ):
        [shown] = sarif_run(report(BROKEN.model_copy(update={"findings": [found]})))["results"]
        assert shown["locations"][0]["physicalLocation"]["artifactLocation"] == artifact
        assert "relatedLocations" not in shown


def test_in_sarif_a_waived_finding_is_suppressed_and_a_suspicion_is_a_note() -> None:
    run = sarif_run(everything())
    by_code = {shown["ruleId"]: shown for shown in run["results"]}
    assert by_code["AUTH007"]["level"] == "note"
    suppressed = [shown for shown in run["results"] if "suppressions" in shown]
    [suppression] = suppressed[0]["suppressions"]
    assert len(suppressed) == 1
    assert suppression["justification"] == WAIVED.reason


def test_what_was_not_decided_makes_no_green_sarif() -> None:
    assert sarif_run(report(KEPT))["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]
    [invocation] = sarif_run(report(KEPT, NOT_RUN, ERRORED))["invocations"]
    assert not invocation["executionSuccessful"]
    told = [note["message"]["text"] for note in invocation["toolExecutionNotifications"]]
    assert ["REL002" in told[0], "AUTH002" in told[1]] == [True, True]


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314  it is our own


def junit_cases(of: Report) -> dict[str, list[str]]:
    root = parsed(junit.dumps(of))
    assert root.get("tests") == str(len(list(root.iter("testcase"))))
    return {str(case.get("name")).split()[0]: [child.tag for child in case] for case in root.iter("testcase")}


def test_in_junit_only_what_is_kept_is_green() -> None:
    assert junit_cases(everything()) == {
        "MAIL001": [],
        "AUTH007": [],
        "PAY009": ["failure"],
        "TEN003": ["failure"],
        "REL002": ["error"],
        "AUD001": ["skipped"],
        "AUTH002": ["error"],
        "TEN004": ["skipped"],
    }
    root = parsed(junit.dumps(everything()))
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["8", "2", "2", "2"]
    assert sum(int(suite.get("tests", "")) for suite in root) == 8


def test_what_an_app_answered_breaks_no_xml() -> None:
    nasty = TWICE.model_copy(update={"seen": "\x00]]><b>&\x1b[2J\ufffe", "cases": ["\ud800"]})
    root = parsed(junit.dumps(report(BROKEN.model_copy(update={"findings": [nasty]}))))
    [failure] = root.iter("failure")
    assert failure.get("message") == "\ufffd]]><b>&\ufffd[2J\ufffd"
    assert failure.text is not None
    assert TWICE.replay in failure.text


def verdict_text(of: Report) -> str:
    on = console()
    write_verdict(on, of)
    return printed(on)


def test_a_verdict_with_waivers_does_not_say_that_all_is_kept() -> None:
    assert "HELD: the app keeps 1 of the 2 guarantees it promises, 1 waived" in verdict_text(report(KEPT, WAIVED))
