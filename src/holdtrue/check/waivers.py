"""What somebody has accepted for now, applied to results."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from holdtrue.contract.document import Document, Waiver
from holdtrue.contract.report import Finding, Result
from holdtrue.contract.words import Confidence, Outcome


def applied(result: Result, document: Document, today: date) -> Result:
    """Mark what is waived; a guarantee that breaks for nothing else, or was not run, is waived as a whole.

    The findings stay in the report. One that no waiver accepts leaves the guarantee broken.
    """
    waivers = [waiver for waiver in document.waivers if waiver.code == result.code and waiver.until >= today]
    if not waivers or result.outcome not in (Outcome.BROKEN, Outcome.NOT_RUN):
        return result
    whole = next((waiver for waiver in waivers if not waiver.findings), None)
    if result.outcome is Outcome.NOT_RUN:
        return result if whole is None else _waived(result, _words(whole))
    found = [_marked(finding, waivers) for finding in result.findings]
    result = result.model_copy(update={"findings": found})
    if any(breaks(finding) for finding in found):
        return result
    return _waived(result, "; ".join(dict.fromkeys(finding.waived for finding in found if finding.waived)))


def _waived(result: Result, reason: str) -> Result:
    return result.model_copy(update={"outcome": Outcome.WAIVED, "reason": reason})


def _marked(finding: Finding, waivers: Iterable[Waiver]) -> Finding:
    """With the words of the waiver that accepts it."""
    for waiver in waivers:
        if not waiver.findings or finding.fingerprint in waiver.findings:
            return finding.model_copy(update={"waived": _words(waiver)})
    return finding


def breaks(finding: Finding) -> bool:
    """Whether a finding counts: it is more than a suspect, and nobody has accepted it."""
    return finding.confidence is not Confidence.SUSPECT and not finding.waived


def _words(waiver: Waiver) -> str:
    return f"waived by {waiver.owner} until {waiver.until}: {waiver.reason}"
