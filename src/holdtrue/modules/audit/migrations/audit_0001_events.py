"""The record, and the rights that make it one.

The app's roles may add rows and read their tenant's. Not even its owner may change one: a definer function runs with
the owner's rights, so those are taken away as well (PostgreSQL, REVOKE: an owner can revoke his own privileges).
What remains is DDL, which only a migration runs.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from holdtrue.runtime.revisions import drop_table, execute, grant

revision = "audit_0001"
down_revision = None
branch_labels = ("audit",)
depends_on = ("runtime_0001",)

NO_TENANT = "'00000000-0000-0000-0000-000000000000'::uuid"
GIVEN = ("action", "outcome", "subject", "actor_kind", "actor_id", "request_id")
"""Of the caller; ``at`` is not among them: the time is the database's."""
BEHALF = ("behalf_kind", "behalf_id")
"""Of a job: who caused it."""


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("tenant_id", sa.Uuid, primary_key=True),
        sa.Column("id", sa.Uuid, primary_key=True),
        # Not the beginning of the transaction: of two changes in one, the first is to come first.
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        *(sa.Column(name, sa.Text, nullable=False) for name in GIVEN),
        *(sa.Column(name, sa.Text) for name in BEHALF),
        sa.Column("details", JSONB, nullable=False),
        sa.CheckConstraint("outcome IN ('done', 'denied')"),
    )
    op.create_index("audit_events_at", "audit_events", ["tenant_id", "at", "id"])
    op.create_index("audit_events_subject", "audit_events", ["tenant_id", "subject", "at"])
    isolate()
    execute("REVOKE ALL ON audit_events FROM PUBLIC, CURRENT_USER")
    execute("GRANT SELECT ON audit_events TO CURRENT_USER")
    grant("audit_events", "SELECT", insert_columns=("tenant_id", "id", *GIVEN, *BEHALF, "details"))


def isolate() -> None:
    """A tenant reads its own rows. What belongs to no tenant can be written from anywhere and read by the owner only.

    There is no policy for UPDATE and DELETE: under forced row-level security that alone would leave no row to touch.
    """
    execute("ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY")
    execute("ALTER TABLE audit_events FORCE ROW LEVEL SECURITY")
    execute("CREATE POLICY own_tenant ON audit_events FOR SELECT USING (tenant_id = (SELECT current_tenant()))")
    execute(
        "CREATE POLICY append ON audit_events FOR INSERT "
        f"WITH CHECK (tenant_id IN ((SELECT current_tenant()), {NO_TENANT}))"
    )
    execute("CREATE POLICY operators ON audit_events FOR SELECT TO CURRENT_USER USING (true)")


def downgrade() -> None:
    drop_table("audit_events")
