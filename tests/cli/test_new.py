"""``holdtrue new``: what it writes is sound, and nothing that exists is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from holdtrue.cli.new import TEMPLATE, run
from holdtrue.contract.errors import UsageError
from holdtrue.contract.reader import read


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a new app in it."""
    parent = tmp_path_factory.mktemp("new")
    told = run("acme_shop", parent)
    assert "holdtrue check" in told
    return parent


def test_a_new_app_is_locked_and_has_a_document(parent: Path) -> None:
    document = read(parent / "acme_shop").document
    assert document.app.name == "acme_shop"
    assert {"bookings.read", "bookings.write"} <= document.permissions.keys()
    assert "bookings" in document.tenancy.tables if document.tenancy else False
    assert {"owner", "clerk", "viewer"} <= document.principals.keys()


def test_nothing_of_the_template_is_left_in_it(parent: Path) -> None:
    files = [path for path in (parent / "acme_shop").rglob("*") if path.is_file()]
    assert {".gitignore", ".env.example", "AGENTS.md", "README.md", "holdtrue.lock"} <= {path.name for path in files}
    assert len([path for path in files if "__pycache__" not in path.parts]) == len(list(TEMPLATE.rglob("*-tpl"))) + 2
    assert [path for path in files if "appname" in path.read_text(errors="replace").lower()] == []
    assert list(parent.iterdir()) == [parent / "acme_shop"]


def test_a_new_app_is_clean_by_its_own_linter(parent: Path) -> None:
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."],
            cwd=parent / "acme_shop",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.full
def test_a_new_apps_tests_pass(parent: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=parent / "acme_shop",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My-Shop", "Such as `my_shop`"),
        ("7up", "a letter first"),
        ("a", "2 to 30"),
        ("class", "`class_app`"),
        ("json", "is taken"),
        ("pydantic", "is taken"),
        ("../x", "cannot name an app"),
    ],
)
def test_a_name_that_will_not_do_is_told(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(name, tmp_path)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="there is something at"):
        run("acme", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["acme", "mine"]


def test_an_app_that_cannot_be_locked_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run("acme", tmp_path, python=str(tmp_path / "no-python"))
    assert list(tmp_path.iterdir()) == []
