"""Where a run keeps its report, evidence and logs: ``.holdtrue/runs/<time>`` beside the document."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.report import Report

KEPT_RUNS = 10
"""Older runs are removed, so that an inner loop does not fill the disk."""


@dataclass(frozen=True)
class RunDirectory:
    """One run's files."""

    path: Path

    @classmethod
    def create(cls, app: Path) -> Self:
        """Make the directory of a new run, and drop the oldest ones.

        Raises:
            HoldtrueError: the directory cannot be written.
        """
        runs = app / ".holdtrue" / "runs"
        now = datetime.now(UTC)
        path = runs / f"{now:%Y%m%dT%H%M%S}-{now.microsecond:06d}"
        try:
            path.mkdir(parents=True)
            (runs.parent / ".gitignore").write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise HoldtrueError(
                f"the report cannot be kept: {error.strerror}",
                where=str(path),
                do="Make the app's directory writable, or free some disk space.",
            ) from error
        for old in sorted(entry for entry in runs.iterdir() if entry.is_dir())[:-KEPT_RUNS]:
            shutil.rmtree(old, ignore_errors=True)
        return cls(path)

    @property
    def logs(self) -> Path:
        """The app's own output, one file per process."""
        return self.path / "logs"

    @property
    def evidence(self) -> Path:
        """Evidence of the cases that showed harm."""
        return self.path / "evidence"

    def remove_if_empty(self) -> None:
        """Leave no directory behind of a run that came to nothing."""
        if self.path.exists() and not any(self.path.iterdir()):
            self.path.rmdir()

    def write(self, report: Report) -> None:
        """Write ``report.json``."""
        text = report.model_dump_json(by_alias=True, indent=1)
        try:
            (self.path / "report.json").write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise HoldtrueError(
                f"the report cannot be written: {error.strerror}", where=str(self.path), do="Free some disk space."
            ) from error
