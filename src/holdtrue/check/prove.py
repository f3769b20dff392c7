"""Proves one guarantee on one stage: plays its cases, confirms what it saw in fresh processes, keeps the evidence."""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast

from holdtrue.check.events import CaseTried, Event
from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.report import Finding, Result
from holdtrue.contract.words import Confidence, Outcome, Stability
from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Tried, Unsampled, Untried
from holdtrue.stage import Stage
from holdtrue.stage.play import still_well
from holdtrue.stage.steps import RanOutError, StepFailedError

MOST_REASONS = 10
"""Reasons that are told of one guarantee; of more, their number and where they are."""


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
    source: Callable[[str], str]
    """Where the app's code has a route or a table; empty where that is not known."""


@dataclass
class _Tally:
    tried: int = 0
    possible: int = 0
    harms: dict[str, list[tuple[Case, Harm]]] = field(default_factory=dict)
    evidence: dict[str, list[object]] = field(default_factory=dict)
    untried: list[Untried] = field(default_factory=list)
    absent: str = ""
    """Why the running app has no such thing."""
    failed: str = ""
    """How the proof itself failed."""


async def prove(guarantee: Guarantee, stage: Stage, order: Order, tell: Callable[[Event], None]) -> Result:
    """Return what its rehearsal came to. Never raises but for cancellation: what fails is an outcome."""
    started = time.monotonic()
    if not guarantee.subjects(stage.document):
        return _result(guarantee, Outcome.NOT_PROMISED, started, reason="the document declares nothing it is about")
    tally = _Tally()
    with _edge("what was left to try", guarantee, stage, tally):
        await _play_all(guarantee, stage, order, tally, tell)
    # What was seen before something went wrong was seen all the same.
    if tally.harms:
        with _edge("fresh processes", guarantee, stage, tally):
            await stage.restart()  # once for all: what the cases left in memory is gone
    findings = [await _finding(guarantee, stage, order, cause, tally) for cause in tally.harms]
    reason = stage.redactor.text(_why_not(tally, order))
    if findings:
        return _result(
            guarantee, Outcome.BROKEN, started, tally, reason=reason, findings=findings, confidence=Confidence.PROVED
        )
    if tally.failed:
        return _result(guarantee, Outcome.ERRORED, started, tally, reason=reason)
    if tally.absent and not tally.untried and not tally.possible:
        return _result(guarantee, Outcome.NOT_PROMISED, started, tally, reason=stage.redactor.text(tally.absent))
    if tally.untried or not tally.tried:
        return _result(guarantee, Outcome.NOT_RUN, started, tally, reason=reason)
    return _result(guarantee, Outcome.KEPT, started, tally, confidence=Confidence.PROVED)


@contextmanager
def _edge(doing: str, guarantee: Guarantee, stage: Stage, tally: _Tally) -> Iterator[None]:
    """The named edge of the check: what goes wrong in one proof is part of its result, and must not end the others."""
    try:
        yield
    except HoldtrueError as error:
        stage.distrust()
        tally.untried.append(Untried(subject=doing, reason=str(error)))
    except Exception as error:  # noqa: BLE001
        stage.distrust()
        stage.setting.keep_traceback(guarantee.code, error)
        tally.failed = f"the proof itself failed: {type(error).__name__}: {error}"


async def _play_all(
    guarantee: Guarantee, stage: Stage, order: Order, tally: _Tally, tell: Callable[[Event], None]
) -> None:
    if guarantee.rehearse is None:
        return
    rehearsal = cast("AsyncGenerator[Tried, None]", guarantee.rehearse(stage))
    async with aclosing(rehearsal) as cases:  # closed here: what a rehearsal started ends before the next one begins
        async for case in cases:
            if isinstance(case, Untried):
                tally.untried.append(case)
                continue
            if isinstance(case, Unsampled):
                tally.possible += case.count
                continue
            if isinstance(case, Absent):
                tally.absent = case.reason
                continue
            tally.possible += 1
            if order.case is not None and not fnmatchcase(case.name, order.case):
                continue
            try:
                harm = await _play(case, stage, tally)
            except StepFailedError as error:
                stage.distrust()
                tally.untried.append(Untried(subject=case.name, reason=str(error)))
                continue
            tally.tried += 1
            if harm is not None:
                tally.harms.setdefault(case.cause, []).append((case, harm))
            tell(CaseTried(code=guarantee.code, case=case.name, broken=harm is not None))
    _note_ran_out(stage, tally)


