"""What the test's doors keep."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from holdtrue.runtime.revisions import drop_table, tenant_table

revision = "doors_0001"
down_revision = None
branch_labels = ("doors",)
depends_on = ("runtime_0001",)


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    names = ("action", "outcome", "subject", "principal")
    details = sa.Column("details", JSONB, nullable=False)
    columns = ("tenant_id", "id", *names, "details")
    tenant_table("doors_audit", *map(text, names), details, rights="SELECT", insert_columns=columns)
    tenant_table("doors_mails", text("template"), text("recipient"), sa.Column("payload", JSONB, nullable=False))


def downgrade() -> None:
    drop_table("doors_mails")
    drop_table("doors_audit")
