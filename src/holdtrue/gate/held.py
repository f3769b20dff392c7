"""The report of a check, and the source and document that it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from holdtrue.contract.report import Report
from holdtrue.contract.words import Outcome, Verdict, verdict
from holdtrue.gate.canonical import canonical, digest_bytes, loads, same
from holdtrue.gate.errors import GateRefusal
from holdtrue.gate.paper import Plan
from holdtrue.gate.state import Model

REPORT, SUBJECT = "report.json", "subject.json"
_CHECK = "Hold it first: holdtrue admit --check"


class Subject(Model):
    """What a report belongs to: written beside it by whoever ran the check, with the digests of before the run."""

    schema_: Literal["holdtrue/subject/1"] = Field(default="holdtrue/subject/1", alias="schema")
    report: str
    """SHA-256 of the report's bytes."""
    source: str
    document: str


class Held(Model):
    """A check that an admission rests on."""

    report: str
    source: str
    document: str
    seed: int
    summary: dict[str, int]
    out_of_scope: dict[str, str]


def bind(run: Path, before: dict[str, str], after: dict[str, str]) -> None:
    """Write down what the report in a run's directory belongs to.

    Raises:
        GateRefusal: CHANGED_MEANWHILE, the app changed while it was checked.
    """
    if before != after:
        raise GateRefusal(
            "CHANGED_MEANWHILE",
            "the app's files changed while it was checked",
            where=str(run),
            why="The report holds neither for what was there before nor for what is there now.",
            do="Leave the files alone, and check again.",
        )
    report = digest_bytes((run / REPORT).read_bytes())
    (run / SUBJECT).write_bytes(canonical(Subject(report=report, **before).as_json()) + b"\n")


def newest(directory: Path) -> Path:
    """The directory of the newest run that ended with a report.

    Raises:
        GateRefusal: NOT_CHECKED.
    """
    found = runs(directory)
    if not found:
        raise GateRefusal("NOT_CHECKED", "no check here has ended with a report", where=str(directory), do=_CHECK)
    return found[-1]


def runs(directory: Path) -> list[Path]:
    """The directories of the runs that ended with a report, oldest first."""
    return sorted(each.parent for each in (directory / ".holdtrue" / "runs").glob(f"*/{REPORT}"))


def held(run: Path, plan: Plan) -> Held:
    """What a run proves for a plan.

    Raises:
        GateRefusal: it does not hold the app, only a part was looked at, or it is about something else.
    """
    data, subject = _read(run, REPORT), _subject(run)
    try:
        report = Report.model_validate(loads(data), by_alias=True, by_name=False)
    except (ValidationError, ValueError):
        raise GateRefusal("NO_REPORT", "is no report of this version", where=str(run / REPORT), do=_CHECK) from None
    for what, claimed, actual in (
        ("report", subject.report, digest_bytes(data)),
        ("source", subject.source, plan.digests["source"]),
        ("document", subject.document, plan.digests["document"]),
    ):
        if not same(claimed, actual):
            raise GateRefusal(
                "REPORT_OF_SOMETHING_ELSE",
                f"the newest check was of another {what}: {claimed}, and not {actual}",
                where=str(run),
                do=_CHECK,
            )
    _refuse_unheld(report, run, plan)
    return Held(
        report=subject.report,
        source=subject.source,
        document=subject.document,
        seed=report.seed,
        summary=report.summary.model_dump(),
        out_of_scope=report.coverage.out_of_scope,
    )


def _refuse_unheld(report: Report, run: Path, plan: Plan) -> None:
    if report.narrowed:
        raise GateRefusal(
            "REPORT_NARROWED",
            f"the newest check looked at a part only ({report.narrowed})",
            where=str(run),
            why="What was left out may be broken.",
            do=_CHECK,
        )
    # Not what the report says of itself, but what its results say.
    worked_out = verdict([result.outcome for result in report.results])
    if report.outcome is not Verdict.HELD or worked_out is not Verdict.HELD:
        wrong = [
            f"{result.code} {result.outcome}"
            for result in report.results
            if result.outcome not in (Outcome.KEPT, Outcome.WAIVED, Outcome.NOT_PROMISED)
        ]
        raise GateRefusal(
            "NOT_HELD",
            f"the newest check says {worked_out if report.outcome is Verdict.HELD else report.outcome}: "
            f"{', '.join(wrong) or 'nothing was tried'}",
            where=str(run),
            why="What is not held breaks in production.",
            do="Mend what the report says, and check again.",
        )
    if report.app != plan.state.app:
        seen = f"the newest check was of {report.app!r}"
        raise GateRefusal("REPORT_OF_SOMETHING_ELSE", seen, where=str(run), do=_CHECK)


def _read(run: Path, name: str) -> bytes:
    try:
        return (run / name).read_bytes()
    except OSError:
        raise GateRefusal(
            "REPORT_UNBOUND",
            f"the newest check has no {name}",
            where=str(run),
            why="Nothing says which source and document it was about.",
            do=_CHECK,
        ) from None


def _subject(run: Path) -> Subject:
    try:
        return Subject.model_validate(loads(_read(run, SUBJECT)), by_alias=True, by_name=False)
    except (ValidationError, ValueError):
        raise GateRefusal("REPORT_UNBOUND", f"{SUBJECT} cannot be read", where=str(run), do=_CHECK) from None
