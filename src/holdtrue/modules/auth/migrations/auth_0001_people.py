"""People, sessions, refresh tokens, mailed links, signing keys, counters, API keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from holdtrue.runtime.revisions import (
    definer_function,
    drop_function,
    drop_table,
    global_table,
    grant,
    index,
    tenant_table,
)

revision = "auth_0001"
down_revision = None
branch_labels = ("auth",)
depends_on = ("runtime_0001",)


def instant(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def of_user() -> tuple[sa.Column[object], sa.ForeignKeyConstraint]:
    column: sa.Column[object] = sa.Column("user_id", sa.Uuid, nullable=False)
    return column, sa.ForeignKeyConstraint(["user_id"], ["auth_users.id"], ondelete="CASCADE")


def upgrade() -> None:
    people()
    global_table(
        "auth_links",
        text("purpose"),
        text("email"),
        sa.Column("token_hash", sa.LargeBinary),
        instant("expires_at"),
        instant("used_at", nullable=True),
        sa.UniqueConstraint("token_hash"),
        sa.CheckConstraint("purpose IN ('sign_up', 'reset')"),
    )
    op.create_index("auth_links_email", "auth_links", ["email"])
    global_table(
        "auth_signing_keys",
        sa.Column("public", JSONB, nullable=False),
        text("sealed", nullable=True),
        instant("signs_from"),
        instant("verify_until", nullable=True),
        instant("revoked_at", nullable=True),
    )
    op.create_table(
        "auth_counters",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        instant("window_start"),
        sa.Column("tries", sa.BigInteger, nullable=False),
    )
    grant("auth_counters")
    api_keys()


def people() -> None:
    global_table("auth_users", text("email"), text("password_hash"), sa.UniqueConstraint("email"))
    op.create_table(
        "auth_networks",
        *of_user(),
        sa.Column("network", sa.LargeBinary, nullable=False),
        instant("seen_at"),
        sa.PrimaryKeyConstraint("user_id", "network"),
    )
    grant("auth_networks")
    global_table(
        "auth_sessions",
        *of_user(),
        text("client_id"),
        sa.Column("tenant", sa.Uuid),
        text("scope", nullable=True),
        text("agent"),
        sa.Column("generation", sa.BigInteger, nullable=False),
        instant("last_used_at"),
        instant("expires_at"),
        instant("revoked_at", nullable=True),
        text("revoked_for", nullable=True),
    )
    op.create_index("auth_sessions_user", "auth_sessions", ["user_id"])
    global_table(
        "auth_refresh_tokens",
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        instant("expires_at"),
        instant("used_at", nullable=True),
        sa.Column("used_as", sa.LargeBinary),
        text("response", nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["auth_sessions.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("token_hash"),
        # One lineage: a session cannot have two refresh tokens of one generation, whatever the code does.
        sa.UniqueConstraint("session_id", "generation"),
    )


def api_keys() -> None:
    tenant_table(
        "auth_api_keys",
        text("name"),
        text("prefix"),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("created_by", sa.Uuid, nullable=False),
        instant("expires_at"),
        instant("revoked_at", nullable=True),
        # Drawn at random, never chosen by anybody: that it is unique across tenants tells nobody anything.
        sa.UniqueConstraint("prefix"),
        rights="SELECT, INSERT, UPDATE",
        owner_reads=True,
    )
    index("auth_api_keys", "created_at")
    definer_function(
        "auth_api_key(wanted text)",
        "TABLE (tenant_id uuid, id uuid, secret_hash bytea, scopes text[], created_by uuid, expires_at timestamptz)",
        "SELECT tenant_id, id, secret_hash, scopes, created_by, expires_at FROM public.auth_api_keys "
        "WHERE prefix = wanted AND revoked_at IS NULL",
    )


def downgrade() -> None:
    drop_function("auth_api_key(text)")
    for table in ("api_keys", "counters", "signing_keys", "links", "refresh_tokens", "sessions", "networks", "users"):
        drop_table(f"auth_{table}")
