"""Moves a scratch schema up and down with the app's own migrations, whatever tool they are written for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from psycopg import sql

from holdtrue.contract.document import Migrations
from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.database import SchemaDump, schema_difference, schema_dump
from holdtrue.stage.setting import Setting
from holdtrue.stage.survey import AlembicDriver, Interpreter
from holdtrue.stage.tables import qualified

MOST_STEPS = 500
"""Steps down; a tool that still has something to undo after them never ends."""


class Mover(Protocol):
    """Knows the ways down of an app's schema."""

    async def ways(self) -> list[str]:
        """Their names. Raises HoldtrueError."""

    async def left_by(self, way: str) -> list[str]:
        """Go up and down a way; return what is not as it was before. Raises HoldtrueError when a migration fails."""

    async def close(self) -> None:
        """End what was started."""


def mover(setting: Setting, told: Migrations) -> Mover:
    """The mover for an app's tool."""
    return AlembicMover(setting, told) if told.tool == "alembic" else CommandMover(setting, told)


class _Scratch:
    """Scratch databases behind the migration wire, one after the other."""

    def __init__(self, setting: Setting, told: Migrations) -> None:
        self._setting = setting
        self._told = told
        self._count = 0

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """An empty database, as a deploy finds it."""
        setting = self._setting
        self._count += 1
        database = await setting.empty_database(f"migrations{self._count}")
        try:
            await setting.migration_wire.swap(database)
            yield database
        finally:
            await setting.migration_wire.swap(setting.base)
            await setting.databases.drop(database)

    async def dump(self, database: str) -> SchemaDump:
        """The schema without the tool's own ledger."""
        return await schema_dump(self._setting.cluster, database, ignore=self._told.ledger)


class AlembicMover:
    """Takes one revision at a time; the app's interpreter is started once for all of them."""

    def __init__(self, setting: Setting, told: Migrations) -> None:
        self._setting = setting
        self._told = told
        self._scratch = _Scratch(setting, told)
        self._driver: AlembicDriver | None = None
        self._parents: dict[str, str] = {}

    async def ways(self) -> list[str]:
        """Every revision with one parent, oldest first."""
        found = (await (await self._started()).revisions()).revisions
        for item in found:
            self._parents[item.revision] = (item.down_revisions or ("base",))[0]
        return [item.revision for item in found if not item.is_merge and item.revision not in self._told.irreversible]

    async def left_by(self, way: str) -> list[str]:
        """Up to the parent, up, down."""
        driver, parent = await self._started(), self._parents[way]
        async with self._scratch.database() as database:
            if parent != "base":
                await self._to(driver, "up", parent)
            before = await self._scratch.dump(database)
            await self._to(driver, "up", way)
            await self._to(driver, "down", parent)
            after = await self._scratch.dump(database)
        return list(schema_difference(before, after))

    async def close(self) -> None:
        """End the app's interpreter."""
        if self._driver is not None:
            await self._driver.close()
            self._driver = None

    async def _to(self, driver: AlembicDriver, direction: str, target: str) -> None:
        step = await (driver.upgrade(target) if direction == "up" else driver.downgrade(target))
        if step.problem is not None:
            raise HoldtrueError(f"{step.problem}", where=f"{direction} to {target}", why=step.problem.last_lines())

    async def _started(self) -> AlembicDriver:
        if self._driver is None:
            setting = self._setting
            listener = await setting.migration_wire.listen("alembic", setting.base)
            instruments = setting.instruments(wire=setting.migration_wire, wire_port=listener.port)
            interpreter = Interpreter(
                python=str(setting.python),
                directory=setting.copy,
                env=setting.environment(instruments, setting.document.process.migrate_env),
            )
            self._driver = await AlembicDriver.start(interpreter, self._told.config)
        return self._driver


class CommandMover:
    """Takes a tool whose `up` goes all the way, and whose `down` undoes the newest step."""

    NEWEST, ALL = "the newest step", "every step"

    def __init__(self, setting: Setting, told: Migrations) -> None:
        self._setting = setting
        self._told = told
        self._scratch = _Scratch(setting, told)

    async def ways(self) -> list[str]:
        """One step and up again; all steps."""
        return [self.NEWEST, self.ALL]

    async def left_by(self, way: str) -> list[str]:
        """All down must leave nothing; one down and up again must leave the same as up."""
        async with self._scratch.database() as database:
            empty = await self._scratch.dump(database)
            await self._run("up", database)
            head = await self._scratch.dump(database)
            if way == self.NEWEST:
                await self._run("down", database)
                await self._run("up", database)
                again = await self._scratch.dump(database)
                return list(schema_difference(head, again))
            for _ in range(MOST_STEPS):
                if not await self._applied(database):
                    break
                await self._run("down", database)
            return list(schema_difference(empty, await self._scratch.dump(database)))

    async def close(self) -> None:
        """Nothing stays between commands."""

    async def _run(self, direction: str, database: str) -> None:
        command = self._told.up if direction == "up" else self._told.down
        if command is None:
            raise HoldtrueError(f"the document has no `{direction}` command", where="migrations")
        await self._setting.run_migration(command, database, name=f"migrations-{direction}")

    async def _applied(self, database: str) -> int:
        """How many steps the ledger knows."""
        total = 0
        async with await self._setting.cluster.admin(database) as connection:
            for table in self._told.ledger:
                name = sql.Identifier(*qualified(table).split("."))
                found = await (await connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name))).fetchone()
                total += found[0] if found else 0
        return total
