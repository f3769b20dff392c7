"""``holdtrue ready``: the same as ``python -m holdtrue.gate.ready``."""

from __future__ import annotations

from pathlib import Path

from holdtrue.cli.extras import needs_extra
from holdtrue.gate import files, ready


def run(directory: Path, admission: Path | None, command: list[str], database: str | None) -> None:
    """Verify, and become the command.

    Raises:
        GateRefusal: what is here was not admitted or not applied.
    """
    with needs_extra("app"):
        ready.run(directory, admission or directory / files.ADMISSION, command, database)
