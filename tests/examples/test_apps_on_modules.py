"""The examples that are built on modules pass their own tests, each in an interpreter of its own."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def installed(site: Path) -> Path:
    """The third party's module, as pip would leave it in ``site``: with its entry point."""
    shutil.copytree(EXAMPLES / "thirdparty_module" / "holdtrue_flags", site / "holdtrue_flags")
    told = site / "holdtrue_flags-1.0.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: holdtrue-flags\nVersion: 1.0.0\n")
    (told / "entry_points.txt").write_text("[holdtrue.modules]\nflags = holdtrue_flags:Flags\n")
    return site


@pytest.mark.parametrize("name", ["thirdparty_module", pytest.param("shop", marks=pytest.mark.full)])
async def test_an_example_passes_its_own_tests(name: str, tmp_path: Path) -> None:
    here = Path(shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns(".holdtrue")))
    tests = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "tests"),
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(installed(tmp_path / "site"))},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await tests.communicate()
    assert tests.returncode == 0, said.decode()
