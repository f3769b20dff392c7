"""Takes an app's revisions one after the other, each on tables that have rows, as a database in use has."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from holdtrue.contract.document import Migrations
from holdtrue.contract.errors import HoldtrueError
from holdtrue.stage.database import Catalog, DatabaseError, Filled, Snapshot, catalog_of, difference, fill, snapshot
from holdtrue.stage.migrations import Scratch, mover
from holdtrue.stage.scene import Scene
from holdtrue.stage.setting import Setting
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import qualified_all
from holdtrue.stage.wire import Statement

_NULLS = re.compile(r'column "(?P<column>.+)" of relation "(?P<table>.+)" contains null values')
NOT_NULL, CONSTRAINTS = "23502", "23"
"""The SQLSTATE of a null where none may be, and the class that it belongs to (PostgreSQL, appendix A)."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A way up that failed on rows."""

    error: HoldtrueError
    statements: tuple[Statement, ...]
    """What the migration had sent by then."""
    catalog: Catalog
    """The tables as they were before."""
    filled: Filled

    @property
    def refused(self) -> Statement | None:
        """The change of the schema that the rows did not admit."""
        found = (each for each in self.statements if (each.sqlstate or "").startswith(CONSTRAINTS))
        return next((each for each in found if each.kind == "ddl"), None)

    @property
    def required(self) -> tuple[str, str] | None:
        """Table and column, where a new column was to be filled in every row and nothing had been put in."""
        refused = self.refused
        if refused is None or refused.sqlstate != NOT_NULL:
            return None
        told = _NULLS.fullmatch(refused.message or "")
        if told is None:
            return None
        named = [table for table in self.catalog.tables.values() if table.name == told["table"]]
        if any(told["column"] in {column.name for column in table.columns} for table in named):
            return None
        return None if self._written_before(told["table"], refused) else (told["table"], told["column"])

    def _written_before(self, table: str, refused: Statement) -> bool:
        """Whether the migration had written into a table, or done what its text does not tell."""
        writing = (each for each in self.statements if each.writes and each.seq < refused.seq and each.kind != "ddl")
        return any(each.kind == "call" or table.lower() in re.findall(r"\w+", each.shape.lower()) for each in writing)


@dataclass(kw_only=True)
class Climb:
    """Walks one database upwards. Rows are those of the scene, and one made up where it has none."""

    setting: Setting
    told: Migrations
    scene: Scene
    _rows: Snapshot | None = None
    _order: list[str] = field(default_factory=list)
    _ground: AsyncExitStack = field(default_factory=AsyncExitStack)
    _reached: tuple[str, int] | None = None
    """The database that is walked, and the place in the order of the revision that is next."""

    async def order(self) -> list[str]:
        """The revisions that can be taken alone, in the order in which they run. Raises HoldtrueError."""
        self._order = await mover(self.setting, self.told).order()
        return self._order

    async def onto(self, revision: str, *, make: bool) -> Refusal | None:
        """Take a revision on rows; None when it went through. `make`: also on rows that are made up.

        Raises:
            HoldtrueError: it fails on empty tables, too, so that no row is to blame; or one before it does.
        """
        moving, index = mover(self.setting, self.told), self._order.index(revision)
        known, self._reached = self._reached, None
        stands = make and known is not None and known[1] == index
        database = known[0] if known is not None and stands else await self._below(revision)
        filled, catalog = await self._filled(database, make=make)
        with self.setting.migration_wire.record() as recording:
            try:
                alone = await moving.up(revision, database)
            except (DatabaseError, StepFailedError):
                raise  # of the scratch server, or of a tool that cannot be stepped: no row did it
            except HoldtrueError as error:
                refusal = Refusal(error=error, statements=tuple(recording.statements), catalog=catalog, filled=filled)
            else:
                self._reached = (database, index + 1) if alone else None
                return None
        await moving.up(revision, await self._below(revision))
        await self.leave()
        return refusal

    async def leave(self) -> None:
        """Drop what was walked."""
        self._reached = None
        await self._ground.aclose()

    async def _below(self, revision: str) -> str:
        """Begin anew, with empty tables, where a revision is next."""
        await self.leave()
        database = await self._ground.enter_async_context(Scratch(self.setting, self.told).database())
        await mover(self.setting, self.told).below(revision, database)
        return database

    async def _filled(self, database: str, *, make: bool) -> tuple[Filled, Catalog]:
        """Put rows in; returns the tables as they are, too."""
        rows, ledger = await self._of_scene(), qualified_all(self.told.ledger)
        async with await self.setting.cluster.admin(database) as connection:
            catalog = await catalog_of(connection)
            filled = await fill(connection, catalog, rows.rows, self.scene.catalog, make=make, ignore=ledger)
        return filled, catalog

    async def _of_scene(self) -> Snapshot:
        """The rows that the app made; what the migrations put in themselves they will put in again."""
        if self._rows is None:
            setting = self.setting
            database = await setting.databases.clone(setting.base)
            try:
                async with await setting.cluster.admin(database) as connection:
                    before = await snapshot(connection, await catalog_of(connection))
            finally:
                await setting.databases.drop(database)
            made = difference(before, self.scene.rows, self.scene.catalog)
            self._rows = Snapshot(rows={name: changes.inserted for name, changes in made.tables.items()})
        return self._rows
