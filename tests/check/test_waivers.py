"""What is accepted for now: a guarantee, or single findings of it; and the baseline that writes it down."""

from __future__ import annotations

import tomllib
from datetime import date, timedelta
from pathlib import Path

import pytest

from holdtrue.check.baseline import DAYS, write_baseline
from holdtrue.check.waivers import applied
from holdtrue.contract.document import Document, Waiver
from holdtrue.contract.errors import UsageError
from holdtrue.contract.reader import read
from holdtrue.contract.report import Finding, Report, Result
from holdtrue.contract.words import Confidence, Outcome, Place

from .test_writers import NOT_RUN, TWICE, report

TODAY = date(2026, 3, 1)
OLD, NEW = "0123456789abcdef", "fedcba9876543210"

TOML = """\
# How the check starts the shop.
schema = 1

[app]
name = "shop"    # the name in reports

[process]
asgi = "shop.main:app"
"""


def found(fingerprint: str, **more: object) -> Finding:
    return TWICE.model_copy(update={"fingerprint": fingerprint} | more)


def broken(*findings: Finding) -> Result:
    return Result(code="PAY009", place=Place.PAYMENTS, title="Twice", outcome=Outcome.BROKEN, findings=list(findings))


def document(**waiver: object) -> Document:
    told = {"code": "PAY009", "reason": "mended in the spring", "owner": "ana", "until": TODAY} | waiver
    minimal = {"schema": 1, "app": {"name": "shop"}, "process": {"asgi": "shop.main:app"}}
    return Document.model_validate(minimal | {"waivers": [Waiver.model_validate(told)]})


def test_a_waiver_of_a_guarantee_accepts_whatever_it_finds() -> None:
    result = applied(broken(found(OLD), found(NEW)), document(), TODAY)
    assert result.outcome is Outcome.WAIVED
    assert result.reason == "waived by ana until 2026-03-01: mended in the spring"
    assert [finding.waived for finding in result.findings] == [result.reason] * 2


def test_a_waiver_of_a_finding_accepts_no_other_one() -> None:
    result = applied(broken(found(OLD), found(NEW)), document(findings=[OLD]), TODAY)
    assert result.outcome is Outcome.BROKEN
    assert [bool(finding.waived) for finding in result.findings] == [True, False]
    assert applied(broken(found(OLD)), document(findings=[OLD]), TODAY).outcome is Outcome.WAIVED


def test_a_suspicion_that_nobody_waived_breaks_nothing() -> None:
    suspect = found(NEW, confidence=Confidence.SUSPECT)
    assert applied(broken(found(OLD), suspect), document(findings=[OLD]), TODAY).outcome is Outcome.WAIVED


def test_what_was_not_run_is_accepted_as_a_whole_only() -> None:
    result = NOT_RUN.model_copy(update={"code": "PAY009"})
    assert applied(result, document(), TODAY).outcome is Outcome.WAIVED
    assert applied(result, document(findings=[OLD]), TODAY).outcome is Outcome.NOT_RUN


@pytest.mark.parametrize("waiver", [{"code": "PAY010"}, {"until": TODAY - timedelta(days=1)}])
def test_another_guarantee_s_waiver_and_a_lapsed_one_accept_nothing(waiver: dict[str, object]) -> None:
    assert applied(broken(found(OLD)), document(**waiver), TODAY) == broken(found(OLD))


def test_with_a_baseline_only_what_is_new_breaks_the_verdict(tmp_path: Path) -> None:
    file = tmp_path / "holdtrue.toml"
    file.write_text(TOML)
    [written] = write_baseline(report(broken(found(OLD))), file, TODAY)
    assert written.findings == [OLD]
    assert file.read_text().startswith(TOML)
    assert list(tmp_path.iterdir()) == [file]
    [waiver] = read(file, today=TODAY).document.waivers
    assert waiver == written
    assert waiver.until == TODAY + timedelta(days=DAYS)
    loaded = read(file, today=TODAY).document
    assert applied(broken(found(OLD)), loaded, TODAY).outcome is Outcome.WAIVED
    assert applied(broken(found(OLD), found(NEW)), loaded, TODAY).outcome is Outcome.BROKEN
    assert not read(file, today=waiver.until + timedelta(days=1)).document.waivers


def test_a_second_baseline_adds_what_the_first_did_not_accept(tmp_path: Path) -> None:
    file = tmp_path / "holdtrue.toml"
    file.write_text(TOML)

    def again(*findings: Finding) -> Report:
        return report(applied(broken(*findings), read(file, today=TODAY).document, TODAY))

    assert write_baseline(again(found(OLD)), file, TODAY)
    kept = file.read_text()
    assert not write_baseline(again(found(OLD)), file, TODAY)
    assert file.read_text() == kept
    [second] = write_baseline(again(found(OLD), found(NEW)), file, TODAY)
    assert second.findings == [NEW]
    assert again(found(OLD), found(NEW)).results[0].outcome is Outcome.WAIVED


def test_a_composed_app_s_baseline_stands_in_its_project(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "acme"  # ours\n\n[tool.holdtrue]\napp = "acme.app:assembly"\n')
    write_baseline(report(broken(found(OLD))), file, TODAY)
    written = tomllib.loads(file.read_text())
    assert written["project"] == {"name": "acme"}
    assert written["tool"]["holdtrue"]["app"] == "acme.app:assembly"
    assert written["tool"]["holdtrue"]["waivers"][0]["findings"] == [OLD]
    assert "# ours" in file.read_text()


def test_waivers_in_one_line_are_not_rewritten(tmp_path: Path) -> None:
    file = tmp_path / "holdtrue.toml"
    file.write_text("waivers = []\n" + TOML)
    with pytest.raises(UsageError, match="one value"):
        write_baseline(report(broken(found(OLD))), file, TODAY)
    assert file.read_text() == "waivers = []\n" + TOML