async def _play(case: Case, stage: Stage, tally: _Tally) -> Harm | None:
    stage.begin_evidence()
    stage.doubt = None
    _note_ran_out(stage, tally)
    harm = await case.play()
    if (ended := stage.player.ran_out) is not None:
        stage.player.ran_out = None
        raise RanOutError(ended)  # neither a refusal nor what differs from one before proves anything
    if harm is not None:
        tally.evidence[case.name] = stage.player.evidence.export(stage.redactor)
    elif stage.doubt is not None:
        await still_well(stage, stage.doubt)
    return harm


def _note_ran_out(stage: Stage, tally: _Tally) -> None:
    """Whoever was refused between two cases, for a token that had run out, may have been what the proof learns from."""
    ended, stage.player.ran_out = stage.player.ran_out, None
    if ended is not None and not any(ended in each.reason for each in tally.untried):
        tally.untried.append(Untried(subject="what cases are compared with", reason=str(RanOutError(ended))))


async def _again(case: Case, guarantee: Guarantee, stage: Stage, tally: _Tally) -> Stability | None:
    """Play a harmful case once more, in processes that are fresh; None when that cannot be done."""
    with _edge(f"{case.name}, once more", guarantee, stage, tally):
        harm = await _play(case, stage, tally)
        return Stability.FLAKY if harm is None else Stability.DETERMINISTIC
    return None


async def _finding(guarantee: Guarantee, stage: Stage, order: Order, cause: str, tally: _Tally) -> Finding:
    """One finding per cause; its first case is played once more."""
    harms = tally.harms[cause]
    case, harm = harms[0]
    stability = await _again(case, guarantee, stage, tally)
    path = _keep(guarantee, stage, order, case, tally)
    return Finding(
        code=guarantee.code,
        fingerprint=fingerprint(guarantee.code, cause, harm.clause),
        severity=guarantee.severity,
        confidence=Confidence.PROVED,
        stability=stability,
        seen=stage.redactor.text(harm.seen),
        where=harm.where,
        source=order.source(harm.where),
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
        evidence=path,
        cases=[case.name for case, _ in harms],
    )


def fingerprint(code: str, cause: str, clause: tuple[str, ...]) -> str:
    """What a finding is known by over runs and moved lines."""
    return hashlib.sha256(f"{code}|{cause}|{'.'.join(clause)}".encode()).hexdigest()[:16]


def _literal(name: str) -> str:
    """A pattern that matches just this name."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _keep(guarantee: Guarantee, stage: Stage, order: Order, case: Case, tally: _Tally) -> str:
    """Write the evidence and return where; nothing where it cannot be written: the finding stands without it."""
    name = hashlib.sha256(case.name.encode()).hexdigest()[:8]
    path = order.evidence / f"{guarantee.code}-{name}.json"
    kept = {"code": guarantee.code, "case": case.name, "seed": order.seed, "entries": tally.evidence[case.name]}
    try:
        order.evidence.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(kept, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    except OSError as error:
        stage.setting.notes.add(f"evidence of {guarantee.code} could not be kept in {order.evidence}: {error.strerror}")
        return ""
    return str(path)


def _why_not(tally: _Tally, order: Order) -> str:
    reasons = [tally.failed] if tally.failed else []
    reasons += [
        each.reason if each.reason.startswith(f"{each.subject}: ") else f"{each.subject}: {each.reason}"
        for each in tally.untried
    ]
    reasons = list(dict.fromkeys(reasons))  # several parts of a proof may have failed at the same thing
    if (more := len(reasons) - MOST_REASONS) > 0:
        named = list(dict.fromkeys(each.subject for each in tally.untried))[-more:]
        others = f"{', '.join(named[:MOST_REASONS])}{', …' if len(named) > MOST_REASONS else ''}"
        reasons = [*reasons[:MOST_REASONS], f"and {more} more that could not be tried: {others}"]
    if not reasons and not tally.tried:
        if order.case is not None and tally.possible:
            return f"no case matches {order.case!r}; there are {tally.possible} cases"
        return "the rehearsal found nothing to try"
    return "\n".join(reasons)


def unproved(guarantee: Guarantee, outcome: Outcome, reason: str) -> Result:
    """The result of a guarantee that was not tried."""
    return _result(guarantee, outcome, time.monotonic(), reason=reason)


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
