"""``holdtrue lock`` on a composed app, and what a check does with a lock that does not fit."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from holdtrue.check.composed import Derived, StaleLockError, derive, interpreter, verify
from holdtrue.cli.lock import BEGIN, END, Request, run
from holdtrue.contract.errors import UsageError
from holdtrue.contract.problems import DocumentErrors
from holdtrue.contract.project import read_project
from holdtrue.contract.reader import read

from . import composed


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diary with a lock that fits; not to be changed."""
    directory: Path = composed.diary(tmp_path_factory.mktemp("locked"))
    (directory / "AGENTS.md").write_text("# Diary\n\nOur own words.\n")
    assert run(Request(directory=directory))[0] == 0
    return directory


@pytest.fixture
def diary(locked: Path, tmp_path: Path) -> Path:
    """A diary with a lock, to be changed."""
    directory: Path = composed.diary(tmp_path)
    for name in ("holdtrue.lock", "AGENTS.md"):
        (directory / name).write_bytes((locked / name).read_bytes())
    return directory


# -- writing ----------------------------------------------------------------------------------------------------------


def test_a_lock_pins_modules_and_has_the_document(locked: Path) -> None:
    lock = json.loads((locked / "holdtrue.lock").read_text())
    assert lock["schema"] == 1
    assert lock["modules"]["doors"].keys() == {"distribution", "version", "contract", "digest", "source"}
    assert lock["modules"]["doors"]["distribution"] == "holdtrue"
    assert "distribution" not in lock["modules"]["diary"]
    assert lock["bindings"] == [{"target": "diary.page", "kind": "transform", "function": "diary.main:shout"}]
    assert list(lock["revisions"])[-1] != "runtime_0001"
    assert lock["document"]["routes"]["POST /pages"]["permission"] == "diary.write"


def test_the_index_stands_between_its_markers_and_leaves_the_apps_own_words(locked: Path) -> None:
    text = (locked / "AGENTS.md").read_text()
    assert text.startswith(f"# Diary\n\nOur own words.\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n")
    for thing in ("diary.page", "diary.write", "diary.page_written", "holdtrue check", "diary.main:assembly"):
        assert thing in text
    assert len(text.encode()) < 8 * 1024


def test_a_lock_that_fits_is_told_so_and_written_to_the_letter(diary: Path) -> None:
    (diary / "AGENTS.md").write_text((diary / "AGENTS.md").read_text() + "\nMore of our own.\n")
    before = [(diary / name).read_bytes() for name in ("holdtrue.lock", "AGENTS.md")]
    code, told = run(Request(directory=diary))
    assert (code, "fits as it is" in told) == (0, True)
    assert [(diary / name).read_bytes() for name in ("holdtrue.lock", "AGENTS.md")] == before


def test_half_an_index_is_not_guessed_at(diary: Path) -> None:
    (diary / "AGENTS.md").write_text((diary / "AGENTS.md").read_text().replace(END, ""))
    with pytest.raises(UsageError, match="one of the two markers"):
        run(Request(directory=diary))


