"""What somebody has accepted for now: applied to results, and written for what is broken today (a baseline)."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import tomlkit
from tomlkit.container import Container
from tomlkit.items import AoT, Table

from holdtrue.contract.document import Document, Waiver
from holdtrue.contract.errors import UsageError
from holdtrue.contract.report import Finding, Report, Result
from holdtrue.contract.words import Confidence, Outcome

DAYS = 90
"""How long a baseline lasts: a quarter, by which what it accepts is mended or decided on again."""


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
    if any(_breaks(finding) for finding in found):
        return result
    return _waived(result, "; ".join(dict.fromkeys(finding.waived for finding in found if finding.waived)))


def write_baseline(report: Report, file: Path, today: date) -> list[Waiver]:
    """Accept for now what the report found: write a dated waiver for each broken guarantee, of these findings alone.

    ``file`` is ``holdtrue.toml``, or a composed app's ``pyproject.toml``; what stands in it stays as it is. Returns
    what was written; nothing is, where nothing new is broken.

    Raises:
        UsageError: the file cannot be written.
    """
    broken = {
        result.code: [finding.fingerprint for finding in result.findings if _breaks(finding)]
        for result in report.results
        if result.outcome is Outcome.BROKEN
    }
    written = [
        Waiver(
            code=code,
            reason=f"broken when the baseline of {today} was written",
            owner=getpass.getuser(),
            until=today + timedelta(days=DAYS),
            findings=findings,
        )
        for code, findings in broken.items()
        if findings
    ]
    try:
        if written:
            text = tomlkit.parse(file.read_text(encoding="utf-8"))
            waivers = _listed(text, file)
            for waiver in written:
                waivers.append(_table(waiver))
            # Beside it and renamed: a full disk must not cost somebody's document.
            unfinished = file.resolve().with_name(f"{file.name}.new")
            unfinished.write_text(tomlkit.dumps(text), encoding="utf-8")
            shutil.copymode(file, unfinished)
            unfinished.replace(file.resolve())
    except OSError as error:
        raise UsageError(
            f"the baseline cannot be written: {error.strerror}",
            where=str(file),
            do="Make the file writable; the report says what is broken.",
        ) from error
    return written


def _waived(result: Result, reason: str) -> Result:
    return result.model_copy(update={"outcome": Outcome.WAIVED, "reason": reason})


def _marked(finding: Finding, waivers: Iterable[Waiver]) -> Finding:
    """With the words of the waiver that accepts it."""
    for waiver in waivers:
        if not waiver.findings or finding.fingerprint in waiver.findings:
            return finding.model_copy(update={"waived": _words(waiver)})
    return finding


def _breaks(finding: Finding) -> bool:
    return finding.confidence is not Confidence.SUSPECT and not finding.waived


def _words(waiver: Waiver) -> str:
    return f"waived by {waiver.owner} until {waiver.until}: {waiver.reason}"


def _listed(document: tomlkit.TOMLDocument, file: Path) -> AoT:
    """The waivers in a file, as an array of tables to append to."""
    at: Container | Table = document
    if file.name == "pyproject.toml":
        for key in ("tool", "holdtrue"):
            at = at.setdefault(key, tomlkit.table(is_super_table=True))
    if "waivers" not in at:
        at.add(tomlkit.nl())
    waivers = at.setdefault("waivers", tomlkit.aot())
    if not isinstance(waivers, AoT):
        raise UsageError(
            "the waivers are written as one value",
            where=str(file),
            do="Write each as a [[waivers]] table, then try again.",
        )
    return waivers


def _table(waiver: Waiver) -> Table:
    table = tomlkit.table()
    for key, value in waiver.model_dump().items():
        table[key] = value
    return table
