"""The report as SARIF 2.1.0 (OASIS), which code hosts show beside the lines of a change.

A finding is a result, by its fingerprint the same one over runs; a waived finding is suppressed. What was not decided
is a notification of the tool, and its execution is not successful: a report without results is no green one.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from holdtrue import __version__
from holdtrue.contract.report import Finding, Report, Result
from holdtrue.contract.words import Confidence, Outcome, Severity, Verdict

_LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note"}
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.0", Severity.LOW: "2.0"}
"""GitHub orders by a number like CVSS's: above 9 is critical, above 7 high, above 4 medium."""
_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::(?P<column>\d+))?")


def dumps(report: Report, root: Path) -> str:
    """Return the report as SARIF; ``root`` is the directory of the sources, and what the report's paths start at."""
    found = [result for result in report.results if result.findings]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "holdtrue", "version": __version__, "rules": [_rule(result) for result in found]}
                },
                "invocations": [
                    {
                        "executionSuccessful": report.outcome is not Verdict.UNDECIDED,
                        "toolExecutionNotifications": [
                            note for result in report.results if (note := _undecided(result)) is not None
                        ],
                    }
                ],
                "results": [
                    _result(finding, result, index, root)
                    for index, result in enumerate(found)
                    for finding in result.findings
                ],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }
    return json.dumps(log, indent=1, ensure_ascii=False) + "\n"


def _rule(result: Result) -> dict[str, Any]:
    first = result.findings[0]
    return {
        "id": result.code,
        "name": result.title,
        "shortDescription": {"text": result.title},
        "fullDescription": {"text": first.why},
        "help": {"text": f"{first.do}\n{first.do_not}\nMore: holdtrue explain {result.code}"},
        "defaultConfiguration": {"level": _LEVELS[first.severity]},
        "properties": {"security-severity": _SCORES[first.severity], "tags": ["security", str(result.place)]},
    }


def _result(finding: Finding, result: Result, rule: int, root: Path) -> dict[str, Any]:
    code, promise = _location(finding.source, root), _location(finding.clause, root)
    at = [place for place in (code, promise) if place is not None]
    shown: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": "note" if finding.confidence is Confidence.SUSPECT else _LEVELS[finding.severity],
        "message": {"text": f"{finding.seen}\n{finding.do}\nAgain: {finding.replay}"},
        "locations": [
            {"logicalLocations": [{"fullyQualifiedName": finding.where}]} | (at[0] if at else {}),
        ],
        "partialFingerprints": {"holdtrue/v1": finding.fingerprint},
        "properties": {
            "confidence": str(finding.confidence),
            "stability": finding.stability and str(finding.stability),
            "evidence": finding.evidence,
            "cases": finding.cases,
        },
    }
    if at[1:]:
        shown["relatedLocations"] = [{**at[1], "message": {"text": "the promise"}}]
    if finding.waived:
        shown["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.waived}]
    return shown


def _location(place: str, root: Path) -> dict[str, Any] | None:
    """``file:line:column`` as a physical location."""
    match = _PLACE.fullmatch(place)
    if match is None:
        return None
    region = {"startLine": max(1, int(match["line"]))}
    if match["column"]:
        region["startColumn"] = max(1, int(match["column"]))
    file = Path(os.path.normpath(root / match["file"]))
    if file.is_relative_to(root):
        artifact = {"uri": quote(file.relative_to(root).as_posix()), "uriBaseId": "%SRCROOT%"}
    else:
        artifact = {"uri": file.as_uri()}
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


def _undecided(result: Result) -> dict[str, Any] | None:
    if result.outcome not in (Outcome.NOT_RUN, Outcome.ERRORED):
        return None
    words = "could not be proved" if result.outcome is Outcome.NOT_RUN else "ended in an error"
    return {
        "level": "error",
        "message": {"text": f"{result.code} {result.title}: {words}: {result.reason}"},
        "associatedRule": {"id": result.code},
    }
