"""Proves one guarantee on one stage: plays its cases, confirms what it saw in fresh processes, keeps the evidence."""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from holdtrue.check.events import CaseTried, Event
from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.report import Finding, Result
from holdtrue.contract.words import Confidence, Outcome, Stability
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a proof needs to know besides its stage."""

    directory: Path
    """The app's, as the user named it: it appears in replay commands."""
    evidence: Path
    """Where evidence is kept."""
    seed: int
    case: str | None
    """A pattern (``*``, ``?``) of case names; the others are left out."""
    locate: Callable[[tuple[str, ...]], str]
    """Turns the path of a clause into ``file:line key``."""


@dataclass
class _Tally:
    tried: int = 0
    possible: int = 0
    harms: dict[str, list[tuple[Case, Harm]]] = field(default_factory=dict)
    evidence: dict[str, list[object]] = field(default_factory=dict)
    untried: list[Untried] = field(default_factory=list)


async def prove(guarantee: Guarantee, stage: Stage, order: Order, tell: Callable[[Event], None]) -> Result:
    """Return what became of a guarantee. Never raises but for cancellation: what fails is an outcome."""
    started = time.monotonic()
    if not guarantee.subjects(stage.document):
        return _result(guarantee, Outcome.NOT_PROMISED, started, reason="the document declares nothing it is about")
    tally = _Tally()
    try:
        await _play_all(guarantee.rehearse(stage), guarantee, stage, order, tally, tell)
        findings = [await _finding(guarantee, stage, order, cause, tally) for cause in tally.harms]
    except HoldtrueError as error:
        return _result(guarantee, Outcome.NOT_RUN, started, tally, reason=str(error))
    except Exception as error:  # noqa: BLE001 - the named edge of the check: a proof that fails must not end the others
        stage.keep_traceback(guarantee.code, error)
        reason = f"the proof itself failed: {type(error).__name__}: {error}"
        return _result(guarantee, Outcome.ERRORED, started, tally, reason=stage.redactor.text(reason))
    if findings:
        return _result(guarantee, Outcome.BROKEN, started, tally, findings=findings, confidence=Confidence.PROVED)
    if tally.untried or not tally.tried:
        return _result(guarantee, Outcome.NOT_RUN, started, tally, reason=_why_not(tally, order))
    return _result(guarantee, Outcome.KEPT, started, tally, confidence=Confidence.PROVED)


async def _play_all(
    cases: AsyncIterator[Case | Untried],
    guarantee: Guarantee,
    stage: Stage,
    order: Order,
    tally: _Tally,
    tell: Callable[[Event], None],
) -> None:
    async for case in cases:
        if isinstance(case, Untried):
            tally.untried.append(case)
            continue
        tally.possible += 1
        if order.case is not None and not fnmatchcase(case.name, order.case):
            continue
        harm = await _play(case, stage, tally)
        tally.tried += 1
        if harm is not None:
            tally.harms.setdefault(case.cause, []).append((case, harm))
        tell(CaseTried(code=guarantee.code, case=case.name, broken=harm is not None))


async def _play(case: Case, stage: Stage, tally: _Tally) -> Harm | None:
    stage.begin_evidence()
    try:
        return await case.play()
    finally:
        tally.evidence[case.name] = stage.player.evidence.export(stage.redactor)


async def _finding(guarantee: Guarantee, stage: Stage, order: Order, cause: str, tally: _Tally) -> Finding:
    """One finding per cause; its first case is played once more in fresh processes (memory could have caused it)."""
    harms = tally.harms[cause]
    case, harm = harms[0]
    await stage.restart()
    again = await _play(case, stage, tally)
    path = _keep(guarantee, order, case, tally)
    return Finding(
        code=guarantee.code,
        fingerprint=hashlib.sha256(f"{guarantee.code}|{cause}|{'.'.join(harm.clause)}".encode()).hexdigest()[:16],
        severity=guarantee.severity,
        confidence=Confidence.PROVED,
        stability=Stability.DETERMINISTIC if again is not None else Stability.FLAKY,
        seen=stage.redactor.text(harm.seen),
        where=harm.where,
        clause=order.locate(harm.clause) if harm.clause else "",
        why=guarantee.why,
        do=guarantee.do,
        do_not=guarantee.do_not,
        replay=shlex.join(
            [
                *("holdtrue", "check", str(order.directory), "--only", guarantee.code),
                *("--case", _literal(case.name), "--seed", str(order.seed)),
            ]
        ),
        evidence=str(path),
        cases=[case.name for case, _ in harms],
    )


def _literal(name: str) -> str:
    """A pattern that matches just this name."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _keep(guarantee: Guarantee, order: Order, case: Case, tally: _Tally) -> Path:
    order.evidence.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(case.name.encode()).hexdigest()[:8]
    path = order.evidence / f"{guarantee.code}-{name}.json"
    kept = {"code": guarantee.code, "case": case.name, "seed": order.seed, "entries": tally.evidence[case.name]}
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    return path


def _why_not(tally: _Tally, order: Order) -> str:
    if tally.untried:
        return "; ".join(f"{untried.subject}: {untried.reason}" for untried in tally.untried)
    if order.case is not None and tally.possible:
        return f"no case matches {order.case!r}; there are {tally.possible} cases"
    return "the rehearsal found nothing to try"


def _result(
    guarantee: Guarantee,
    outcome: Outcome,
    started: float,
    tally: _Tally | None = None,
    *,
    reason: str = "",
    findings: list[Finding] | None = None,
    confidence: Confidence | None = None,
) -> Result:
    return Result(
        code=guarantee.code,
        place=guarantee.place,
        title=guarantee.title,
        outcome=outcome,
        confidence=confidence,
        reason=reason,
        findings=findings or [],
        tried=tally.tried if tally else 0,
        possible=tally.possible if tally else 0,
        seconds=round(time.monotonic() - started, 3),
    )
