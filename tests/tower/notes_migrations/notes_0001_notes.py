"""Notes."""

import sqlalchemy as sa

from holdtrue.runtime.revisions import drop_table, index, tenant_table

revision = "notes_0001"
down_revision = None
branch_labels = ("notes",)
depends_on = ("runtime_0001",)


def upgrade() -> None:
    tenant_table("notes", sa.Column("title", sa.Text, nullable=False))
    index("notes", "title")


def downgrade() -> None:
    drop_table("notes")
