"""The report as text: what was found, most blocking first, and what was left out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdtrue.contract.report import Finding, Report, Result
from holdtrue.contract.words import Confidence, Outcome, Place, Severity, Stability, Verdict

OUTCOME_WORDS = {
    Outcome.KEPT: "kept",
    Outcome.BROKEN: "BROKEN",
    Outcome.NOT_RUN: "not run",
    Outcome.NOT_PROMISED: "not promised",
    Outcome.WAIVED: "waived",
    Outcome.ERRORED: "ERRORED",
}
OUTCOME_STYLES = {
    Outcome.KEPT: "green",
    Outcome.BROKEN: "bold red",
    Outcome.NOT_RUN: "yellow",
    Outcome.NOT_PROMISED: "dim",
    Outcome.WAIVED: "magenta",
    Outcome.ERRORED: "bold yellow",
}
_VERDICT_STYLES = {Verdict.HELD: "bold green", Verdict.BROKEN: "bold red", Verdict.UNDECIDED: "bold yellow"}

CONFIDENCE_WORDS = {
    Confidence.PROVED: "proved: a rehearsal made it happen",
    Confidence.CERTAIN: "certain: the source and the document show it",
    Confidence.SUSPECT: "suspect: no rehearsal has shown it; it does not count against the app",
}
STABILITY_WORDS = {
    Stability.DETERMINISTIC: "happened again in fresh processes",
    Stability.FLAKY: "did not happen again in fresh processes: it depends on timing or memory",
}
NOT_DECIDED = (Outcome.NOT_RUN, Outcome.ERRORED)

_LABEL_WIDTH = 11
_CASES_SHOWN = 3
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Replace control characters: what an app answered must not move the cursor of who reads it."""
    return _CONTROL.sub("�", text.replace("\r\n", "\n"))


