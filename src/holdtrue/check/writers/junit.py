"""The report as JUnit XML, which CI systems show as tests: a suite for each place, a test for each guarantee.

What was not decided is an error and not skipped, because a skipped test is green.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from holdtrue.contract.report import Finding, Report, Result
from holdtrue.contract.words import Outcome, Place

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0, 2.2: what no document may contain, escaped or not; an app's answer may."""


def dumps(report: Report) -> str:
    """Return the report as JUnit XML."""
    root = ElementTree.Element("testsuites", {"name": _text(report.app), **_totals(report.results)})
    for place in Place:
        results = [result for result in report.results if result.place is place]
        if not results:
            continue
        suite = ElementTree.SubElement(root, "testsuite", {"name": str(place), **_totals(results)})
        for result in results:
            suite.append(_case(result))
    ElementTree.indent(root, " ")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _case(result: Result) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        classname=f"holdtrue.{result.place}",
        name=_text(f"{result.code} {result.title}"),
        time=f"{result.seconds:.3f}",
    )
    match result.outcome:
        case Outcome.BROKEN:
            for finding in (each for each in result.findings if not each.waived):
                failure = ElementTree.SubElement(case, "failure", type=finding.code, message=_text(finding.seen))
                failure.text = _text(_words(finding))
        case Outcome.NOT_RUN | Outcome.ERRORED:
            ElementTree.SubElement(case, "error", type=str(result.outcome), message=_text(result.reason))
        case Outcome.NOT_PROMISED | Outcome.WAIVED:
            ElementTree.SubElement(case, "skipped", message=_text(result.reason or "not promised"))
    return case


def _totals(results: Iterable[Result]) -> dict[str, str]:
    results = list(results)
    outcomes = [result.outcome for result in results]
    return {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count(Outcome.BROKEN)),
        "errors": str(outcomes.count(Outcome.NOT_RUN) + outcomes.count(Outcome.ERRORED)),
        "skipped": str(outcomes.count(Outcome.NOT_PROMISED) + outcomes.count(Outcome.WAIVED)),
        "time": f"{sum(result.seconds for result in results):.3f}",
    }


def _words(finding: Finding) -> str:
    facts = {
        "where": finding.where,
        "code": finding.source,
        "promise": finding.clause,
        "why": finding.why,
        "do": finding.do,
        "do not": finding.do_not,
        "again": finding.replay,
        "evidence": finding.evidence,
        "cases": "; ".join(finding.cases),
    }
    return "\n".join([finding.seen, *(f"{name}: {fact}" for name, fact in facts.items() if fact)])


def _text(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
