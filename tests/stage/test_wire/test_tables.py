"""Which table a statement makes."""

import pytest

from holdtrue.stage.wire.tables import made_table


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("CREATE TABLE orders (id int)", "orders"),
        ("\n-- now\nCREATE TABLE IF NOT EXISTS Orders (id int)", "orders"),
        ('create unlogged table "Shop"."My orders" as select 1', "Shop.My orders"),
        ("CREATE TABLE shop.orders (LIKE other)", "shop.orders"),
        ("CREATE TEMP TABLE orders (id int)", None),
        ("CREATE GLOBAL TEMPORARY TABLE orders (id int)", None),
        ("CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM (1) TO (2)", None),
        ("CREATE TABLE shop.orders_2026 PARTITION OF shop.orders DEFAULT", None),
        ("CREATE INDEX i ON orders (id)", None),
        ("SELECT 'CREATE TABLE orders'", None),
        ("", None),
    ],
)
def test_a_created_table_is_named(sql: str, table: str | None) -> None:
    assert made_table(sql) == table
