"""Does the database answer, is its schema the code's, has a worker been heard of?"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from sqlalchemy import MetaData, false, select, text
from sqlalchemy.exc import DBAPIError, ProgrammingError, SQLAlchemyError

from holdtrue.runtime.database import Database
from holdtrue.runtime.migrating import Migrations

log = logging.getLogger(__name__)
_WORKER = text("SELECT extract(epoch FROM now() - max(last_heartbeat)) FROM procrastinate_workers")
WORKER_SILENT_SECONDS = 60.0


class Health:
    """Has connections of its own, so that a crowded pool does not make the app look dead."""

    def __init__(self, database: Database, migrations: Migrations, tables: Sequence[MetaData]) -> None:
        self._database = database
        self._migrations = migrations
        self._heads = migrations.heads
        self._tables = tables
        self._known_good = False
        self._asked = 0.0
        self._asking = asyncio.Lock()

    async def refuse_powerful_role(self) -> None:
        """Raises ``Fault`` when isolation would not hold under this role."""
        await self._database.refuse_powerful_role()

    async def trouble(self) -> str | None:
        """Why the app must not serve; None when it may. Tries each column that the code reads, as the app's role."""
        trouble = await self._look()
        self._known_good = trouble is None
        return trouble

    async def _look(self) -> str | None:
        try:
            async with self._database.engine.connect() as connection:
                versions = frozenset(await connection.scalars(text("SELECT version_num FROM alembic_version")))
                if versions != self._heads:
                    return self._difference(versions)
                for table in (table for each in self._tables for table in each.sorted_tables):
                    await connection.execute(select(*table.c).where(false()))
        except ProgrammingError as error:
            log.warning("not ready: %s", str(error.orig).partition("\n")[0])
            return "The database has no schema, or not that of this release; migrate it."
        except (SQLAlchemyError, OSError):
            return "The database does not answer."
        return None

    def _difference(self, versions: frozenset[str]) -> str:
        if any(not self._migrations.knows(version) for version in versions):
            return "The database is ahead of this release."
        return "The database is behind this release; migrate it."

    async def worker_silence(self) -> float | None:
        """Seconds since a worker was last heard of; None when none ever was."""
        try:
            async with self._database.engine.connect() as connection:
                silence = await connection.scalar(_WORKER)
        except DBAPIError:
            return None
        return None if silence is None else float(silence)

    def doubt(self) -> None:
        """A query contradicted the last good answer."""
        self._known_good = False

    @property
    def known_good(self) -> bool:
        """Whether the last answer was good, and nothing contradicted it since."""
        return self._known_good

    async def admit(self) -> bool:
        """Whether requests may pass; asks the database at most once a second as long as they may not."""
        async with self._asking:
            if not self._known_good and time.monotonic() - self._asked >= 1:
                await self.trouble()
                self._asked = time.monotonic()
        return self._known_good
