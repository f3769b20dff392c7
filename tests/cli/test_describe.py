"""``holdtrue describe``, as people and machines read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdtrue.cli.describe import run
from holdtrue.contract.errors import UsageError

from . import composed


@pytest.fixture(scope="module")
def diary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory: Path = composed.diary(tmp_path_factory.mktemp("described"))
    return directory


def test_in_an_apps_directory_its_own_hook_is_told_with_who_is_bound(diary: Path) -> None:
    told = run("diary.page", diary, as_json=False, python=None)
    assert "diary.page (transform): changes a page before it is kept" in told
    assert "bound here: diary.main:shout" in told
    assert "async def page(unit: UnitOfWork, payload: Page) -> Page:" in told


def test_elsewhere_the_modules_that_are_installed_are_told(tmp_path: Path) -> None:
    told = json.loads(run(None, tmp_path, as_json=True, python=None))
    assert {"audit", "auth", "email", "payments", "tenancy"} <= {each["name"] for each in told["modules"]}


def test_a_misspelt_name_is_told_the_one_that_is_meant(diary: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run("diray", diary, as_json=False, python=None)
    assert "did you mean `diary`" in str(caught.value)
