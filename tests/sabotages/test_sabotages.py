"""Each sabotage breaks one promise of a sound app; the check must find it, and by the guarantee it is made for."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rehearsing import EXAMPLES, report_of, told

from holdtrue.contract.words import Confidence, Outcome

HERE = Path(__file__).parent
OF_EXPRESS = {"note_read_without_team": "TEN042", "membership_from_token": "TEN045"}
PATCHES = [
    *((patch, "plainshop", _code) for patch in sorted((HERE / "plainshop").glob("*.patch"))
      for _code in [re.match(r"[a-z]+\d+", patch.name)[0].upper()]),
    *((EXAMPLES / "express-notes-sabotages" / f"{name}.patch", "express-notes", code)
      for name, code in OF_EXPRESS.items()),
]  # fmt: skip


@pytest.mark.parametrize(("patch", "app", "code"), PATCHES, ids=[patch.stem for patch, _, _ in PATCHES])
async def test_a_sabotage_is_found(patch: Path, app: str, code: str, tmp_path: Path) -> None:
    copy = shutil.copytree(
        EXAMPLES / app, tmp_path / app, ignore=shutil.ignore_patterns(".holdtrue", "node_modules", "__pycache__")
    )
    subprocess.run(["patch", "-p1", "--no-backup-if-mismatch", "-i", str(patch)], cwd=copy, check=True)
    report = await report_of(copy, only=(code,))
    (result,) = report.results
    assert result.outcome is Outcome.BROKEN, told(report.results)
    assert all(finding.confidence is Confidence.PROVED for finding in result.findings)
