"""The one table."""

import sqlalchemy as sa

from holdtrue.runtime.revisions import drop_table, tenant_table

revision, down_revision, branch_labels, depends_on = "flags_0001", None, ("flags",), ("runtime_0001",)


def upgrade() -> None:
    tenant_table(
        "feature_flags",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("is_on", sa.Boolean, nullable=False),
        sa.UniqueConstraint("tenant_id", "name"),
    )


def downgrade() -> None:
    drop_table("feature_flags")
