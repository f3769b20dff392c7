"""The catalog tells the facts, a snapshot has every row, and a difference says what changed."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from holdtrue.stage.database import (
    Catalog,
    Cluster,
    DatabaseError,
    Databases,
    Difference,
    Fingerprint,
    ForeignKey,
    catalog_of,
    difference,
    learn,
    snapshot,
)
from holdtrue.stage.database import rows as rows_module

SCHEMA = """
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE NOT NULL,
    upper text GENERATED ALWAYS AS (upper(email)) STORED, seen timestamptz DEFAULT now());
CREATE TYPE state AS ENUM ('open', 'paid');
CREATE DOMAIN euros AS numeric(10, 2);
CREATE TABLE orders (tenant int, id serial, owner bigint REFERENCES users ON DELETE CASCADE, state state DEFAULT 'open',
    price euros, token uuid DEFAULT gen_random_uuid(), PRIMARY KEY (tenant, id));
CREATE TABLE items (tenant int, order_id int, note jsonb, FOREIGN KEY (tenant, order_id) REFERENCES orders);
CREATE TABLE log (at date, line text) PARTITION BY RANGE (at);
CREATE TABLE log_2026 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
GRANT SELECT, INSERT ON orders TO app_runtime;
INSERT INTO users (email) VALUES ('a@example.com'), ('b@example.com');
INSERT INTO orders (tenant, owner, price) VALUES (1, 1, 5);
INSERT INTO log VALUES ('2026-05-05', 'first'), ('2026-05-05', 'first');
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
"""


@pytest.fixture
async def connection(cluster: Cluster) -> AsyncIterator[psycopg.AsyncConnection]:
    await cluster.roles("app_owner", "app_runtime")
    async with Databases(cluster) as databases:
        base = await databases.create_empty("rows", "app_owner")
        async with await cluster.connect(base, user="app_owner") as owner:
            await owner.execute(SCHEMA)
        async with await cluster.admin(base) as connection:
            yield connection


@pytest.fixture
async def catalog(connection: psycopg.AsyncConnection) -> Catalog:
    return await catalog_of(connection)


def test_the_catalog_has_tables_keys_and_references(catalog: Catalog) -> None:
    assert list(catalog.tables) == ["public.items", "public.log", "public.log_2026", "public.orders", "public.users"]
    orders, users, log = (catalog.tables[f"public.{name}"] for name in ("orders", "users", "log"))
    assert orders.primary_key == ("tenant", "id")
    assert orders.foreign_keys == (
        ForeignKey(columns=("owner",), target="public.users", target_columns=("id",), on_delete="cascade"),
    )
    assert orders.column("id").serial
    assert orders.column("token").random
    assert orders.column("price").type == "numeric(10,2)"
    assert users.column("id").identity
    assert users.column("upper").generated
    assert users.unique == (("id",), ("email",))
    assert users.row_security
    assert users.row_security_forced
    assert log.partition_key == ("at",)
    assert catalog.tables["public.log_2026"].parent == "public.log"
    assert catalog.tables["public.items"].foreign_keys[0].columns == ("tenant", "order_id")


def test_the_catalog_says_who_may_do_what(catalog: Catalog) -> None:
    assert [table.name for table in catalog.with_access("app_runtime")] == ["orders"]
    assert catalog.tables["public.orders"].grants["app_runtime"] == {"SELECT", "INSERT"}
    assert catalog.tables["public.users"].owner == "app_owner"


async def test_a_snapshot_has_every_row_once_whatever_policies_and_partitions(
    connection: psycopg.AsyncConnection, catalog: Catalog
) -> None:
    found = await snapshot(connection, catalog)
    assert [row["email"] for row in found["public.users"]] == ["a@example.com", "b@example.com"]
    assert len(found["public.log"]) == 2
    assert "public.log_2026" not in found.rows
    order = found["public.orders"][0]
    assert (order["tenant"], order["price"], order["state"]) == (1, "5.00", "open")


async def test_a_role_that_policies_hide_rows_from_is_refused(cluster: Cluster, catalog: Catalog) -> None:
    database = cluster.name("rows")
    async with await cluster.connect(database, user="app_owner") as owner:
        with pytest.raises(DatabaseError, match="row-level security"):
            await snapshot(owner, catalog)


async def test_a_difference_names_new_changed_and_missing_rows(
    connection: psycopg.AsyncConnection, catalog: Catalog
) -> None:
    before = await snapshot(connection, catalog)
    assert not difference(before, await snapshot(connection, catalog), catalog)
    await connection.execute("UPDATE users SET email = 'c@example.com' WHERE id = 2")
    await connection.execute("DELETE FROM log WHERE ctid = (SELECT min(ctid) FROM log)")
    await connection.execute("INSERT INTO items VALUES (1, 1, '{\"a\": 1}')")
    found = difference(before, await snapshot(connection, catalog), catalog)
    assert set(found.tables) == {"public.users", "public.log", "public.items"}
    assert found.describe() == [
        'items: inserted {tenant: 1, order_id: 1, note: {"a": 1}}',
        "log: deleted {at: 2026-05-05, line: first}",
        "users #2: email b@example.com → c@example.com, upper B@EXAMPLE.COM → C@EXAMPLE.COM",
    ]
    assert set(found.without(["public.log"]).tables) == {"public.users", "public.items"}


async def test_a_table_too_large_to_list_is_known_by_a_checksum(
    connection: psycopg.AsyncConnection, catalog: Catalog
) -> None:
    before = await snapshot(connection, catalog, limit=1, ignore=["public.log"])
    assert before.oversized["public.users"].rows == 2
    assert "public.users" not in before.rows
    await connection.execute("UPDATE users SET email = 'z@example.com' WHERE id = 2")
    after = await snapshot(connection, catalog, limit=1, ignore=["public.log"])
    assert difference(before, after, catalog).oversized == ("public.users",)


async def test_a_locked_table_is_said_to_be_locked(
    cluster: Cluster, connection: psycopg.AsyncConnection, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_LOCK_PATIENCE", "20ms")
    async with await cluster.admin(cluster.name("rows")) as other, other.transaction():
        await other.execute("LOCK TABLE users")
        with pytest.raises(DatabaseError, match="lock was not granted"):
            await snapshot(connection, catalog)


async def play(cluster: Cluster, database: str, catalog: Catalog, *, burn: bool, price: int) -> Difference:
    async with await cluster.admin(database) as connection:
        before = await snapshot(connection, catalog)
        if burn:
            await connection.execute("SELECT nextval('orders_id_seq'), nextval('orders_id_seq')")
        await connection.execute(
            "WITH made AS (INSERT INTO orders (tenant, owner, price) VALUES (1, 2, %s) RETURNING id) "
            "INSERT INTO items SELECT 1, id, jsonb_build_object('order_id', id) FROM made",
            [price],
        )
        await connection.execute("UPDATE users SET seen = now() WHERE id = 2")
        return difference(before, await snapshot(connection, catalog), catalog)


async def test_two_runs_on_two_clones_have_one_fingerprint_and_a_wrong_price_another(
    cluster: Cluster, catalog: Catalog, connection: psycopg.AsyncConnection
) -> None:
    await connection.close()
    async with Databases(cluster) as databases:
        clones = [await databases.clone(cluster.name("rows")) for _ in range(3)]
        one, burnt, wrong = [
            await play(cluster, clone, catalog, burn=burn, price=price)
            for clone, burn, price in zip(clones, (False, True, True), (9, 9, 8), strict=True)
        ]
    learned = learn(catalog, one, burnt)
    assert learned.unstable == ()
    assert [(each.table, each.column) for each in learned.noise.columns] == [("public.users", "seen")]
    prints = [Fingerprint.of(catalog, each, noise=learned.noise) for each in (one, burnt, wrong)]
    assert prints[0].compare(prints[1]) == ()
    assert [line for line in prints[0].compare(prints[2]) if "9.00 ≠ 8.00" in line]
