"""What the house keeps: who lives where, what was recorded, what was mailed."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from holdtrue.runtime.revisions import drop_table, global_table

revision = "house_0001"
down_revision = None
branch_labels = ("house",)
depends_on = ("runtime_0001",)


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    global_table("house_members", sa.Column("tenant", sa.Uuid, nullable=False), text("person"), text("permissions"))
    audit = ("action", "outcome", "subject", "principal")
    global_table("house_audit", sa.Column("tenant", sa.Uuid), *map(text, audit), sa.Column("details", JSONB))
    global_table("house_mails", text("template"), text("recipient"), sa.Column("payload", JSONB, nullable=False))


def downgrade() -> None:
    for table in ("house_mails", "house_audit", "house_members"):
        drop_table(table)
