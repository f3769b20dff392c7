"""Revisions are taken on tables that have rows, whatever tool takes them; a way up that fails on rows is told apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from stepping import moving

from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.climb import Climb
from holdtrue.stage.database import Catalog, Snapshot, catalog_of
from holdtrue.stage.migrations import CommandMover
from holdtrue.stage.scene import Scene

Step = tuple[str, str, str]
ORDERS = ("one", "CREATE TABLE orders (id int PRIMARY KEY, note text)", "DROP TABLE orders")
DROP = "ALTER TABLE orders DROP COLUMN channel"
REQUIRED = ("two", "ALTER TABLE orders ADD COLUMN channel text NOT NULL", DROP)
FILLED = (
    "two",
    "ALTER TABLE orders ADD COLUMN channel text; UPDATE orders SET channel = note; "
    "ALTER TABLE orders ALTER COLUMN channel SET NOT NULL",
    DROP,
)
ROW = {"id": 1, "note": "by telephone"}


@asynccontextmanager
async def climbing(folder: Path, *steps: Step, rows: Any = (), one_by_one: bool = True) -> AsyncIterator[Climb]:
    async with moving(folder, *steps) as (mover, _):
        setting = mover._setting
        told = setting.document.migrations
        assert told is not None
        setting.mover = mover if one_by_one else CommandMover(setting, told)
        clone = await setting.databases.clone(setting.base)
        async with await setting.cluster.admin(clone) as connection:
            catalog = await catalog_of(connection)
        await setting.databases.drop(clone)
        climb = Climb(setting=setting, told=told, scene=cast(Scene, SceneOf(catalog, rows)))
        try:
            yield climb
        finally:
            await climb.leave()


class SceneOf:
    """As much of a scene as a climb asks for."""

    def __init__(self, catalog: Catalog, rows: Any) -> None:
        self.catalog = catalog
        none = dict.fromkeys(catalog.tables, ())
        self.rows = Snapshot(rows=none | {"public.orders": tuple({"channel": None} | row for row in rows)})


async def test_a_required_column_is_refused_on_a_row_and_named(tmp_path: Path) -> None:
    last = ("three", "ALTER TABLE orders ADD COLUMN paid boolean NOT NULL DEFAULT false", "SELECT 1")
    async with climbing(tmp_path, ORDERS, REQUIRED, last) as climb:
        assert await climb.order() == ["one", "two", "three"]
        for _ in ("at first", "when it is confirmed"):
            refusal = await climb.onto("two", make=True)
            assert refusal is not None
            assert refusal.required == ("orders", "channel")
        assert await climb.onto("three", make=True) is None, "what comes after it can still be tried"


async def test_it_is_refused_by_a_tool_that_goes_all_the_way_too(tmp_path: Path) -> None:
    async with climbing(tmp_path, ORDERS, REQUIRED, one_by_one=False) as climb:
        assert await climb.order() == ["step 1", "step 2"]
        refusal = await climb.onto("step 2", make=True)
        assert refusal is not None
        assert refusal.required == ("orders", "channel")


async def test_a_column_that_is_filled_first_is_never_laid_to_a_row_that_was_made_up(tmp_path: Path) -> None:
    async with climbing(tmp_path, ORDERS, FILLED) as climb:
        order = await climb.order()
        refusal = await climb.onto(order[1], make=True)
        assert refusal is not None
        assert refusal.required is None
        assert refusal.refused is not None
        assert await climb.onto(order[1], make=False) is None, "no row of the app's own is in the way"


async def test_a_migration_that_fails_on_empty_tables_is_laid_to_no_row(tmp_path: Path) -> None:
    fails = "SELECT 1 / (CASE WHEN current_database() LIKE '%base' THEN 1 ELSE 0 END)"
    async with climbing(tmp_path, ORDERS, ("two", fails, "SELECT 1")) as climb:
        await climb.order()
        with pytest.raises(HoldtrueError, match="division by zero"):
            await climb.onto("two", make=True)


async def test_a_tool_that_goes_all_the_way_is_brought_below_each_step_by_its_way_down(tmp_path: Path) -> None:
    stuck, two = ("one", "CREATE TABLE orders (id int)", "SELECT nothing"), ("two", "SELECT 1", "SELECT 1")
    three = ("three", "CREATE TABLE notes (id int)", "DROP TABLE notes")
    async with climbing(tmp_path, stuck, two, three, one_by_one=False) as climb:
        assert await climb.order() == ["step 1", "step 2", "step 3"], "the first is never tried"
        assert [await climb.onto(each, make=True) for each in ("step 2", "step 3")] == [None, None]


async def test_steps_without_a_way_down_cannot_be_taken_alone_by_a_tool_that_goes_all_the_way(tmp_path: Path) -> None:
    async with climbing(tmp_path, ORDERS, ("two", "SELECT 1", "SELECT nothing"), one_by_one=False) as climb:
        assert await climb.order() == []
