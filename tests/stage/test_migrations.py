"""Each way down of an app is taken by itself: with its tool's stepping command, in one process."""

from __future__ import annotations

from pathlib import Path

import pytest
from stepping import ONE, THREE, TWO, moving

from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.steps import StepFailedError


async def test_every_way_down_is_taken_in_one_process(tmp_path: Path) -> None:
    async with moving(tmp_path, ONE, TWO, THREE) as (mover, copy):
        assert await mover.ways() == ["one", "two", "three"]
        assert [await mover.left_by(way) for way in ("one", "two", "three")] == [[], [], []]
        assert await mover.left_by("two") == [], "a way can be taken again, out of order"
        assert (copy / "starts.txt").read_text().split() == ["up", "steps"]


async def test_what_a_way_down_leaves_is_laid_to_its_revision_alone(tmp_path: Path) -> None:
    forgetful = ("two", "CREATE INDEX by_id ON teams (id)", "SELECT 1")
    async with moving(tmp_path, ONE, forgetful, THREE) as (mover, _):
        assert await mover.ways() == ["one", "two", "three"]
        assert await mover.left_by("one") == []
        assert any("by_id" in line for line in await mover.left_by("two"))
        assert any("by_id" in line for line in await mover.left_by("two")), "and again, when it is confirmed"
        assert await mover.left_by("three") == []


async def test_a_way_down_that_fails_is_told_in_the_tools_own_words(tmp_path: Path) -> None:
    wrong = ("two", "CREATE INDEX by_id ON teams (id)", "DROP INDEX by_name")
    async with moving(tmp_path, ONE, wrong, THREE) as (mover, _):
        await mover.ways()
        with pytest.raises(HoldtrueError, match='down: index "by_name" does not exist'):
            await mover.left_by("two")
        assert await mover.left_by("three") == []


async def test_a_revision_that_the_stepping_command_keeps_quiet_about_is_noticed(tmp_path: Path) -> None:
    async with moving(tmp_path, ONE, TWO, THREE, quiet="two") as (mover, _):
        assert await mover.ways() == ["one", "three"]
        assert await mover.left_by("one") == []
        with pytest.raises(StepFailedError, match=r"ends at another schema than `process.migrate`.*by_id"):
            await mover.left_by("three")
