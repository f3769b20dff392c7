"""Checks that are interrupted, killed, run side by side, or find no room: nothing outlives them, and all say why."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from misfortune import World

AT_THE_DOOR = "import os, signal\nwith open({door!r}, 'w') as door:\n    door.write('here')\nsignal.pause()\n"

# -- ended from outside -----------------------------------------------------------------------------------------------


def phase(world: World, name: str) -> None:
    """Let the check come as far as this phase, and no further."""
    script = AT_THE_DOOR.format(door=str(world.door))
    match name:
        case "installing":
            del world.app.process["python"]
            world.app.process["install"] = ["{python}", "-c", script]
        case "migrating":
            world.app.files["migrate.py"] = script
        case "setting the scene":
            world.app.trick("waiting in the scene")
        case "proving":
            world.app.trick("waiting in a proof")


PHASES = [
    pytest.param("installing", signal.SIGINT, marks=pytest.mark.full),
    ("installing", signal.SIGTERM),
    ("migrating", signal.SIGINT),
    pytest.param("migrating", signal.SIGTERM, marks=pytest.mark.full),
    pytest.param("setting the scene", signal.SIGINT, marks=pytest.mark.full),
    ("setting the scene", signal.SIGTERM),
    ("proving", signal.SIGINT),
    pytest.param("proving", signal.SIGTERM, marks=pytest.mark.full),
]


@pytest.mark.parametrize(("name", "number"), PHASES, ids=lambda each: getattr(each, "name", each))
def test_a_check_that_is_interrupted_ends_all_it_started(world: World, name: str, number: signal.Signals) -> None:
    phase(world, name)
    running = world.start_up_to_the_door("--only", "AUTH001")
    assert world.processes()
    running.signal(number)
    done = running.end()
    assert done.code == 3
    assert done.out.endswith("holdtrue: interrupted; nothing was decided\n")
    assert "Traceback" not in done.out
    world.assert_clean()


def test_a_check_that_is_killed_leaves_no_process_and_the_next_one_removes_its_scratch(world: World) -> None:
    phase(world, "proving")
    running = world.start_up_to_the_door("--only", "AUTH001")
    assert len(world.processes()) > 3
    running.process.kill()
    assert running.end().code == -signal.SIGKILL
    world.until_gone()
    (left,) = world.directories()
    assert Path(left).name.startswith("holdtrue-")
    world.app.files["settings.py"] = "KEY = 'sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc'\n"
    assert world.check().code == 2, "refused after the scratch was made"
    world.assert_clean()


def test_two_checks_of_one_app_at_once_do_not_touch_each_other(world: World) -> None:
    first, second = world.start("--only", "AUTH001"), world.start("--only", "AUTH001")
    assert [first.end().code, second.end().code] == [0, 0]
    assert len(list((world.app.directory / ".holdtrue" / "runs").glob("*/report.json"))) == 2


# -- no room ----------------------------------------------------------------------------------------------------------


def in_small_rooms(**sizes: str) -> dict[str, Any]:
    """Run a check where directories are as small as that, or cannot be written (``ro``), for it alone."""
    mounts = [
        f"mount --bind {place} {place} && mount -o remount,bind,ro {place}"
        if size == "ro"
        else f"mount -t tmpfs -o size={size} tmpfs {place}"
        for place, size in sizes.items()
    ]
    under = ["unshare", "--mount", "sh", "-c", " && ".join([*mounts, 'exec "$0" "$@"'])]
    return {"under": under}


def can_mount() -> bool:
    try:
        tried = subprocess.run(
            ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return tried.returncode == 0


needs_mounts = pytest.mark.skipif(not can_mount(), reason="a full disk is made with unshare(1) and mount(8), as root")


@needs_mounts
def test_no_room_for_the_copy_of_the_app_is_told(world: World) -> None:
    done = world.check("--only", "AUTH001", **in_small_rooms(**{str(world.scratch): "8k"}))
    assert done.code == 3
    assert "No space left on device" in done.err
    assert "TMPDIR" in done.err
    assert "Traceback" not in done.err


@needs_mounts
def test_no_room_for_the_database_is_told(world: World) -> None:
    done = world.check("--only", "AUTH001", **in_small_rooms(**{str(world.scratch): "12m", "/dev/shm": "32m"}))
    assert done.code == 3
    assert "No space left on device" in done.err
    assert "Traceback" not in done.err


@needs_mounts
def test_no_room_for_clones_of_the_database_is_told(world: World) -> None:
    done = world.check("--only", "AUTH001", **in_small_rooms(**{str(world.scratch): "72m", "/dev/shm": "32m"}))
    assert done.code == 3
    assert "the disk is full" in done.err
    assert "every scenario needs a copy of the app's database" in done.err


@needs_mounts
def test_no_room_for_the_report_is_told(world: World) -> None:
    kept = world.app.directory / ".holdtrue"
    kept.mkdir(parents=True)
    done = world.check("--only", "AUTH001", **in_small_rooms(**{str(kept): "4k"}))
    assert done.code == 3
    assert "the report cannot be written: No space left on device" in done.err
    assert "HELD" not in done.out


@needs_mounts
def test_an_app_that_cannot_be_written_is_told_before_anything_starts(world: World) -> None:
    world.app.write()
    done = world.check("--only", "AUTH001", **in_small_rooms(**{str(world.app.directory): "ro"}))
    assert done.code == 3
    assert "the report cannot be kept: Read-only file system" in done.err
    assert "starting PostgreSQL" not in done.out


def test_a_place_for_reports_that_is_none_is_told_before_anything_starts(world: World) -> None:
    world.app.write()
    (world.app.directory / ".holdtrue").write_text("a file, where the directory would be", encoding="utf-8")
    done = world.check("--only", "AUTH001")
    assert done.code == 3
    assert "the report cannot be kept" in done.err
    assert "starting PostgreSQL" not in done.out
