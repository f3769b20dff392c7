"""Schemas compare object by object, and a database says which of an app's statements it would not understand."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from holdtrue.stage.database import Cluster, DatabaseError, Databases, prepare, schema_difference, schema_dump

SCHEMA = """
CREATE TABLE users (id serial PRIMARY KEY, email text NOT NULL, name text);
CREATE INDEX users_email ON users (email);
CREATE POLICY own ON users USING (true);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON users TO app_runtime;
CREATE FUNCTION greet() RETURNS text LANGUAGE sql AS $$
-- a comment inside, and

SELECT 'hello' $$;
COMMENT ON TABLE users IS 'people';
CREATE TABLE alembic_version (version text PRIMARY KEY);
"""


@pytest.fixture
async def databases(cluster: Cluster) -> AsyncIterator[Databases]:
    await cluster.roles("app_owner", "app_runtime")
    async with Databases(cluster) as databases:
        yield databases


async def made(databases: Databases, name: str, *statements: str) -> str:
    database = await databases.create_empty(name, "app_owner")
    async with await databases.cluster.connect(database, user="app_owner") as connection:
        for statement in statements:
            await connection.execute(statement.encode())
    return database


async def test_the_same_schema_made_in_another_order_has_the_same_dump(cluster: Cluster, databases: Databases) -> None:
    one = await made(databases, "one", SCHEMA)
    two = await made(
        databases,
        "two",
        SCHEMA.replace("COMMENT ON TABLE users IS 'people';", "").replace("alembic_version", "ledger"),
        "ALTER TABLE users DROP COLUMN email",
        "ALTER TABLE users ADD COLUMN email text NOT NULL",
        "CREATE INDEX users_email ON users (email)",
    )
    first = await schema_dump(cluster, one, ignore=["alembic_version"])
    second = await schema_dump(cluster, two, ignore=["ledger"])
    assert schema_difference(first, second) == ()
    assert first.text == second.text
    assert "restrict" not in first.text
    assert "GRANT SELECT" in first.text
    assert "OWNER TO app_owner" in first.text
    assert "-- a comment inside, and\n\nSELECT" in first.text


async def test_every_object_that_differs_is_named(cluster: Cluster, databases: Databases) -> None:
    one = await made(databases, "one", SCHEMA)
    two = await made(
        databases,
        "two",
        SCHEMA,
        "DROP INDEX users_email",
        "ALTER TABLE users ALTER COLUMN email DROP NOT NULL",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "REVOKE SELECT ON users FROM app_runtime",
    )
    lines = schema_difference(await schema_dump(cluster, one), await schema_dump(cluster, two), names=("old", "new"))
    assert lines == (
        "ACL public.TABLE users: only in old",
        "INDEX public.users_email: only in old",
        "ROW SECURITY public.users: only in old",
        "TABLE public.users: only in old: email text NOT NULL",
        "TABLE public.users: only in new: email text",
    )


async def test_a_frozen_database_cannot_be_dumped_and_says_what_to_do(cluster: Cluster, databases: Databases) -> None:
    frozen = await databases.freeze(await made(databases, "one", SCHEMA))
    with pytest.raises(DatabaseError, match="before it is frozen"):
        await schema_dump(cluster, frozen)


@pytest.fixture
async def connection(cluster: Cluster, databases: Databases) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await cluster.admin(await made(databases, "prepare", SCHEMA)) as connection:
        yield connection


async def test_a_statement_of_other_code_is_refused_with_its_reason(connection: psycopg.AsyncConnection) -> None:
    text_oid = 25
    found = await prepare(
        connection,
        [
            ("SELECT * FROM users WHERE email = $1 AND id = $2", [text_oid, 0]),
            ("UPDATE users SET nick = 'x'", []),
            ("/* listing */ WITH x AS (SELECT 1) SELECT * FROM accounts", []),
            ("SELECT '100%' FROM users", []),
            ("INSERT INTO users (email) VALUES ($1) RETURNING id", []),
        ],
    )
    assert found.tried == 5
    assert [(each.sqlstate, each.sql[:6]) for each in found.failures] == [("42703", "UPDATE"), ("42P01", "/* lis")]
    assert "nick" in found.failures[0].message


async def test_nothing_runs_not_even_behind_a_semicolon(connection: psycopg.AsyncConnection) -> None:
    found = await prepare(
        connection,
        [("SELECT 1; DROP TABLE users", []), ("DROP TABLE users", []), ("BEGIN", []), ("DELETE FROM users", [])],
        role="app_runtime",
    )
    assert (found.tried, found.skipped, found.failures) == (1, 3, ())
    await connection.execute("INSERT INTO users (email) VALUES ('a@example.com')")


async def test_an_unknown_role_is_named(connection: psycopg.AsyncConnection) -> None:
    with pytest.raises(DatabaseError, match="nobody_here"):
        await prepare(connection, [], role="nobody_here")
