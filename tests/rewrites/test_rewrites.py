"""Each rewrite does what plainshop does in another way; the check must hold it, whatever way it is written in."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from rehearsing import EXAMPLES, report_of, told

from holdtrue.contract.words import Outcome, Verdict

HERE = Path(__file__).parent
PATCHES = sorted(HERE.glob("*.patch"))
ACCUSING = {Outcome.BROKEN, Outcome.ERRORED, Outcome.NOT_RUN}


def _rewritten(patch: Path, folder: Path) -> Path:
    left_out = shutil.ignore_patterns(".holdtrue", "__pycache__", ".pytest_cache")
    copy = shutil.copytree(EXAMPLES / "plainshop", folder / "plainshop", ignore=left_out)
    applied = subprocess.run(["git", "apply", "-p1", str(patch)], cwd=copy, capture_output=True, text=True, check=False)
    assert applied.returncode == 0, applied.stderr
    return copy


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_rewrite_applies_and_is_python(patch: Path, tmp_path: Path) -> None:
    for source in _rewritten(patch, tmp_path).rglob("*.py"):
        compile(source.read_text(), source, "exec")


@pytest.mark.full
@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_rewrite_is_held(patch: Path, tmp_path: Path) -> None:
    report = asyncio.run(report_of(_rewritten(patch, tmp_path)))
    assert not [result for result in report.results if result.outcome in ACCUSING], told(report.results)
    assert report.outcome is Verdict.HELD
