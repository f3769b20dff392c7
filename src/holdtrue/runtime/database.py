"""The connection to PostgreSQL, and the refusal of a role that could step around its own isolation."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import Any, Self, cast

from psycopg import AsyncConnection, AsyncCursor, AsyncPipeline, AsyncServerCursor
from psycopg import Error as DriverError
from psycopg.abc import PQGen
from psycopg.generators import send
from psycopg.pq import TransactionStatus
from sqlalchemy import AdaptedConnection, Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from holdtrue.runtime.faults import Fault

IDLE_SECONDS = 5.0
"""After so long without use a connection is pinged before it is used again."""
_POWERS = text("""
    SELECT r.rolname, r.rolsuper, r.rolbypassrls, EXISTS (
        SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p')
        AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owns
    FROM pg_roles r WHERE r.rolname = current_user""")


def psycopg_url(url: str) -> str:
    """SQLAlchemy's spelling of a PostgreSQL URL with psycopg 3.

    Raises:
        ValueError: it is the URL of something else.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise ValueError("must be a postgresql:// URL")
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


class _Pipeline(AsyncPipeline):
    """Sends everything at once, with the Sync at its end; the driver's own wakes the server for each statement.

    It overrides what psycopg calls private, so pyproject.toml binds the app to the minor version it fits (ADR 13).
    """

    def say(self, command: bytes) -> None:
        """A command without parameters and without rows."""
        self.command_queue.append(partial(self.pgconn.send_query_params, command, None))
        self.result_queue.append(None)

    def _communicate_gen(self) -> PQGen[None]:
        while self.command_queue:
            self.command_queue.popleft()()
        yield from ()

    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:
        yield from send(self.pgconn)
        yield from super()._fetch_gen(flush=flush)

    def _exit_gen(self) -> PQGen[None]:
        return self._sync_gen()


class _Connection(AsyncConnection[Any]):
    """Sends the last statements of a transaction along with its COMMIT."""

    last: _Pipeline | None = None

    async def begin_last(self) -> None:
        self.last = await self.collect()

    async def collect(self) -> _Pipeline:
        self._pipeline = pipeline = await _Pipeline(self).__aenter__()
        return pipeline

    async def deliver(self, pipeline: _Pipeline) -> None:
        try:
            await pipeline.__aexit__(None, None, None)
        finally:
            self._pipeline = self.last = None

    async def commit(self) -> None:
        if self.last is None:
            await super().commit()
            return
        try:
            self.last.say(b"COMMIT")
            await self.deliver(self.last)
        except DriverError:  # as after any COMMIT that fails, the transaction is over
            await self.rollback()
            raise

    async def rollback(self) -> None:
        if self.last is not None:
            with suppress(DriverError):  # of a statement that is undone now
                await self.deliver(self.last)
        await super().rollback()


def last_statements(connection: Connection) -> None:
    """Each INSERT from here on goes to the server along with COMMIT, which tells what was wrong with it at last.

    Any other statement is answered at once, as an INSERT is that returns rows; together with all before it.
    """
    driven = connection.connection.dbapi_connection
    assert isinstance(driven, AdaptedConnection)  # noqa: S101 - of every asynchronous driver
    driven.run_async(_Connection.begin_last)


class _Cursor(AsyncCursor[Any]):
    """Sends BEGIN along with the first statement of a transaction; the driver by itself waits for its answer first.

    For that the driver is told to begin none by itself (``autocommit``), so no statement may go past these two cursors.
    """

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        connection = cast(_Connection, self.connection)
        if connection.last is not None:
            if _idle(connection):
                connection.last.say(b"BEGIN")
            await super().execute(query, params, **options)
            if not query.startswith("INSERT") or "RETURNING" in query:
                await connection.last.sync()
            return self
        if not _idle(connection):
            return await super().execute(query, params, **options)
        pipeline = await connection.collect()
        try:
            pipeline.say(b"BEGIN")
            return await super().execute(query, params, **options)
        finally:
            await connection.deliver(pipeline)

    async def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        if _idle(self.connection):
            await _begin(self.connection)
        await super().executemany(query, params_seq, **options)


class _ServerCursor(AsyncServerCursor[Any]):
    """Of a result that is read bit by bit."""

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        if _idle(self.connection):
            await _begin(self.connection)
        return await super().execute(query, params, **options)


def _idle(connection: AsyncConnection[Any]) -> bool:
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


async def _begin(connection: AsyncConnection[Any]) -> None:
    await AsyncCursor(connection).execute("BEGIN")


class UnitSession(Session):
    """The session of a unit of work, so that its events concern no other session of the process."""


class Database:
    """A pool of connections of one role. Opens none by itself."""

    def __init__(self, url: str, *, pool_size: int = 10, statement_seconds: float = 20.0, prepare: bool = True) -> None:
        limits = {
            "statement_timeout": f"{int(statement_seconds * 1000)}",
            "lock_timeout": "10s",
            "idle_in_transaction_session_timeout": "60s",
        }
        self.engine: AsyncEngine = create_async_engine(
            psycopg_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=20,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 5,
                "autocommit": True,
                "cursor_factory": _Cursor,
                "async_creator_fn": _Connection.connect,
                "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
                # A pooler that lends connections by transaction cannot keep prepared statements.
                "prepare_threshold": 5 if prepare else None,
            },
        )

        event.listen(self.engine.sync_engine, "connect", self._stream_in_transactions)
        # A ping at every checkout is a round trip for every request; a connection that just worked needs none.
        event.listen(self.engine.sync_engine, "checkin", lambda _, record: record.info.update(used=time.monotonic()))
        event.listen(self.engine.sync_engine, "checkout", self._ping_if_idle)

    @staticmethod
    def _stream_in_transactions(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        driver: AsyncConnection[Any] = connection.driver_connection
        driver.server_cursor_factory = _ServerCursor

    def _ping_if_idle(self, connection: DBAPIConnection, record: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
        if time.monotonic() - record.info.get("used", 0.0) < IDLE_SECONDS:
            return
        dialect = self.engine.dialect
        try:
            dialect.do_ping(connection)
            connection.rollback()
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    def session(self, **info: object) -> AsyncSession:
        """A session that takes a connection at its first statement."""
        return AsyncSession(self.engine, sync_session_class=UnitSession, expire_on_commit=False, info=info)

    async def refuse_powerful_role(self) -> None:
        """Raises ``Fault`` (ROLE_TOO_POWERFUL) for a superuser, a role past row-level security, an owner of tables."""
        async with self.engine.connect() as connection:
            role = (await connection.execute(_POWERS)).one()
        powers = {
            "is a superuser": role.rolsuper,
            "bypasses row-level security": role.rolbypassrls,
            "owns tables": role.owns,
        }
        held = " and ".join(power for power, has in powers.items() if has)
        if held:
            raise Fault(
                "ROLE_TOO_POWERFUL",
                f"the role {role.rolname!r} {held}",
                where="DATABASE_URL",
                why="Row-level security would not hold: one missing condition, and a tenant reads another's rows.",
                do="Use a role that owns nothing and is NOSUPERUSER NOBYPASSRLS; give the owner to DATABASE_OWNER_URL "
                "only, for migrations.",
            )

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()
