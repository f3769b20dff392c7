"""`admit --check` with a real check: what is not held is not admitted, and what is held reaches traffic."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from gate.releases import World, refused

from holdtrue.gate.canonical import loads

DIARY = Path(__file__).parents[1] / "cli" / "diary"
MIGRATION, DOWN = "diary/migrations/diary_0001_pages.py", '    drop_table("pages")'


@pytest.fixture
def diary(deployed: World) -> World:
    """The composed diary in the place of the app."""
    for file in ("holdtrue.toml", "serve.py"):
        (deployed.app / file).unlink()
    shutil.copytree(DIARY, deployed.app, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    deployed.environ["DATABASE_OWNER_URL"] = deployed.environ["MIGRATION_DATABASE_URL"]
    return deployed


def admit(world: World) -> str:
    """From the lock to the admission."""
    world.run("lock", world.app)
    world.plan("--first")
    world.approve()
    return world.run("admit", world.plan_file, "--key", world.key("pipeline"), "--check")


@pytest.mark.full
def test_a_release_is_admitted_by_a_check_of_its_own_and_reaches_traffic(diary: World) -> None:
    diary.edit(MIGRATION, DOWN, "    pass")
    told = refused("NOT_HELD", lambda: admit(diary))
    assert "REL032" in told
    assert not diary.admission_file.exists()

    diary.edit(MIGRATION, "    pass", DOWN)
    assert "admitted diary" in admit(diary)
    (first, second) = sorted((diary.app / ".holdtrue" / "runs").iterdir())
    held = loads(diary.admission_file.read_bytes())["admission"]["held"]
    assert held["report"] == digest_of(second) != digest_of(first)
    assert held["summary"]["kept"] >= 6
    diary.apply_first()
    assert diary.run("ready", "--app", diary.app) == ""


def digest_of(run: Path) -> str:
    """What the run's own paper says of its report."""
    return str(loads((run / "subject.json").read_bytes())["report"])
