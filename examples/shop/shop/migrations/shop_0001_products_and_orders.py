"""Products, orders and their items."""

import sqlalchemy as sa

from holdtrue.runtime.revisions import drop_table, index, tenant_table, within_tenant

revision, down_revision, branch_labels, depends_on = "shop_0001", None, ("shop",), ("runtime_0001",)


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def number(name: str, least: int = 1, most: int = 99_999_999) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, sa.CheckConstraint(f"{name} BETWEEN {least} AND {most}"), nullable=False)


def upgrade() -> None:
    tenant_table("products", text("name"), text("description"), number("price_cents"), text("currency"))
    tenant_table(
        "orders",
        text("customer_email"),
        text("status"),
        text("currency"),
        number("total_cents"),
        sa.Column("payment_id", sa.Uuid),
        sa.CheckConstraint("status IN ('pending', 'paid', 'cancelled')"),
        rights="SELECT, INSERT, UPDATE (status, payment_id)",
    )
    tenant_table(
        "order_items",
        sa.Column("order_id", sa.Uuid, nullable=False),
        number("position", least=0),
        sa.Column("product_id", sa.Uuid),
        text("name"),
        number("unit_cents"),
        number("quantity"),
        sa.UniqueConstraint("tenant_id", "order_id", "position"),
        within_tenant("order_id", "orders"),
        within_tenant("product_id", "products", ondelete="SET NULL (product_id)"),
        rights="SELECT, INSERT",
    )
    index("order_items", "product_id")


def downgrade() -> None:
    for table in ("order_items", "orders", "products"):
        drop_table(table)
