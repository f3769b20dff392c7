"""The driver: whatever comes first, it is in a transaction, and BEGIN costs no wait of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from holdtrue.assembly.testing import Postgres
from holdtrue.runtime.database import Database, last_statements

ADD = text("INSERT INTO marks VALUES (:mark)")


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    urls = postgres.create()
    opened = Database(urls.superuser, pool_size=2)
    async with opened.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE marks (mark bigint)"))
    try:
        yield opened
    finally:
        await opened.close()
        postgres.drop(urls)


async def marks(database: Database) -> int:
    async with database.engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM marks"))).scalar_one())


async def one(connection: AsyncConnection) -> None:
    await connection.execute(ADD, {"mark": 1})


async def many(connection: AsyncConnection) -> None:
    await connection.execute(ADD, [{"mark": 1}, {"mark": 2}])


async def streamed(connection: AsyncConnection) -> None:
    assert [row async for row in await connection.stream(text("SELECT 1"))] == [(1,)]
    await one(connection)


@pytest.mark.parametrize("first", [one, many, streamed])
async def test_what_comes_first_is_rolled_back_as_well(
    database: Database, first: Callable[[AsyncConnection], Awaitable[None]]
) -> None:
    for _ in range(2):
        async with database.engine.connect() as connection:
            await first(connection)
            await connection.rollback()
    assert await marks(database) == 0
    async with database.engine.connect() as connection:
        await first(connection)
        await connection.commit()
    assert await marks(database) > 0


@asynccontextmanager
async def traced(connection: AsyncConnection, file: Path) -> AsyncIterator[list[str]]:
    """What the server answers, in the end: commands that are complete, ``wait`` where it waits for the next."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    answers: list[str] = []
    with file.open("w+") as trace:
        driver.pgconn.trace(trace.fileno())
        yield answers
        driver.pgconn.untrace()
        trace.seek(0)
        for line in trace:
            if "CommandComplete" in line:
                answers.append(line.split('"')[1])
            elif "NoticeResponse" in line:
                answers.append("notice")
            elif "ReadyForQuery" in line:
                answers.append("wait")


async def test_begin_and_commit_cost_no_wait_of_their_own(database: Database, tmp_path: Path) -> None:
    async with database.engine.connect() as connection, traced(connection, tmp_path / "trace") as answers:
        await one(connection)
        await connection.run_sync(last_statements)
        await one(connection)
        await many(connection)
        await connection.commit()
    assert answers == ["BEGIN", "INSERT 0 1", "wait", *["INSERT 0 1"] * 3, "COMMIT", "wait"]
    assert await marks(database) == 4


async def test_a_transaction_of_last_statements_alone_is_begun_once(database: Database, tmp_path: Path) -> None:
    async with database.engine.connect() as connection, traced(connection, tmp_path / "trace") as answers:
        await connection.run_sync(last_statements)
        await one(connection)
        await many(connection)
        await connection.commit()
    assert answers == ["BEGIN", *["INSERT 0 1"] * 3, "COMMIT", "wait"]
    assert await marks(database) == 3


@pytest.mark.parametrize(
    ("statement", "rows", "changed"),
    [
        ("INSERT INTO marks VALUES (7) RETURNING mark", [(7,)], 1),
        ("SELECT count(*) FROM marks", [(2,)], 1),
        ("UPDATE marks SET mark = 7", None, 2),
    ],
)
async def test_among_the_last_statements_one_that_has_an_answer_gets_it_at_once(
    database: Database, statement: str, rows: list[tuple[int]] | None, changed: int
) -> None:
    async with database.engine.connect() as connection:
        await connection.run_sync(last_statements)
        await many(connection)
        result = await connection.execute(text(statement))
        assert result.rowcount == changed
        assert rows is None or result.all() == rows
        await one(connection)
        await connection.commit()
    assert await marks(database) >= 3


async def test_what_is_wrong_with_a_last_statement_is_told_by_the_commit_at_last_and_keeps_nothing(
    database: Database,
) -> None:
    async with database.engine.connect() as connection:
        for _ in range(2):
            await one(connection)
            await connection.run_sync(last_statements)
            await one(connection)
            with pytest.raises(DBAPIError, match="division by zero"):
                await connection.execute(text("INSERT INTO marks VALUES (1 / 0)"))
                await one(connection)
                await connection.commit()
            await connection.rollback()
        assert await marks(database) == 0
        await one(connection)
        await connection.run_sync(last_statements)
        await one(connection)
        await connection.commit()
    assert await marks(database) == 2


@pytest.mark.parametrize("last", ["INSERT INTO marks VALUES (1)", "INSERT INTO marks VALUES (1 / 0)"])
async def test_last_statements_that_are_not_committed_are_undone(database: Database, last: str) -> None:
    async with database.engine.connect() as connection:
        await one(connection)
        await connection.run_sync(last_statements)
        await connection.execute(text(last))
    async with database.engine.connect() as connection:
        await one(connection)
        await connection.commit()
    assert await marks(database) == 1


async def test_a_first_statement_that_fails_leaves_a_connection_that_works(database: Database) -> None:
    async with database.engine.connect() as connection:
        with pytest.raises(DBAPIError, match="division by zero"):
            await connection.execute(text("SELECT 1 / 0"))
        with pytest.raises(DBAPIError, match="aborted"):
            await one(connection)
        await connection.rollback()
        await one(connection)
    assert await marks(database) == 0


async def test_a_first_statement_that_is_cancelled_holds_nothing(database: Database) -> None:
    lock = text("LOCK TABLE marks")

    async def second() -> None:
        async with database.engine.connect() as connection:
            await connection.execute(lock)

    async with database.engine.connect() as connection:
        await connection.execute(lock)
        waiting = asyncio.create_task(second())
        while not (await connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar():
            pass
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    for _ in range(2):
        await asyncio.gather(second(), second())
