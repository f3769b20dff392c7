"""Moves a scratch schema one revision at a time, with the app's own migrations, whatever tool they are written for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from holdtrue.contract.document import Migrations
from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.database import SchemaDump, schema_dump
from holdtrue.stage.setting import Setting
from holdtrue.stage.survey import AlembicDriver, Interpreter

MOST_STEPS = 500
"""Revisions of a tool that cannot list them; more means its `up` never says it has ended."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One step of the schema."""

    name: str
    parent: str
    """``base`` for the first."""
    number: int
    """How many steps lead to it, itself included."""


class Scratch:
    """A scratch database on which the app's migrations are run."""

    def __init__(self, setting: Setting, told: Migrations, database: str, driver: AlembicDriver | None) -> None:
        self._setting = setting
        self._told = told
        self._database = database
        self._driver = driver

    async def up(self, revision: Revision) -> None:
        """Bring the schema from its parent to a revision. Raises HoldtrueError."""
        await self._to(revision.name, "up", self._told.up)

    async def up_to_parent(self, revision: Revision) -> None:
        """Bring an empty schema to where a revision starts. Raises HoldtrueError."""
        if self._driver is None:
            for _ in range(revision.number - 1):
                await self._to("", "up", self._told.up)
        elif revision.parent != "base":
            await self._to(revision.parent, "up", None)

    async def down(self, revision: Revision) -> None:
        """Undo a revision. Raises HoldtrueError when the migration does."""
        await self._to(revision.parent, "down", self._told.down)

    async def dump(self) -> SchemaDump:
        """The schema as it is now, without the tool's own ledger."""
        return await schema_dump(self._setting.cluster, self._database, ignore=self._told.ledger)

    async def _to(self, target: str, direction: str, command: str | list[str] | None) -> None:
        if self._driver is None:
            if command is None:
                raise HoldtrueError(f"the document has no `{direction}` command", where="migrations")
            await self._setting.run_migration(command, self._database, name=f"migrations-{direction}")
            return
        step = await (self._driver.upgrade(target) if direction == "up" else self._driver.downgrade(target))
        if step.problem is not None:
            raise HoldtrueError(f"{step.problem}", where=f"{direction} to {target}", why=step.problem.last_lines())


class Mover:
    """Gives scratch databases to move; the app's interpreter is started once for a series of them."""

    def __init__(self, setting: Setting, told: Migrations) -> None:
        self._setting = setting
        self._told = told
        self._driver: AlembicDriver | None = None
        self._count = 0

    @asynccontextmanager
    async def series(self) -> AsyncIterator[None]:
        """Keep the interpreter between the scratch databases of a series."""
        async with AsyncExitStack() as stack:
            self._driver = await self._start(stack)
            try:
                yield
            finally:
                self._driver = None

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Scratch]:
        """An empty database of the app's own, behind the migration wire."""
        setting = self._setting
        async with AsyncExitStack() as stack:
            driver = self._driver or await self._start(stack)
            self._count += 1
            database = await setting.empty_database(f"migrations{self._count}")
            try:
                await setting.migration_wire.swap(database)
                yield Scratch(setting, self._told, database, driver)
            finally:
                await setting.migration_wire.swap(setting.base)
                await setting.databases.drop(database)

    async def revisions(self) -> list[Revision]:
        """Every revision that has one parent, oldest first. Raises HoldtrueError."""
        if self._told.tool == "alembic":
            async with AsyncExitStack() as stack:
                driver = self._driver or await self._start(stack)
                if driver is None:
                    return []
                found = (await driver.revisions()).revisions
            return [
                Revision(name=item.revision, parent=(item.down_revisions or ("base",))[0], number=number)
                for number, item in enumerate(found, start=1)
                if not item.is_merge
            ]
        return await self._count_steps()

    async def _count_steps(self) -> list[Revision]:
        steps: list[Revision] = []
        async with self.scratch() as scratch:
            before = await scratch.dump()
            while len(steps) < MOST_STEPS:
                revision = Revision(name=f"step {len(steps) + 1}", parent="", number=len(steps) + 1)
                await scratch.up(revision)
                after = await scratch.dump()
                if after == before:
                    return steps
                steps.append(revision)
                before = after
        raise HoldtrueError(f"`up` still changed the schema after {MOST_STEPS} steps", where="migrations.up")

    async def _start(self, stack: AsyncExitStack) -> AlembicDriver | None:
        if self._told.tool != "alembic":
            return None
        setting = self._setting
        listener = await setting.migration_wire.listen("alembic", setting.base)
        instruments = setting.instruments(wire=setting.migration_wire, wire_port=listener.port)
        interpreter = Interpreter(
            python=str(setting.python),
            directory=setting.copy,
            env=setting.environment(instruments, setting.document.process.migrate_env),
        )
        return await stack.enter_async_context(await AlembicDriver.start(interpreter, self._told.config))
