"""The shop's own plan, paid by subscription."""

import os
import re

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def app_role() -> str:
    role = os.environ["APP_DB_ROLE"]
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
        raise ValueError("APP_DB_ROLE must be a plain lower-case identifier")
    return f'"{role}"'


def upgrade() -> None:
    op.execute("""
        CREATE TABLE subscriptions (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            plan text NOT NULL,
            status text NOT NULL CHECK (status IN (
                'creating', 'open', 'failed', 'expired', 'incomplete', 'incomplete_expired', 'trialing', 'active',
                'past_due', 'unpaid', 'paused', 'canceled')),
            stripe_customer_id text,
            stripe_session_id text,
            url text,
            expires_at timestamptz NOT NULL,
            stripe_subscription_id text,
            period_ends_at timestamptz,
            ends_with_period boolean NOT NULL DEFAULT false,
            synced_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            UNIQUE (shop_id, stripe_session_id),
            UNIQUE (shop_id, stripe_subscription_id)
        )""")
    op.execute("""
        CREATE UNIQUE INDEX subscriptions_one_checkout ON subscriptions (shop_id)
        WHERE status IN ('creating', 'open')""")
    op.execute("CREATE INDEX subscriptions_customer ON subscriptions (stripe_customer_id)")
    op.execute("CREATE INDEX subscriptions_session ON subscriptions (stripe_session_id)")
    op.execute("ALTER TABLE subscriptions ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE subscriptions FORCE ROW LEVEL SECURITY")
    own = "shop_id = NULLIF(current_setting('app.shop_id', true), '')::uuid"
    op.execute(f"CREATE POLICY own_shop ON subscriptions USING ({own}) WITH CHECK ({own})")
    system = "current_setting('app.scope', true) = 'system'"
    op.execute(f"CREATE POLICY system_scope ON subscriptions FOR SELECT USING ({system})")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (status, stripe_customer_id, stripe_session_id, url, stripe_subscription_id, "
        f"period_ends_at, ends_with_period, synced_at) ON subscriptions TO {app_role()}"
    )


def downgrade() -> None:
    op.execute("DROP TABLE subscriptions")
