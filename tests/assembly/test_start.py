"""The start of a composed app's process."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("before", ["enable", "disable"])
def test_what_is_imported_is_not_looked_through_for_garbage_and_later_garbage_is(before: str) -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import gc; gc.{before}(); import holdtrue.assembly; print(gc.isenabled(), gc.get_freeze_count() > 10**5)",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert told.split() == [str(before == "enable"), "True"]