def test_nobody_says_where_the_app_is_composed(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run(Request(directory=tmp_path))
    assert 'assembly = "shop.main:assembly"' in str(caught.value)


# -- comparing --------------------------------------------------------------------------------------------------------


async def _stale(directory: Path) -> str:
    """What a check says, which starts nothing before it has compared."""
    loaded = read(directory)
    with pytest.raises(StaleLockError) as caught:
        await verify(loaded, interpreter(directory, read_project(directory), None))
    assert caught.value.exit_code == 2
    return str(caught.value)


async def test_an_app_that_promises_something_else_has_a_stale_lock(diary: Path) -> None:
    composed.change(diary / "diary/main.py", '"/pages/{page_id}", access=READ', '"/pages/{page_id}", access=WRITE')
    told = await _stale(diary)
    assert 'routes."GET /pages/{page_id}".permission: "diary.read" → "diary.write"' in told
    assert "`holdtrue lock`" in told


async def test_what_is_found_about_a_composed_app_is_found_in_its_code(diary: Path) -> None:
    loaded = read(diary)
    assert str(loaded.locate(("routes", "POST /pages"))).startswith(str(diary / "holdtrue.lock"))
    await verify(loaded, sys.executable)
    for pointer, words in (
        (("routes", "POST /pages", "permission"), '@router.post("/pages"'),
        (("tenancy", "tables", "pages"), 'Table(name="pages")'),
        (("resources", "page"), '"page": Resource('),
    ):
        found = loaded.locate(pointer)
        assert found.file.is_relative_to(diary / "diary")
        assert words in found.file.read_text().splitlines()[found.line - 1]
    assert loaded.locate(("process", "ready")).file == diary / "holdtrue.lock"


async def test_other_code_with_the_same_promises_is_told_by_lock_and_holds_up_no_check(
    diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed.change(diary / "diary/main.py", 'page.text + "!"', 'page.text + "?"')
    loaded, before = read(diary), (diary / "holdtrue.lock").read_bytes()
    derived = await derive(diary, "diary.main:assembly", sys.executable)

    async def again(*_: object) -> Derived:
        return derived

    monkeypatch.setattr("holdtrue.check.composed.derive", again)
    await verify(loaded, sys.executable)
    code, told = await asyncio.to_thread(run, Request(directory=diary, check=True))
    assert code == 1
    assert "the app's own code: sha256:" in told
    assert (diary / "holdtrue.lock").read_bytes() == before


async def test_a_module_altered_where_it_is_installed_is_told(
    diary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = composed.install_weather(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    composed.change(diary / "diary/main.py", "from pathlib", "from weather.contract import Weather\nfrom pathlib")
    composed.change(diary / "diary/main.py", "compose(diary, Doors(),", "compose(diary, Weather(), Doors(),")
    await asyncio.to_thread(run, Request(directory=diary))
    pinned = json.loads((diary / "holdtrue.lock").read_text())["modules"]["weather"]
    assert (pinned["distribution"], pinned["version"], pinned["contract"]) == ("holdtrue-weather", "4.2", "2.1.0")
    composed.change(code, '"grey"', '"blue"')
    told = await _stale(diary)
    assert "module weather of holdtrue-weather 4.2: its code was altered where it is installed" in told
    assert "installed anew" in told


# -- apps that do not compose -----------------------------------------------------------------------------------------


def test_all_that_does_not_fit_together_is_told_at_once(diary: Path) -> None:
    main = diary / "diary/main.py"
    composed.change(
        main, "async def shout(unit: UnitOfWork, page: Page) -> Page:", "async def shout(unit, page: Page) -> None:"
    )
    composed.change(main, '@router.post("/diaries"', '@router.get("/health/live"')
    with pytest.raises(UsageError) as caught:
        run(Request(directory=diary, check=True))
    told = str(caught.value)
    for words in ("BINDING_TYPE", "diary.main:shout", "diary.page", "ROUTE_CLASH", "health and diary"):
        assert words in told


def test_an_app_that_reads_the_environment_as_it_is_imported_is_refused(
    diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_KEY", "set on this machine")
    composed.change(diary / "diary/main.py", "from pathlib", "import os\nos.environ['STRIPE_KEY']\nfrom pathlib")
    with pytest.raises(UsageError, match="cannot be imported") as caught:
        run(Request(directory=diary, check=True))
    assert "STRIPE_KEY" in str(caught.value)


def test_a_contract_whose_parts_do_not_fit_is_told_before_it_is_locked(diary: Path) -> None:
    composed.change(diary / "diary/contract.py", '"POST /pages", json_={"text": "{canary}"}', '"POST /pages/{nobody}"')
    with pytest.raises(DocumentErrors, match="nobody"):
        run(Request(directory=diary))


@pytest.mark.parametrize("text", ["{}", "not JSON", '{"schema": 2}'])
def test_a_lock_of_another_version_is_no_document(tmp_path: Path, text: str) -> None:
    (tmp_path / "holdtrue.lock").write_text(text)
    with pytest.raises(UsageError, match="is no lock of this version") as caught:
        read(tmp_path)
    assert "holdtrue lock" in str(caught.value)


def test_a_composed_app_without_a_lock_is_told_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.holdtrue]\nassembly = "shop.main:assembly"\n')
    with pytest.raises(DocumentErrors, match="`holdtrue lock`"):
        read(tmp_path)


def test_a_key_that_pyproject_must_not_have_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.holdtrue]\nasembly = "shop.main:assembly"\n')
    with pytest.raises(UsageError, match="asembly"):
        read_project(tmp_path)


def test_a_document_that_somebody_wrote_wins_over_a_lock(tmp_path: Path) -> None:
    (tmp_path / "holdtrue.lock").write_text("{}")
    (tmp_path / "holdtrue.toml").write_text('[app]\nname = "written"\n[process]\nasgi = "app:app"\n')
    assert read(tmp_path).document.app.name == "written"
