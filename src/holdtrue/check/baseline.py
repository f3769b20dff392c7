"""Writes what is broken today as dated waivers, so that from now on only what is new fails (a baseline)."""

from __future__ import annotations

import getpass
import shutil
from datetime import date, timedelta
from pathlib import Path

import tomlkit
from tomlkit.container import Container
from tomlkit.items import AoT, Table

from holdtrue.check.waivers import breaks
from holdtrue.contract.document import Waiver
from holdtrue.contract.errors import UsageError
from holdtrue.contract.report import Report
from holdtrue.contract.words import Outcome

DAYS = 90
"""How long a baseline lasts: a quarter, by which what it accepts is mended or decided on again."""


def write_baseline(report: Report, file: Path, today: date) -> list[Waiver]:
    """Accept for now what the report found: write a dated waiver for each broken guarantee, of these findings alone.

    ``file`` is ``holdtrue.toml``, or a composed app's ``pyproject.toml``; what stands in it stays as it is. Returns
    what was written; nothing is, where nothing new is broken.

    Raises:
        UsageError: the file cannot be written.
    """
    broken = {
        result.code: [finding.fingerprint for finding in result.findings if breaks(finding)]
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
