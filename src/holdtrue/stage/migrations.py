"""Moves a scratch schema up and down with the app's own migrations, whatever tool they are written for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import takewhile
from typing import Protocol

from psycopg import sql

from holdtrue.contract.document import Command, Migrations
from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.database import SchemaDump, schema_difference, schema_dump
from holdtrue.stage.placeholders import Instruments
from holdtrue.stage.setting import Setting
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.survey import AlembicDriver, Interpreter, Revision, StepDriver
from holdtrue.stage.tables import qualified

MOST_STEPS = 500
"""Steps down; a tool that still has something to undo after them never ends."""
MOST_ALONE = 8
"""The newest steps that are taken alone, where each costs several starts of the tool."""


class Mover(Protocol):
    """Knows the ways down of an app's schema."""

    async def ways(self) -> list[str]:
        """Their names. Raises HoldtrueError."""

    async def left_by(self, way: str) -> list[str]:
        """Go up and down a way; return what is not as it was before. Raises HoldtrueError when a migration fails."""

    async def order(self) -> list[str]:
        """The revisions as they run, as far back as each after the first can be taken alone. Raises HoldtrueError."""

    async def below(self, revision: str, database: str) -> None:
        """Bring an empty database, of a `Scratch`, to where a revision is the next. Raises HoldtrueError."""

    async def up(self, revision: str, database: str) -> bool:
        """Take the next revision; False when the tool took others with it. Raises HoldtrueError when it fails."""

    async def revisions(self) -> tuple[Revision, ...] | None:
        """What the tool says of its revisions and their parents; None for a tool without them. Raises HoldtrueError."""

    async def close(self) -> None:
        """End what was started."""


def mover(setting: Setting, told: Migrations) -> Mover:
    """The mover for an app's tool: one for a check, so that the tool is started once."""
    if setting.mover is None:
        setting.mover = _mover(setting, told)
    return setting.mover


def _mover(setting: Setting, told: Migrations) -> Mover:
    if told.tool == "alembic":
        return AlembicMover(setting, told)
    return CommandMover(setting, told) if told.steps is None else StepMover(setting, told, told.steps)


class Scratch:
    """Scratch databases behind the migration wire, one after the other."""

    def __init__(self, setting: Setting, told: Migrations) -> None:
        self._setting = setting
        self._told = told

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """An empty database, as a deploy finds it."""
        setting = self._setting
        database = await setting.empty_database(f"migrations{next(setting.walks)}")
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
        self._scratch = Scratch(setting, told)
        self._driver: AlembicDriver | None = None
        self._parents: dict[str, str] = {}

    async def ways(self) -> list[str]:
        """Every revision with one parent, oldest first."""
        found = await self.revisions()
        for item in found:
            self._parents[item.revision] = (item.down_revisions or ("base",))[0]
        return [item.revision for item in found if not item.is_merge and item.revision not in self._told.irreversible]

    async def order(self) -> list[str]:
        """Oldest first."""
        return [each.revision for each in await self.revisions()]

    async def below(self, revision: str, database: str) -> None:
        """Up one by one."""
        for each in takewhile(lambda each: each != revision, await self.order()):
            await self.up(each, database)

    async def up(self, revision: str, database: str) -> bool:
        """As `alembic upgrade REVISION` does."""
        await self._to(await self._started(), "up", revision)
        return True

    async def revisions(self) -> tuple[Revision, ...]:
        """As Alembic read them, oldest first."""
        return (await (await self._started()).revisions()).revisions

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
            interpreter, _ = await _surroundings(self._setting, "alembic")
            self._driver = await AlembicDriver.start(interpreter, self._told.config)
        return self._driver


