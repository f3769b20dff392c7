"""Products, orders and their items."""

import os
import re

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = {
    "products": "SELECT, INSERT, UPDATE, DELETE",
    "orders": "SELECT, INSERT, UPDATE (status)",
    "order_items": "SELECT, INSERT",
}


def app_role() -> str:
    role = os.environ["APP_DB_ROLE"]
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
        raise ValueError("APP_DB_ROLE must be a plain lower-case identifier")
    return f'"{role}"'


def protect(table: str, rights: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    own = "shop_id = NULLIF(current_setting('app.shop_id', true), '')::uuid"
    op.execute(f"CREATE POLICY own_shop ON {table} USING ({own}) WITH CHECK ({own})")
    op.execute(f"GRANT {rights} ON {table} TO {app_role()}")


def upgrade() -> None:
    op.execute("""
        CREATE TABLE products (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            name text NOT NULL,
            description text NOT NULL,
            price_cents bigint NOT NULL CHECK (price_cents BETWEEN 1 AND 99999999),
            currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id)
        )""")
    op.execute("CREATE INDEX products_latest ON products (shop_id, created_at DESC, id DESC)")
    op.execute("""
        CREATE TABLE orders (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            customer_email text NOT NULL,
            status text NOT NULL CHECK (status IN ('pending', 'paid', 'cancelled')),
            currency text NOT NULL,
            total_cents bigint NOT NULL CHECK (total_cents BETWEEN 1 AND 99999999),
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id)
        )""")
    op.execute("CREATE INDEX orders_latest ON orders (shop_id, created_at DESC, id DESC)")
    op.execute("""
        CREATE TABLE order_items (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            order_id uuid NOT NULL,
            position bigint NOT NULL,
            product_id uuid,
            name text NOT NULL,
            unit_cents bigint NOT NULL CHECK (unit_cents > 0),
            quantity bigint NOT NULL CHECK (quantity > 0),
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            UNIQUE (shop_id, order_id, position),
            FOREIGN KEY (shop_id, order_id) REFERENCES orders,
            FOREIGN KEY (shop_id, product_id) REFERENCES products ON DELETE SET NULL (product_id)
        )""")
    op.execute("CREATE INDEX order_items_product ON order_items (shop_id, product_id)")
    for table, rights in TABLES.items():
        protect(table, rights)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
