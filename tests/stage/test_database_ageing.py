"""Ageing shifts what a database remembers into the past, and owns up to what it could not shift."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from holdtrue.stage.database import Cluster, Databases, Unaged, age

HOUR = 3600


@pytest.fixture
async def connection(cluster: Cluster) -> AsyncIterator[psycopg.AsyncConnection]:
    await cluster.roles("app_owner", "app_runtime")
    async with (
        Databases(cluster) as databases,
        await cluster.admin(await databases.create_empty("ageing", "app_owner")) as connection,
    ):
        await connection.execute("SET timezone = 'UTC'")
        yield connection


async def column(connection: psycopg.AsyncConnection, query: str) -> list[str]:
    return [value for (value,) in await (await connection.execute(query.encode())).fetchall()]


async def test_moments_dates_ranges_and_domains_move_and_computed_ones_follow(
    connection: psycopg.AsyncConnection,
) -> None:
    await connection.execute("""
        CREATE DOMAIN moment AS timestamptz;
        CREATE TABLE t (id int, a timestamptz, b timestamp, c moment, d date, e date GENERATED ALWAYS AS (d + 1) STORED,
            f tstzrange, g text);
        INSERT INTO t VALUES (1, '2026-01-02 10:00Z', '2026-01-02 10:00', 'infinity', '2026-01-02', DEFAULT,
            '[2026-01-02 10:00Z, infinity)', '2026-01-02')
    """)
    assert await age(connection, 25 * HOUR) == ()
    found = await column(connection, "SELECT t::text FROM t")
    assert found == [
        '(1,"2026-01-01 09:00:00+00","2026-01-01 09:00:00",infinity,2026-01-01,2026-01-02,'
        '"[""2026-01-01 09:00:00+00"",infinity)",2026-01-02)'
    ]


async def test_five_minutes_do_not_make_a_date_yesterday(connection: psycopg.AsyncConnection) -> None:
    await connection.execute("CREATE TABLE t (d date)")
    await connection.execute("INSERT INTO t VALUES ('2026-01-02')")
    await age(connection, 300)
    assert await column(connection, "SELECT d::text FROM t") == ["2026-01-02"]


async def test_unique_moments_and_exclusive_ranges_do_not_stand_in_each_other_s_way(
    connection: psycopg.AsyncConnection,
) -> None:
    await connection.execute("""
        CREATE TABLE slots (id int GENERATED ALWAYS AS IDENTITY, at timestamptz UNIQUE, r tstzrange,
            EXCLUDE USING gist (r WITH &&));
        INSERT INTO slots (at, r) SELECT m, tstzrange(m, m + interval '1 hour')
        FROM generate_series(timestamptz '2026-01-01 09:00Z', '2026-01-01 20:00Z', '1 hour') m
    """)
    assert await age(connection, HOUR) == ()
    assert (await column(connection, "SELECT min(at)::text FROM slots")) == ["2026-01-01 08:00:00+00"]
    assert (await column(connection, "SELECT count(*)::text FROM slots WHERE lower(r) = at")) == ["12"]
    assert (await column(connection, "SELECT max(id)::text FROM slots")) == ["12"]


async def test_what_a_check_or_a_missing_partition_holds_back_is_reported_and_the_rest_moves(
    connection: psycopg.AsyncConnection,
) -> None:
    await connection.execute("""
        CREATE TABLE held (a timestamptz CHECK (a > '2026-01-01Z'), b timestamptz);
        INSERT INTO held VALUES ('2026-01-01 00:10Z', '2026-01-01 00:10Z');
        CREATE TABLE parts (at timestamptz, b timestamptz) PARTITION BY RANGE (at);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01Z') TO ('2027-01-01Z');
        INSERT INTO parts VALUES ('2026-01-01 00:10Z', '2026-01-01 00:10Z');
        CREATE TABLE lists (ats timestamptz[])
    """)
    unaged = await age(connection, HOUR)
    assert {(each.table, each.column) for each in unaged} == {
        ("public.held", "a"),
        ("public.parts", "at"),
        ("public.lists", "ats"),
    }
    assert isinstance(unaged[0], Unaged)
    assert await column(connection, "SELECT b::text FROM held UNION SELECT b::text FROM parts") == [
        "2025-12-31 23:10:00+00"
    ]


async def test_triggers_do_not_notice(connection: psycopg.AsyncConnection) -> None:
    await connection.execute("""
        CREATE TABLE t (at timestamptz);
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'append only'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse();
        INSERT INTO t VALUES ('2026-01-01 10:00Z')
    """)
    await age(connection, HOUR)
    assert await column(connection, "SELECT at::text FROM t") == ["2026-01-01 09:00:00+00"]
    with pytest.raises(psycopg.errors.RaiseException):
        await connection.execute("UPDATE t SET at = now()")
