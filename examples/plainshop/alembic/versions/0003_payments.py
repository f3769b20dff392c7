"""Checkouts, payments, refunds, disputes and the inbox of Stripe events."""

import os
import re

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The right, and what the system scope may do: find the shop of an event, claim a refund.
TABLES = {
    "checkouts": ("SELECT, INSERT, UPDATE (status, stripe_session_id, url)", "SELECT"),
    "payments": ("SELECT, INSERT, UPDATE (charge_refunded_cents)", "SELECT"),
    "refunds": (
        "SELECT, INSERT, UPDATE (status, stripe_refund_id, attempts, due_at, first_sent_at, last_error)",
        "ALL",
    ),
    "disputes": ("SELECT, INSERT, UPDATE (status)", None),
}


def app_role() -> str:
    role = os.environ["APP_DB_ROLE"]
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
        raise ValueError("APP_DB_ROLE must be a plain lower-case identifier")
    return f'"{role}"'


def protect(table: str, rights: str, system_may: str | None) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    own = "shop_id = NULLIF(current_setting('app.shop_id', true), '')::uuid"
    op.execute(f"CREATE POLICY own_shop ON {table} USING ({own}) WITH CHECK ({own})")
    if system_may:
        system = "current_setting('app.scope', true) = 'system'"
        op.execute(f"CREATE POLICY system_scope ON {table} FOR {system_may} USING ({system})")
    op.execute(f"GRANT {rights} ON {table} TO {app_role()}")


def upgrade() -> None:
    op.execute("""
        CREATE TABLE checkouts (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            order_id uuid NOT NULL,
            status text NOT NULL
                CHECK (status IN ('creating', 'open', 'processing', 'complete', 'failed', 'expired')),
            stripe_session_id text,
            url text,
            expires_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            UNIQUE (shop_id, stripe_session_id),
            FOREIGN KEY (shop_id, order_id) REFERENCES orders
        )""")
    op.execute("""
        CREATE UNIQUE INDEX checkouts_one_active ON checkouts (shop_id, order_id)
        WHERE status IN ('creating', 'open', 'processing')""")
    op.execute("CREATE INDEX checkouts_session ON checkouts (stripe_session_id)")
    op.execute("""
        CREATE TABLE payments (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            order_id uuid NOT NULL,
            stripe_payment_intent text NOT NULL,
            amount_cents bigint NOT NULL CHECK (amount_cents > 0),
            currency text NOT NULL,
            accepted boolean NOT NULL,
            charge_refunded_cents bigint NOT NULL CHECK (charge_refunded_cents >= 0),
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            UNIQUE (shop_id, stripe_payment_intent),
            FOREIGN KEY (shop_id, order_id) REFERENCES orders
        )""")
    op.execute("CREATE UNIQUE INDEX payments_one_accepted ON payments (shop_id, order_id) WHERE accepted")
    op.execute("CREATE INDEX payments_intent ON payments (stripe_payment_intent)")
    op.execute("""
        CREATE TABLE refunds (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            order_id uuid NOT NULL,
            payment_id uuid NOT NULL,
            amount_cents bigint NOT NULL CHECK (amount_cents > 0),
            status text NOT NULL CHECK (status IN ('queued', 'pending', 'succeeded', 'failed', 'dead')),
            stripe_refund_id text,
            attempts bigint NOT NULL,
            due_at timestamptz NOT NULL,
            first_sent_at timestamptz,
            last_error text,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            UNIQUE (shop_id, stripe_refund_id),
            FOREIGN KEY (shop_id, order_id) REFERENCES orders,
            FOREIGN KEY (shop_id, payment_id) REFERENCES payments
        )""")
    op.execute("CREATE INDEX refunds_payment ON refunds (shop_id, payment_id)")
    op.execute("CREATE INDEX refunds_due ON refunds (due_at) WHERE status = 'queued'")
    op.execute("""
        CREATE TABLE disputes (
            shop_id uuid NOT NULL REFERENCES shops,
            id uuid NOT NULL,
            payment_id uuid NOT NULL,
            stripe_dispute_id text NOT NULL,
            amount_cents bigint NOT NULL,
            status text NOT NULL CHECK (status IN ('inquiry', 'open', 'closed', 'won', 'lost')),
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shop_id, id),
            UNIQUE (shop_id, stripe_dispute_id),
            FOREIGN KEY (shop_id, payment_id) REFERENCES payments
        )""")
    op.execute("CREATE INDEX disputes_payment ON disputes (shop_id, payment_id)")
    op.execute("""
        CREATE TABLE stripe_events (
            event_id text PRIMARY KEY,
            type text NOT NULL,
            outcome text NOT NULL CHECK (outcome IN ('applied', 'ignored')),
            received_at timestamptz NOT NULL DEFAULT now()
        )""")
    for table, (rights, system_may) in TABLES.items():
        protect(table, rights, system_may)
    op.execute(f"GRANT SELECT, INSERT ON stripe_events TO {app_role()}")


def downgrade() -> None:
    op.execute("DROP TABLE stripe_events")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