def counted(number: int, noun: str) -> str:
    """Return "1 case", "2 cases"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def most_blocking_first(results: Iterable[Result]) -> list[tuple[Result, Finding]]:
    """Return the findings that are not waived: what breaks the verdict first, then the worst, then the surest."""
    found = [(result, finding) for result in results for finding in result.findings if not _is_waived(result, finding)]

    def rank(pair: tuple[Result, Finding]) -> tuple[bool, int, int, bool, str]:
        finding = pair[1]
        return (
            finding.confidence is Confidence.SUSPECT,
            list(Severity).index(finding.severity),
            list(Confidence).index(finding.confidence),
            finding.stability is Stability.FLAKY,
            finding.code,
        )

    return sorted(found, key=rank)


def _is_waived(result: Result, finding: Finding) -> bool:
    return result.outcome is Outcome.WAIVED or bool(finding.waived)


def write_report(console: Console, report: Report) -> None:
    """Print everything but the verdict."""
    found = most_blocking_first(report.results)
    if found:
        _heading(console, f"{counted(len(found), 'finding')}, most blocking first")
        for number, (result, finding) in enumerate(found, 1):
            _finding(console, number, result, finding)
    _reasons(console, "Not decided: promised, but no proof could be carried out", report.results, NOT_DECIDED)
    _reasons(
        console, "Waived: broken or not run, and accepted for now", map(waived_part, report.results), (Outcome.WAIVED,)
    )
    _places(console, report)
    _coverage(console, report)
    _list(console, "Notes: what weakens this check or its document", report.notes)
    _list(console, "Refused calls to the outside: the app tried to reach these, and nothing left the machine",
          report.egress)  # fmt: skip
    _list(console, "Not modelled: the app asked a double for these, and the double does not know them",
          report.unmodelled)  # fmt: skip
    _list(console, "Not compared: columns whose values differ between equal runs, such as times and random ids",
          report.noise)  # fmt: skip


def write_verdict(console: Console, report: Report, directory: Path | None = None) -> None:
    """Print the verdict in one line, and where the report is kept."""
    console.print()
    if directory is not None:
        console.print(Text(f"Report, evidence and logs: {directory}", style="dim"), soft_wrap=True)
    line = Text(report.outcome.upper(), style=_VERDICT_STYLES[report.outcome])
    line.append(f": {verdict_words(report)}", style="not bold default")
    console.print(line, soft_wrap=True)


def verdict_words(report: Report) -> str:
    """Return what the verdict means, in one sentence and a few words more."""
    summary = report.summary
    undecided = summary.not_run + summary.errored
    promised = summary.kept + summary.broken + summary.waived + undecided
    if report.outcome is Verdict.HELD:
        if summary.waived:
            words = f"the app keeps {summary.kept} of the {counted(promised, 'guarantee')} it promises"
        else:
            words = "the app keeps the one guarantee" if promised == 1 else f"the app keeps all {promised} guarantees"
            words += " it promises"
    elif report.outcome is Verdict.BROKEN:
        words = f"{summary.broken} of the {counted(promised, 'guarantee')} the app promises " + (
            "is broken" if summary.broken == 1 else "are broken"
        )
        words += f", {undecided} not decided" if undecided else ""
    elif not promised:
        words = "the app promises none of the chosen guarantees, so nothing was tried"
    else:
        words = f"{undecided} of the {counted(promised, 'guarantee')} the app promises could not be decided"
    words += f", {summary.waived} waived" if summary.waived else ""
    left_out = len(report.coverage.out_of_scope)
    if left_out:
        words += f", {left_out} {'route or table' if left_out == 1 else 'routes and tables'} out of scope"
    words += f" ({report.seconds:.0f} s)."
    if report.narrowed:
        words += f" Narrowed by {plain(report.narrowed)}: the rest was not looked at."
    return words


def _heading(console: Console, words: str) -> None:
    console.print()
    console.print(Text(words, style="bold"), soft_wrap=True)


def _finding(console: Console, number: int, result: Result, finding: Finding) -> None:
    console.print()
    head = Text(f"{number}. {finding.code}  ", style="bold red")
    head.append(plain(result.title), style="bold")
    head.append(f"  [{finding.severity}]", style="red")
    console.print(head, soft_wrap=True)
    sure = [CONFIDENCE_WORDS[finding.confidence]]
    if finding.stability is not None:
        sure.append(STABILITY_WORDS[finding.stability])
    fields = [
        ("seen", finding.seen),
        ("where", f"{finding.where} ({finding.source})" if finding.source else finding.where),
        ("promised", finding.clause),
        ("how sure", "; ".join(sure)),
        ("why", finding.why),
        ("do", finding.do),
        ("do not", finding.do_not),
        ("cases", _cases(finding.cases)),
    ]
    for label, text in fields:
        _field(console, label, text)
    # Commands and paths are never wrapped: they are copied.
    _field(console, "try again", finding.replay, wrap=False)
    _field(console, "evidence", finding.evidence, wrap=False)


def _cases(cases: Sequence[str]) -> str:
    if len(cases) < 2:
        return ""
    more = len(cases) - _CASES_SHOWN
    shown = "; ".join(cases[:_CASES_SHOWN])
    return f"{len(cases)} showed it: {shown}" + (f"; and {more} more in the report" if more > 0 else "")


def _field(console: Console, label: str, text: str, *, wrap: bool = True) -> None:
    if not text:
        return
    lines = plain(text).splitlines()
    if wrap:
        width = max(20, console.width - 3 - _LABEL_WIDTH)
        lines = [part for line in lines for part in _wrapped(line, width)]
    for index, line in enumerate(lines):
        row = Text("   ")
        row.append(f"{'' if index else label:<{_LABEL_WIDTH}}", style="cyan")
        console.print(row.append(line), soft_wrap=True)


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]


def _reasons(console: Console, heading: str, results: Iterable[Result], outcomes: Sequence[Outcome]) -> None:
    chosen = [result for result in results if result.outcome in outcomes]
    if not chosen:
        return
    _heading(console, heading)
    for result in chosen:
        head = Text(f"   {result.code}  {plain(result.title)}  ")
        head.append(f"[{OUTCOME_WORDS[result.outcome].lower()}]", style=OUTCOME_STYLES[result.outcome])
        console.print(head, soft_wrap=True)
        _field(console, "reason", result.reason or "no reason was given")
        for finding in result.findings if result.outcome is Outcome.WAIVED else ():
            _field(console, "seen", finding.seen)


def waived_part(result: Result) -> Result:
    """A guarantee of which some findings are accepted, as if it had no others."""
    findings = [finding for finding in result.findings if finding.waived]
    if result.outcome is not Outcome.BROKEN or not findings:
        return result
    reason = "; ".join(dict.fromkeys(finding.waived for finding in findings))
    return result.model_copy(update={"outcome": Outcome.WAIVED, "findings": findings, "reason": reason})


def _places(console: Console, report: Report) -> None:
    """How many guarantees of each place ended how."""
    _heading(console, "By place")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("   place")
    for outcome in Outcome:
        table.add_column(OUTCOME_WORDS[outcome].lower(), justify="right")
    for place in Place:
        outcomes = [result.outcome for result in report.results if result.place is place]
        if outcomes:
            counts = [outcomes.count(outcome) for outcome in Outcome]
            cells = [
                Text(str(count) if count else "·", style=OUTCOME_STYLES[outcome] if count else "dim")
                for outcome, count in zip(Outcome, counts, strict=True)
            ]
            table.add_row(f"   {place}", *cells)
    console.print(table)


def _coverage(console: Console, report: Report) -> None:
    routes = report.coverage.routes
    _heading(console, f"Coverage: {routes.reached} of {counted(routes.total, 'declared route')} reached")
    for subject, reason in report.coverage.out_of_scope.items():
        console.print(Text(plain(f"   out of scope, not tried: {subject}: {reason}")), soft_wrap=True)


def _list(console: Console, heading: str, items: Sequence[str]) -> None:
    if items:
        _heading(console, heading)
        for item in items:
            console.print(Text(f"   {plain(item)}"), soft_wrap=True)
