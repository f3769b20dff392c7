import sqlalchemy as sa

from holdtrue.runtime.revisions import drop_table, tenant_table

revision = "diary_0001"
down_revision = None
branch_labels = ("diary",)
depends_on = ("runtime_0001",)


def upgrade() -> None:
    tenant_table("pages", sa.Column("text", sa.Text, nullable=False))


def downgrade() -> None:
    drop_table("pages")
