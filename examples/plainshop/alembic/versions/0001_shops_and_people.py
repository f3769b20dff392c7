"""Shops, members, sessions and the audit log."""

import os
import re

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = {
    "members": "SELECT, INSERT, UPDATE, DELETE",
    "login_sessions": "SELECT, INSERT, UPDATE, DELETE",
    "refresh_tokens": "SELECT, INSERT, UPDATE",
    "password_resets": "SELECT, INSERT, UPDATE",
    "invitations": "SELECT, INSERT, UPDATE, DELETE",
    # Not the time, and never a change.
    "audit_events": "SELECT, INSERT (shop_id, id, actor_type, actor_id, action, outcome, target_type, target_id, "
    "request_id, details)",
}


def app_role() -> str:
    role = os.environ["APP_DB_ROLE"]
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
        raise ValueError("APP_DB_ROLE must be a plain lower-case identifier")
    return f'"{role}"'


def protect(table: str, rights: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    own = "shop_id = NULLIF(current_setting('app.shop_id', true), '')::uuid"
    op.execute(f"CREATE POLICY own_shop ON {table} USING ({own}) WITH CHECK ({own})")
    op.execute(f"GRANT {rights} ON {table} TO {app_role()}")


def upgrade() -> None:
    op.execute("""
        CREATE TABLE shops (
            id uuid PRIMARY KEY,
            slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
            name text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("""
        CREATE TABLE members (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            email text NOT NULL CHECK (email = lower(email)),
            name text NOT NULL,
            role text NOT NULL CHECK (role IN ('owner', 'clerk', 'viewer')),
            password_hash text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            UNIQUE (shop_id, email)
        )""")
    op.execute("""
        CREATE TABLE login_sessions (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            member_id uuid NOT NULL,
            expires_at timestamptz NOT NULL,
            revoked_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            FOREIGN KEY (shop_id, member_id) REFERENCES members ON DELETE CASCADE
        )""")
    op.execute("CREATE INDEX login_sessions_member ON login_sessions (shop_id, member_id)")
    op.execute("""
        CREATE TABLE refresh_tokens (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            session_id uuid NOT NULL,
            token_hash bytea NOT NULL,
            used_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            UNIQUE (shop_id, token_hash),
            FOREIGN KEY (shop_id, session_id) REFERENCES login_sessions ON DELETE CASCADE
        )""")
    op.execute("CREATE INDEX refresh_tokens_session ON refresh_tokens (shop_id, session_id)")
    op.execute("""
        CREATE TABLE password_resets (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            member_id uuid NOT NULL,
            expires_at timestamptz NOT NULL,
            used_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            FOREIGN KEY (shop_id, member_id) REFERENCES members ON DELETE CASCADE
        )""")
    op.execute("CREATE INDEX password_resets_member ON password_resets (shop_id, member_id)")
    op.execute("""
        CREATE TABLE invitations (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            email text NOT NULL CHECK (email = lower(email)),
            role text NOT NULL CHECK (role IN ('owner', 'clerk', 'viewer')),
            invited_by uuid NOT NULL,
            expires_at timestamptz NOT NULL,
            used_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            FOREIGN KEY (shop_id, invited_by) REFERENCES members ON DELETE CASCADE
        )""")
    op.execute("CREATE INDEX invitations_inviter ON invitations (shop_id, invited_by)")
    op.execute("""
        CREATE TABLE audit_events (
            shop_id uuid NOT NULL,
            id uuid NOT NULL,
            at timestamptz NOT NULL DEFAULT now(),
            actor_type text NOT NULL CHECK (actor_type IN ('member', 'public', 'stripe', 'worker')),
            actor_id text,
            action text NOT NULL,
            outcome text NOT NULL CHECK (outcome IN ('done', 'denied')),
            target_type text NOT NULL,
            target_id text NOT NULL,
            request_id text NOT NULL,
            details jsonb NOT NULL,
            PRIMARY KEY (shop_id, id),
            CHECK (actor_type <> 'member' OR actor_id IS NOT NULL)
        )""")
    op.execute("CREATE INDEX audit_events_latest ON audit_events (shop_id, at DESC, id DESC)")
    op.execute("""
        CREATE TABLE rate_counters (
            key bytea PRIMARY KEY,
            window_start timestamptz NOT NULL,
            count bigint NOT NULL
        )""")
    for table, rights in TABLES.items():
        protect(table, rights)
    op.execute(f"GRANT SELECT, INSERT ON shops TO {app_role()}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON rate_counters TO {app_role()}")
    op.execute(f"GRANT SELECT ON alembic_version TO {app_role()}")


def downgrade() -> None:
    op.execute(f"REVOKE SELECT ON alembic_version FROM {app_role()}")  # noqa: S608
    op.execute("DROP TABLE rate_counters")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP TABLE shops")
