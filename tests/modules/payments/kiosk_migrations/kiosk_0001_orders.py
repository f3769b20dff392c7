"""Orders."""

import sqlalchemy as sa

from holdtrue.runtime.revisions import drop_table, tenant_table

revision, down_revision, branch_labels, depends_on = "kiosk_0001", None, ("kiosk",), ("runtime_0001",)


def upgrade() -> None:
    tenant_table(
        "orders",
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("granted", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    drop_table("orders")
