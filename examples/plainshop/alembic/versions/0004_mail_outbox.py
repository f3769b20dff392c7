"""The mail outbox."""

import os
import re

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def app_role() -> str:
    role = os.environ["APP_DB_ROLE"]
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
        raise ValueError("APP_DB_ROLE must be a plain lower-case identifier")
    return f'"{role}"'


def upgrade() -> None:
    op.execute("""
        CREATE TABLE mail_outbox (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            kind text NOT NULL,
            dedupe_key text NOT NULL,
            recipient text NOT NULL,
            params jsonb NOT NULL,
            status text NOT NULL CHECK (status IN ('pending', 'sent', 'dead', 'dropped')),
            attempts bigint NOT NULL,
            due_at timestamptz NOT NULL,
            sent_at timestamptz,
            last_error text,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            UNIQUE (shop_id, dedupe_key)
        )""")
    op.execute("CREATE INDEX mail_outbox_due ON mail_outbox (due_at) WHERE status = 'pending'")
    op.execute("ALTER TABLE mail_outbox ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE mail_outbox FORCE ROW LEVEL SECURITY")
    own = "shop_id = NULLIF(current_setting('app.shop_id', true), '')::uuid"
    op.execute(f"CREATE POLICY own_shop ON mail_outbox USING ({own}) WITH CHECK ({own})")
    system = "current_setting('app.scope', true) = 'system'"
    op.execute(f"CREATE POLICY system_scope ON mail_outbox USING ({system})")
    op.execute(
        f"GRANT SELECT, INSERT, UPDATE (status, attempts, due_at, sent_at, last_error) ON mail_outbox TO {app_role()}"
    )


def downgrade() -> None:
    op.execute("DROP TABLE mail_outbox")
