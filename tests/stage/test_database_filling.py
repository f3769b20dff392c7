"""Tables get rows: the ones that there are, and one made up where there are none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import psycopg
import pytest

from holdtrue.stage.database import Catalog, Cluster, Databases, Filled, catalog_of, fill
from holdtrue.stage.database.rows import Row

SCHEMA = """
CREATE TYPE kind AS ENUM ('small', 'large');
CREATE TABLE shops (id uuid PRIMARY KEY, slug text NOT NULL CHECK (slug ~ '^[a-z]+$'));
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, shop_id uuid NOT NULL REFERENCES shops,
    status text NOT NULL CHECK (status IN ('paid', 'open')), cents int NOT NULL CHECK (cents BETWEEN 10 AND 20),
    kind kind NOT NULL, tags text[] NOT NULL, told jsonb NOT NULL, at timestamptz NOT NULL, day date NOT NULL,
    twice int GENERATED ALWAYS AS (cents * 2) STORED, note text
);
CREATE TABLE "Odd names" (id serial PRIMARY KEY, "The value" varchar(1) NOT NULL);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
CREATE TRIGGER no BEFORE INSERT ON shops FOR EACH ROW EXECUTE FUNCTION refuse();
"""
SHOP = {"id": "11111111-1111-4111-8111-111111111111", "slug": "corner"}


@pytest.fixture
async def connection(cluster: Cluster) -> AsyncIterator[psycopg.AsyncConnection]:
    await cluster.roles("filler", "filler")
    async with Databases(cluster) as databases:
        name = await databases.create_empty("filling", owner="filler")
        async with await cluster.admin(name) as connection:
            await connection.execute(SCHEMA)
            yield connection


async def filled(
    connection: psycopg.AsyncConnection,
    rows: Mapping[str, Sequence[Row]],
    *,
    make: bool,
    shapes: Catalog | None = None,
) -> Filled:
    catalog = await catalog_of(connection)
    return await fill(connection, catalog, rows, shapes or catalog, make=make)


async def rows(connection: psycopg.AsyncConnection, query: str) -> list[tuple[object, ...]]:
    return await (await connection.execute(query)).fetchall()


async def test_each_empty_table_gets_one_row_that_its_checks_and_references_admit(
    connection: psycopg.AsyncConnection,
) -> None:
    done = await filled(connection, {}, make=True)
    assert done.made == {"public.shops", "public.orders", "public.Odd names"}
    assert await rows(connection, "SELECT count(*) FROM orders o JOIN shops s ON s.id = o.shop_id") == [(1,)]
    assert await rows(connection, "SELECT note, kind::text FROM orders") == [(None, "small")]


async def test_rows_that_there_are_are_put_in_as_they_are_and_referred_to(connection: psycopg.AsyncConnection) -> None:
    done = await filled(connection, {"public.shops": [SHOP]}, make=True)
    assert done.made == {"public.orders", "public.Odd names"}
    assert await rows(connection, "SELECT o.shop_id::text, s.slug FROM orders o, shops s") == [tuple(SHOP.values())]


async def test_without_making_up_a_table_stays_empty_and_is_named_where_it_had_rows(
    connection: psycopg.AsyncConnection,
) -> None:
    done = await filled(connection, {"public.shops": [{**SHOP, "slug": "NOT SO"}]}, make=False)
    assert done == Filled(made=set(), skipped={"public.shops"})
    assert await rows(connection, "SELECT * FROM shops") == []


async def test_a_row_of_another_shape_keeps_what_fits(connection: psycopg.AsyncConnection) -> None:
    shapes = await catalog_of(connection)
    await connection.execute("ALTER TABLE shops ADD COLUMN city text NOT NULL")
    assert (await filled(connection, {"public.shops": [SHOP]}, make=False, shapes=shapes)).skipped == {"public.shops"}
    assert "public.shops" in (await filled(connection, {"public.shops": [SHOP]}, make=True, shapes=shapes)).made
    assert await rows(connection, "SELECT slug, city FROM shops") == [("corner", "x")]


async def test_sequences_go_on_behind_the_rows(connection: psycopg.AsyncConnection) -> None:
    await filled(connection, {"public.Odd names": [{"id": 7, "The value": "a"}]}, make=False)
    assert await rows(connection, """INSERT INTO "Odd names" ("The value") VALUES ('b') RETURNING id""") == [(8,)]


async def test_a_table_that_has_rows_is_left_alone(connection: psycopg.AsyncConnection) -> None:
    await filled(connection, {"public.shops": [SHOP]}, make=True)
    assert await filled(connection, {"public.shops": [SHOP, SHOP]}, make=True) == Filled()
