"""Our own way to the database behind the wire: a superuser's connection, of which the app knows nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from psycopg import AsyncConnection

from holdtrue.stage.database import Cluster, DatabaseError, Operation, failing
from holdtrue.stage.steps import StepFailedError
from holdtrue.stage.tables import listed


class Clone:
    """The clone that is behind the wire now; whoever leads the app to another one leaves it first."""

    def __init__(self, cluster: Cluster, name: Callable[[], str]) -> None:
        self._cluster = cluster
        self._name = name
        self._connection: AsyncConnection | None = None

    async def connection(self) -> AsyncConnection:
        """Connect, if that was not done yet; closed by ``leave``, as a database that is in use cannot be dropped."""
        if self._connection is None:
            self._connection = await self._cluster.admin(self._name())
        return self._connection

    async def leave(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    @asynccontextmanager
    async def refusing(self, tables: Iterable[str], operations: Iterable[Operation]) -> AsyncIterator[None]:
        """Have it refuse these writes to some tables (full names), as when its disk is full.

        Raises:
            StepFailedError: a table is not there, or the app keeps it locked.
        """
        told = sorted(tables)
        try:
            async with failing(await self.connection(), told, operations):
                yield
        except DatabaseError as error:
            raise StepFailedError(f"{listed(told)} could not be made to fail: {error}", where=listed(told)) from error

    async def blockers(self, backend: int) -> list[int]:
        """The backends whose locks one waits for, in PostgreSQL's own words."""
        connection = await self.connection()
        row = await (await connection.execute("SELECT pg_blocking_pids(%s)", (backend,))).fetchone()
        return list(row[0]) if row is not None else []
