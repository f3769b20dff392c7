"""Applies rules: reads the app's files before anything is started, and joins what was read to what was rehearsed."""

from __future__ import annotations

import shlex
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from holdtrue.check.prove import Order, fingerprint
from holdtrue.contract.document import Document
from holdtrue.contract.report import Finding, Result
from holdtrue.contract.words import Confidence, Outcome
from holdtrue.guarantees.base import Absent, Guarantee, Harm, Rule, Untried
from holdtrue.stage.survey.sources import Sources


@dataclass(kw_only=True)
class Inspected:
    """What came of one rule."""

    findings: list[Finding] = field(default_factory=list)
    untried: list[Untried] = field(default_factory=list)
    absent: str = ""
    failed: str = ""
    seconds: float = 0.0

    @property
    def decides(self) -> bool:
        """Whether it could read all that it is about."""
        return not (self.untried or self.absent or self.failed)

    @property
    def breaks(self) -> bool:
        """Whether something is certain, and not suspected only."""
        return any(finding.confidence is not Confidence.SUSPECT for finding in self.findings)


def inspect(chosen: Iterable[Guarantee], document: Document, order: Order, root: Path) -> dict[str, Inspected]:
    """Code → what came of its rule, for those that have one and are promised. `root` has the app's files."""
    sources = Sources(root)
    return {
        guarantee.code: _inspect(guarantee, guarantee.inspect, sources, document, order)
        for guarantee in chosen
        if guarantee.inspect is not None and guarantee.subjects(document)
    }


def _inspect(guarantee: Guarantee, rule: Rule, sources: Sources, document: Document, order: Order) -> Inspected:
    started = time.monotonic()
    inspected = Inspected()
    try:
        for read in rule(sources, document):
            if isinstance(read, Untried):
                inspected.untried.append(read)
            elif isinstance(read, Absent):
                inspected.absent = read.reason
            else:
                inspected.findings.append(_finding(guarantee, read, order))
    except Exception as error:  # noqa: BLE001  the named edge: what goes wrong in one rule must not end the others
        at = traceback.extract_tb(error.__traceback__)[-1]
        inspected.failed = (
            f"the rule itself failed: {type(error).__name__}: {error} ({Path(at.filename).name}:{at.lineno})"
        )
    inspected.seconds = time.monotonic() - started
    return inspected


def _finding(guarantee: Guarantee, harm: Harm, order: Order) -> Finding:
    return Finding(
        code=guarantee.code,
        fingerprint=fingerprint(guarantee.code, harm.where, harm.clause),
        severity=guarantee.severity,
        confidence=Confidence.SUSPECT if harm.suspect else Confidence.CERTAIN,
        seen=harm.seen,
        where=harm.where,
        source=str(order.directory / harm.source) if harm.source else order.source(harm.where),
        clause=order.locate(harm.clause) if harm.clause else "",
        why=guarantee.why,
        do=guarantee.do,
        do_not=guarantee.do_not,
        replay=shlex.join(["holdtrue", "check", str(order.directory), "--rules", "--only", guarantee.code]),
    )


def alone(guarantee: Guarantee, inspected: Inspected) -> Result:
    """What a rule decides without a rehearsal. It counts as one case, where it could read what it is about."""
    outcome, reason = Outcome.KEPT, ""
    if inspected.failed:
        outcome, reason = Outcome.ERRORED, inspected.failed
    elif inspected.untried:
        outcome = Outcome.NOT_RUN
        reason = "\n".join(f"{each.subject}: {each.reason}" for each in inspected.untried)
    elif inspected.absent and not inspected.findings:
        outcome, reason = Outcome.NOT_PROMISED, inspected.absent
    decided = outcome is Outcome.KEPT or inspected.breaks
    result = Result(
        code=guarantee.code,
        place=guarantee.place,
        title=guarantee.title,
        outcome=outcome,
        confidence=Confidence.CERTAIN if decided else None,
        reason=reason,
        tried=int(decided),
        possible=int(decided),
        seconds=round(inspected.seconds, 3),
    )
    return joined(result, inspected)


def joined(result: Result, inspected: Inspected | None) -> Result:
    """A result with what its rule found: what is certain breaks the guarantee, unless a rehearsal proved it already."""
    if inspected is None:
        return result
    if result.outcome is Outcome.NOT_PROMISED and inspected.decides:
        # What a rehearsal has no way to ask the running app for, the source has.
        kept = {"outcome": Outcome.KEPT, "confidence": Confidence.CERTAIN, "reason": "", "tried": 1, "possible": 1}
        result = result.model_copy(update=kept)
    proved = {finding.fingerprint for finding in result.findings}
    findings = [*result.findings, *(each for each in inspected.findings if each.fingerprint not in proved)]
    changed: dict[str, object] = {"findings": findings}
    if inspected.breaks and result.outcome is not Outcome.BROKEN:
        changed |= {"outcome": Outcome.BROKEN, "confidence": Confidence.CERTAIN}
    elif inspected.failed and result.outcome in (Outcome.KEPT, Outcome.NOT_PROMISED):
        changed |= {"outcome": Outcome.ERRORED, "confidence": None, "reason": inspected.failed}
    return result.model_copy(update=changed)