class StepMover:
    """Takes one revision at a time with the tool's own stepping command, started once; walks one database upwards."""

    def __init__(self, setting: Setting, told: Migrations, command: Command) -> None:
        self._setting = setting
        self._told = told
        self._command = command
        self._scratch = Scratch(setting, told)
        self._driver: StepDriver | None = None
        self._order: list[str] = []
        self._ground = AsyncExitStack()
        self._reached: tuple[str, int, SchemaDump] | None = None
        """The database that is walked, how many revisions it has, and its schema with them."""

    async def ways(self) -> list[str]:
        """Every revision, oldest first."""
        self._order = await (await self._started()).revisions()
        return [revision for revision in self._order if revision not in self._told.irreversible]

    async def order(self) -> list[str]:
        """As the tool tells it."""
        return await (await self._started()).revisions()

    async def below(self, revision: str, database: str) -> None:
        """Up one by one."""
        for each in takewhile(lambda each: each != revision, await self.order()):
            await self.up(each, database)

    async def up(self, revision: str, database: str) -> bool:
        """With the tool's own stepping command."""
        await (await self._started()).up(revision)
        return True

    async def revisions(self) -> None:
        """The stepping command tells names, in the order in which they run."""

    async def left_by(self, way: str) -> list[str]:
        """Up, down; and up again as ground for the next. A way that leaves something ends the walk."""
        driver, index = await self._started(), self._order.index(way)
        try:
            database, before = await self._below(driver, index)
            await driver.up(way)
            above = await self._scratch.dump(database)
            await driver.down(way)
            left = schema_difference(before, await self._scratch.dump(database))
            if not left:
                await driver.up(way)
                left = schema_difference(above, await self._scratch.dump(database))
        except BaseException:
            await self._leave()
            raise
        if left:
            await self._leave()
            return list(left)
        self._reached = (database, index + 1, above)
        if way == self._order[-1]:
            await self._as_deployed(above)
        return []

    async def _below(self, driver: StepDriver, index: int) -> tuple[str, SchemaDump]:
        """A database with the revisions before this one, and its schema."""
        if self._reached is None or self._reached[1] > index:
            await self._leave()
            database = await self._ground.enter_async_context(self._scratch.database())
            self._reached = (database, 0, await self._scratch.dump(database))
        database, count, schema = self._reached
        self._reached = None
        if count == index:
            return database, schema
        for revision in self._order[count:index]:
            await driver.up(revision)
        return database, await self._scratch.dump(database)

    async def _as_deployed(self, schema: SchemaDump) -> None:
        """A revision that the stepping command keeps quiet about would have a way down that nobody tried."""
        if self._setting.document.process.migrate is None or self._setting.document.process.seed:
            return
        deployed = await self._setting.databases.clone(self._setting.base)
        try:
            other = schema_difference(schema, await self._scratch.dump(deployed), names=("by steps", "as deployed"))
        finally:
            await self._setting.databases.drop(deployed)
        if other:
            raise StepFailedError(
                f"`migrations.steps` ends at another schema than `process.migrate`: {'; '.join(other[:4])}",
                where="migrations.steps",
                do="Let both take the same revisions.",
            )

    async def _leave(self) -> None:
        self._reached = None
        await self._ground.aclose()

    async def _started(self) -> StepDriver:
        if self._driver is None:
            interpreter, instruments = await _surroundings(self._setting, "steps")
            words = instruments.command(self._command, {"python": interpreter.python})
            self._driver = await StepDriver.start(words, interpreter)
        return self._driver

    async def close(self) -> None:
        """End the tool, and drop what was walked."""
        await self._leave()
        if self._driver is not None:
            await self._driver.close()
            self._driver = None


async def _surroundings(setting: Setting, name: str) -> tuple[Interpreter, Instruments]:
    """What a migration tool is started in, with a wire that leads to whatever database is swapped in."""
    listener = await setting.migration_wire.listen(name, setting.base)
    instruments = setting.instruments(wire=setting.migration_wire, wire_port=listener.port)
    interpreter = Interpreter(
        python=str(setting.python),
        directory=setting.copy,
        env=setting.environment(instruments, setting.document.process.migrate_env),
    )
    return interpreter, instruments


class CommandMover:
    """Takes a tool whose `up` goes all the way, and whose `down` undoes the newest step."""

    NEWEST, ALL = "the newest step", "every step"

    def __init__(self, setting: Setting, told: Migrations) -> None:
        self._setting = setting
        self._told = told
        self._scratch = Scratch(setting, told)

    async def ways(self) -> list[str]:
        """One step and up again; all steps."""
        return [self.NEWEST, self.ALL]

    async def order(self) -> list[str]:
        """Numbers, as the ledger counts: the newest ones, as far as there is a way down to below them."""
        setting = self._setting
        database = await setting.databases.clone(setting.base)
        try:
            newest = lowest = await self._applied(database)
            while lowest > 0 and newest - lowest < MOST_ALONE and await self._down(database):
                lowest -= 1
        finally:
            await setting.migration_wire.swap(setting.base)
            await setting.databases.drop(database)
        if lowest == newest > 1:
            return []
        return [f"step {number}" for number in range(max(lowest, 1), newest + 1)]

    async def _down(self, database: str) -> bool:
        """Whether one step could be undone, and no more than that."""
        before = await self._applied(database)
        try:
            await self._run("down", database)
        except HoldtrueError:
            return False
        return await self._applied(database) == before - 1

    async def below(self, revision: str, database: str) -> None:
        """Up as far as it goes, and down again as far as need be."""
        wanted = _number(revision) - 1
        while (applied := await self._applied(database)) < wanted:
            await self._run("up", database)
            if await self._applied(database) == applied:
                break
        while await self._applied(database) > wanted and await self._down(database):
            pass
        if (applied := await self._applied(database)) != wanted:
            raise StepFailedError(
                f"{wanted} migrations were to be applied, and the ledger knows of {applied}",
                where="migrations",
                do="Let `down` undo one step, and name the tool's table under `migrations.ledger`.",
            )

    async def up(self, revision: str, database: str) -> bool:
        """By the document's `up`, which may go all the way."""
        await self._run("up", database)
        return await self._applied(database) == _number(revision)

    async def revisions(self) -> None:
        """The commands tell none."""

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
        """How many steps the ledger knows; none where it is not there yet."""
        total = 0
        async with await self._setting.cluster.admin(database) as connection:
            for table in self._told.ledger:
                there = await (await connection.execute("SELECT to_regclass(%s)", [_quoted(table)])).fetchone()
                if there is None or there[0] is None:
                    continue
                name = sql.Identifier(*qualified(table).split("."))
                found = await (await connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name))).fetchone()
                total += found[0] if found else 0
        return total


def _number(revision: str) -> int:
    return int(revision.removeprefix("step "))


def _quoted(table: str) -> str:
    return sql.Identifier(*qualified(table).split(".")).as_string(None)
