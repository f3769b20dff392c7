"""Each sabotage breaks one promise of a sound app; the check must find it, and by the guarantee it is made for."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rehearsing import EXAMPLES, report_of, told

from holdtrue.contract.words import Confidence, Outcome

HERE = Path(__file__).parent
OF_EXPRESS = {"note_read_without_team": "TEN042", "membership_from_token": "TEN045"}
KNOWN_MISSES = {
    # Only a dispute's webhook sends that statement, and no journey of a document can lead to a dispute yet.
    "rel058b_dispute_upsert_without_index",
}


def _code(patch: Path) -> str:
    found = re.match(r"[a-z]+\d+", patch.name)
    assert found is not None, f"{patch.name} does not start with a guarantee's code"
    return found[0].upper()


PATCHES = [(patch, "plainshop", _code(patch)) for patch in sorted((HERE / "plainshop").glob("*.patch"))]
PATCHES += [
    (EXAMPLES / "express-notes-sabotages" / f"{name}.patch", "express-notes", code) for name, code in OF_EXPRESS.items()
]


def _marks(patch: Path) -> list[pytest.MarkDecorator]:
    """A second face of a fault (``ten042b``) is tried in the long run; the first of each code always."""
    return [pytest.mark.full] if re.match(r"[a-z]+\d+[b-z]_", patch.name) else []


@pytest.mark.parametrize(
    ("patch", "app", "code"), [pytest.param(*each, id=each[0].stem, marks=_marks(each[0])) for each in PATCHES]
)
def test_a_sabotage_is_found(patch: Path, app: str, code: str, tmp_path: Path) -> None:
    left_out = shutil.ignore_patterns(".holdtrue", "node_modules", "__pycache__")
    copy = shutil.copytree(EXAMPLES / app, tmp_path / app, ignore=left_out)
    subprocess.run(["git", "apply", "-p1", str(patch)], cwd=copy, check=True)
    report = asyncio.run(report_of(copy, only=(code,)))
    (result,) = report.results
    if patch.stem in KNOWN_MISSES:
        assert result.outcome is Outcome.KEPT, "it is found now: take it off the list of known misses"
        return
    assert result.outcome is Outcome.BROKEN, told(report.results)
    assert all(finding.confidence is Confidence.PROVED for finding in result.findings)
