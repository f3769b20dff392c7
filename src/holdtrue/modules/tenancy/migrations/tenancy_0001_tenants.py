"""Tenants, memberships, invitations, hosts, and the few questions that are asked before a tenant is known."""

import sqlalchemy as sa

from holdtrue.runtime.revisions import (
    definer_function,
    drop_function,
    drop_table,
    global_table,
    index,
    isolate,
    tenant_lookup,
    tenant_table,
    within_tenant,
)

revision = "tenancy_0001"
down_revision = None
branch_labels = ("tenancy",)
depends_on = ("runtime_0001",)

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    global_table(
        "tenants",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("slug", sa.Text, nullable=False, unique=True),
        sa.Column("suspended_at", INSTANT),
        rights="SELECT, INSERT, UPDATE (name, suspended_at)",
    )
    isolate("tenants", "id = (SELECT current_tenant())", owner_reads=True)
    tenant_table(
        "memberships",
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.UniqueConstraint("tenant_id", "user_id"),
        sa.Index("memberships_user", "user_id"),
        rights="SELECT, INSERT, UPDATE (role), DELETE",
        owner_reads=True,
    )
    tenant_table(
        "invitations",
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False, unique=True),
        sa.Column("invited_by", sa.Uuid, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT),
        sa.Column("revoked_at", INSTANT),
        within_tenant("invited_by", "memberships", ondelete="CASCADE"),
        sa.Index("invitations_address", "email", "created_at"),
        rights="SELECT, INSERT, UPDATE (used_at, revoked_at)",
        owner_reads=True,
    )
    index("invitations", "invited_by")
    index("invitations", "created_at")
    tenant_table(
        "tenant_hosts",
        sa.Column("host", sa.Text, nullable=False, unique=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        rights="SELECT, INSERT, DELETE",
        owner_reads=True,
    )
    tenant_lookup("invitations", "token_hash")
    questions()


def questions() -> None:
    """Each is about one person, one host or one address, and answers with no more than what it was asked."""
    definer_function(
        "tenancy_standing(who text, named uuid, subdomain text, custom text)",
        "TABLE (tenant_id uuid, role text)",
        """
        SELECT m.tenant_id, m.role
        FROM public.memberships m JOIN public.tenants t ON t.id = m.tenant_id
        WHERE m.user_id = who AND t.suspended_at IS NULL
        AND (named IS NULL OR m.tenant_id = named)
        AND (subdomain IS NULL OR t.slug = subdomain)
        AND (custom IS NULL OR m.tenant_id = (SELECT h.tenant_id FROM public.tenant_hosts h WHERE h.host = custom))
        LIMIT 2
        """,
    )
    definer_function(
        "tenancy_mine(who text)",
        "TABLE (id uuid, name text, slug text, role text, suspended boolean)",
        """
        SELECT t.id, t.name, t.slug, m.role, t.suspended_at IS NOT NULL
        FROM public.memberships m JOIN public.tenants t ON t.id = m.tenant_id
        WHERE m.user_id = who ORDER BY t.id
        """,
    )
    definer_function(
        "tenancy_at(subdomain text, custom text)",
        "uuid",
        """
        SELECT t.id FROM public.tenants t
        WHERE t.suspended_at IS NULL AND (
            t.slug = subdomain OR t.id = (SELECT h.tenant_id FROM public.tenant_hosts h WHERE h.host = custom))
        """,
    )
    # Those who invite one address wait for each other, so that none of them overlooks the other's invitation.
    definer_function(
        "tenancy_invited(address text, since timestamptz)",
        "bigint",
        """
        SELECT pg_advisory_xact_lock(hashtextextended('tenancy_invited:' || address, 0));
        SELECT count(*) FROM public.invitations i WHERE i.email = address AND i.created_at > since;
        """,
        options="VOLATILE",
    )


def downgrade() -> None:
    drop_function("tenancy_invited(text, timestamptz)")
    drop_function("tenancy_at(text, text)")
    drop_function("tenancy_mine(text)")
    drop_function("tenancy_standing(text, uuid, text, text)")
    drop_function("invitations_tenant(text)")
    for table in ("tenant_hosts", "invitations", "memberships", "tenants"):
        drop_table(table)
