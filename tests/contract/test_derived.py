"""A derived document's parts are found in the lock's text, in the app's code, and its waivers in pyproject.toml."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from holdtrue.contract.errors import UsageError
from holdtrue.contract.lock import Lock
from holdtrue.contract.problems import Position
from holdtrue.contract.reader import Loaded, fitted, read

LOCK = Lock.model_validate(
    {
        "schema": 1,
        "assembly": "pets.main:assembly",
        "source": "sha256:1",
        "runtime": {"version": "1", "source": "sha256:2"},
        "modules": {},
        "document": {
            "app": {"name": "pets"},
            "process": {"asgi": "pets.main:app"},
            "permissions": {"pets.see": "see pets", "pets.feed": ""},
            "routes": {"GET /pets": {"public": "everybody may see them"}},
        },
    }
)
WAIVER = """
[project]
name = "pets"

[[tool.holdtrue.waivers]]
code = "MAIL051"
reason = "receipts are resent by hand"
owner = "Payments team"
until = 2030-01-31
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "holdtrue.lock").write_text(LOCK.text)
    return tmp_path


def place(loaded: Loaded, *pointer: str | int) -> str:
    position = loaded.locate(pointer)
    return f"{position.file.name}:{position.line}:{position.column}"


def test_a_part_stands_where_its_line_of_the_lock_is(app: Path) -> None:
    loaded = read(app)
    lines = LOCK.text.splitlines()
    for pointer in (("permissions", "pets.feed"), ("routes", "GET /pets"), ("routes", "GET /pets", "public")):
        line = loaded.locate(pointer).line
        assert lines[line - 1].startswith(f'{"  " * (len(pointer) + 1)}"{pointer[-1]}"')
        assert loaded.locate(pointer).column == 2 * (len(pointer) + 1) + 1


def test_a_part_that_the_code_says_stands_there_and_so_does_all_below_it(app: Path) -> None:
    said = Position(file=app / "pets.py", line=7, column=1)
    loaded = fitted(LOCK, app / "holdtrue.lock", text=LOCK.text, places={("routes", "GET /pets"): said})
    assert place(loaded, "routes", "GET /pets", "public") == "pets.py:7:1"
    assert loaded.locate(("routes", "GET /pets", "public")).key == 'routes."GET /pets".public'
    assert place(loaded, "permissions").startswith("holdtrue.lock:")
    assert (loaded.source("GET /pets"), loaded.source("GET /pats")) == (str(said), "")


def test_a_lock_that_is_laid_out_otherwise_is_named_as_a_whole(app: Path) -> None:
    (app / "holdtrue.lock").write_text(LOCK.model_dump_json(by_alias=True, exclude_defaults=True))
    assert place(read(app), "routes", "GET /pets") == "holdtrue.lock:1:1"


def test_a_waiver_of_a_composed_app_stands_in_its_pyproject(app: Path) -> None:
    (app / "pyproject.toml").write_text(WAIVER)
    loaded = read(app, today=date(2030, 1, 31))
    assert [(each.code, each.owner) for each in loaded.document.waivers] == [("MAIL051", "Payments team")]
    assert loaded.lock == LOCK  # which has none: a waiver does not make it stale
    assert place(loaded, "waivers", 0, "until") == "pyproject.toml:9:1"


def test_a_waiver_that_expired_is_told_and_not_applied(app: Path) -> None:
    (app / "pyproject.toml").write_text(WAIVER)
    loaded = read(app, today=date(2030, 2, 1))
    assert loaded.document.waivers == []
    assert "pyproject.toml:9:1: waivers[0].until: the waiver of MAIL051 expired on 2030-01-31" in str(loaded.notes[0])


def test_a_waiver_without_an_owner_is_refused(app: Path) -> None:
    (app / "pyproject.toml").write_text(WAIVER.replace('owner = "Payments team"\n', ""))
    with pytest.raises(UsageError, match=r"waivers\.0\.owner: Field required"):
        read(app)
