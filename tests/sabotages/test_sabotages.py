"""Each sabotage breaks one promise of a sound app; the check must find it, and by the guarantee it is made for."""

import asyncio
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from rehearsing import EXAMPLES, report_of, told

import holdtrue
from holdtrue.check.composed import StaleLockError
from holdtrue.cli.lock import Request, run
from holdtrue.contract.errors import HoldtrueError
from holdtrue.contract.lock import LOCK_NAME
from holdtrue.contract.report import Report
from holdtrue.contract.words import Confidence, Outcome

HERE = Path(__file__).parent
LEFT_OUT = shutil.ignore_patterns(".holdtrue", "node_modules", "__pycache__")
OF_EXPRESS = {"note_read_without_team": "TEN042", "membership_from_token": "TEN045"}
KNOWN_MISSES = {
    # Only a dispute's webhook sends that statement, and no journey of a document can lead to a dispute yet.
    "rel058b_dispute_upsert_without_index",
}
REFUSED = {
    "auth001b_route_past_the_guard": "ROUTE_OUTSIDE_THE_GUARD",
    "pay001b_second_endpoint_not_verified": "WEBHOOK_TWICE",
    "rel058b_product_without_its_column": "503",
}
"""What a composed app's author cannot do: refused by assembly, or by the app's own readiness, before it is tried."""


def _code(patch: Path) -> str:
    found = re.match(r"[a-z]+\d+", patch.name)
    assert found is not None, f"{patch.name} does not start with a guarantee's code"
    return found[0].upper()


PATCHES = [
    (patch, app, _code(patch)) for app in ("plainshop", "shop") for patch in sorted((HERE / app).glob("*.patch"))
]
PATCHES += [
    (EXAMPLES / "express-notes-sabotages" / f"{name}.patch", "express-notes", code) for name, code in OF_EXPRESS.items()
]


ALWAYS = {"PAY009", "TEN042", "REL032"}
"""A race, a leak and a migration; the hurried example shows one finding of each place beside them."""


def _marks(patch: Path, app: str) -> list[pytest.MarkDecorator]:
    """A few are tried always, and what another language needs; all of them in the long run."""
    second_face = re.match(r"[a-z]+\d+[b-z]_", patch.name)
    always = app == "express-notes" or (app == "plainshop" and _code(patch) in ALWAYS and not second_face)
    return [] if always else [pytest.mark.full]


@pytest.mark.parametrize(
    ("patch", "app", "code"),
    [pytest.param(*each, id=f"{each[1]}-{each[0].stem}", marks=_marks(*each[:2])) for each in PATCHES],
)
def test_a_sabotage_is_found(patch: Path, app: str, code: str, tmp_path: Path) -> None:
    copy = shutil.copytree(EXAMPLES / app, tmp_path / app, ignore=LEFT_OUT)
    python = None
    if "+++ b/holdtrue/" in patch.read_text():
        python = str(_altered(tmp_path / "environment", patch))
        with pytest.raises(StaleLockError, match="its code was altered where it is installed"):
            asyncio.run(report_of(copy, only=(code,), python=python))
    else:
        _apply(patch, copy)
    if patch.stem in REFUSED:
        with pytest.raises(HoldtrueError, match=REFUSED[patch.stem]):
            _locked_and_checked(copy, code, python)
        return
    report = _locked_and_checked(copy, code, python)
    (result,) = report.results
    if patch.stem in KNOWN_MISSES:
        assert result.outcome is Outcome.KEPT, "it is found now: take it off the list of known misses"
        return
    assert result.outcome is Outcome.BROKEN, told(report.results)
    assert all(finding.confidence is not Confidence.SUSPECT for finding in result.findings)


@pytest.mark.parametrize(
    ("patch", "app"), [pytest.param(*each[:2], id=f"{each[1]}-{each[0].stem}") for each in PATCHES]
)
def test_a_sabotage_applies(patch: Path, app: str) -> None:
    """Also those of the long run: they go stale unnoticed else."""
    altered = "+++ b/holdtrue/" in patch.read_text()
    beside = Path(holdtrue.__file__).parents[1] if altered else EXAMPLES / app
    below = beside.relative_to(EXAMPLES.parent)
    subprocess.run(
        ["git", "apply", "--check", "-p1", f"--directory={below}", str(patch)], cwd=EXAMPLES.parent, check=True
    )


def _locked_and_checked(directory: Path, code: str, python: str | None) -> Report:
    if (directory / LOCK_NAME).exists():
        assert run(Request(directory=directory, python=python))[0] == 0
    return asyncio.run(report_of(directory, only=(code,), python=python))


def _apply(patch: Path, directory: Path) -> None:
    subprocess.run(["git", "apply", "-p1", str(patch)], cwd=directory, check=True)


def _altered(place: Path, patch: Path) -> Path:
    """The interpreter of an environment in which somebody altered holdtrue where it is installed."""
    venv.create(place, symlinks=True)
    site = next(place.glob("lib/python*/site-packages"))
    shutil.copytree(Path(holdtrue.__file__).parent, site / "holdtrue", ignore=LEFT_OUT)
    installed = site / f"holdtrue-{holdtrue.__version__}.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(distribution("holdtrue").read_text("METADATA") or "")
    (installed / "top_level.txt").write_text("holdtrue\n")
    (site / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    _apply(patch, site)
    return place / "bin" / "python"
