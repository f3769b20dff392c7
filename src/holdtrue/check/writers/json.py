"""The report as JSON: the published schema (``holdtrue schema report``)."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from holdtrue.contract.errors import UsageError
from holdtrue.contract.report import Report


def dumps(report: Report) -> str:
    """Return the report as JSON text that ends in a newline."""
    return report.model_dump_json(by_alias=True, indent=1) + "\n"


def write(report: Report, target: TextIO | Path) -> None:
    """Write the report to an open text stream or to a file.

    Raises:
        UsageError: the file cannot be written.
    """
    if not isinstance(target, Path):
        target.write(dumps(report))
        target.flush()
        return
    try:
        target.write_text(dumps(report), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the report cannot be written: {error.strerror}",
            where=str(target),
            why="The check itself ended; its report is also kept in the app's .holdtrue directory.",
            do="Name a file in a directory that exists and is writable.",
        ) from error
