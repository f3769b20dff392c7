"""Mails and suppressed addresses."""

import sqlalchemy as sa
from alembic import op

from holdtrue.runtime.revisions import (
    definer_function,
    drop_function,
    drop_table,
    grant,
    index,
    isolate,
    tenant_lookup,
)

revision = "email_0001"
down_revision = None
branch_labels = ("email",)
depends_on = ("runtime_0001",)

NO_TENANT = "'00000000-0000-0000-0000-000000000000'::uuid"
OWN = f"tenant_id = COALESCE((SELECT current_tenant()), {NO_TENANT})"


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def table(name: str, *columns: sa.schema.SchemaItem) -> None:
    """As ``tenant_table``, with a place for what belongs to no tenant: a sign-up's mail is owed before there is one."""
    op.create_table(
        name,
        sa.Column("tenant_id", sa.Uuid, primary_key=True),
        sa.Column("id", sa.Uuid, primary_key=True),
        *columns,
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    isolate(name, OWN, owner_reads=True)


def upgrade() -> None:
    table(
        "email_mails",
        *map(text, ("template", "stream", "recipient", "message_id")),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("outcome", sa.Text),
        sa.Column("reply", sa.Text),
        sa.CheckConstraint("outcome IN ('accepted', 'delivered', 'bounced', 'complained', 'suppressed')"),
    )
    # The random id keeps it unique; a provider knows nothing of tenants.
    op.create_index("email_mails_message_id", "email_mails", ["message_id"], unique=True)
    op.create_index("email_mails_created_at", "email_mails", ["created_at"])
    grant("email_mails", "SELECT, INSERT, UPDATE (sealed, outcome, reply)")
    tenant_lookup("email_mails", "message_id")
    table(
        "email_suppressions",
        *map(text, ("address", "reason")),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("reason IN ('bounced', 'complained', 'rejected', 'manual')"),
    )
    index("email_suppressions", "address", unique=True)
    grant("email_suppressions", "SELECT, INSERT, UPDATE (reason, since), DELETE")
    definer_function(
        "email_forget(texts interval, mails interval)",
        "void",
        """
        UPDATE public.email_mails SET sealed = NULL WHERE sealed IS NOT NULL AND created_at < now() - texts;
        DELETE FROM public.email_mails WHERE created_at < now() - mails;
        """,
        options="VOLATILE",
    )


def downgrade() -> None:
    drop_function("email_forget(interval, interval)")
    drop_function("email_mails_tenant(text)")
    drop_table("email_suppressions")
    drop_table("email_mails")
