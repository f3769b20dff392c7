"""Where a report goes: an open stream, or a file that somebody named."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from holdtrue.contract.errors import UsageError


def refuse_missing(*targets: Path | None) -> None:
    """Refuse files in directories that do not exist, before a check that takes its time.

    Raises:
        UsageError: one of them could not be written in the end.
    """
    for target in targets:
        if target is not None and not target.absolute().parent.is_dir():
            raise UsageError(
                f"there is no directory {target.parent}",
                where=str(target),
                why="The report could not be written in the end.",
                do="Make the directory, or name another file.",
            )


def put(text: str, target: TextIO | Path) -> None:
    """Write a report to an open text stream or to a file.

    Raises:
        UsageError: the file cannot be written.
    """
    if not isinstance(target, Path):
        target.write(text)
        target.flush()
        return
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the report cannot be written: {error.strerror}",
            where=str(target),
            why="The check itself ended; its report is also kept in the app's .holdtrue directory.",
            do="Name a file in a directory that exists and is writable.",
        ) from error
