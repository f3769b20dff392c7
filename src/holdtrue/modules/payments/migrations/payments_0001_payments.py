"""Checkouts, payments, refunds, disputes and subscriptions."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from holdtrue.runtime.revisions import (
    definer_function,
    drop_function,
    drop_table,
    execute,
    global_table,
    index,
    tenant_table,
    within_tenant,
)

revision = "payments_0001"
down_revision = None
branch_labels = ("payments",)
depends_on = ("runtime_0001",)

RIGHTS = "SELECT, INSERT, UPDATE"
INSTANT = sa.DateTime(timezone=True)
TABLES = ("payment_disputes", "payment_refunds", "payments", "payment_subscriptions", "payment_checkouts")


def _text(name: str, *, nullable: bool = False, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, unique=unique)


def _amount(name: str = "amount") -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, sa.CheckConstraint(f"{name} > 0"), nullable=False)


def _one_of(column: str, *values: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})")


def upgrade() -> None:
    tenant_table(
        "payment_customers",
        _text("stripe_id", nullable=True, unique=True),
        sa.UniqueConstraint("tenant_id"),
        rights=RIGHTS,
        owner_reads=True,
    )
    tenant_table(
        "payment_checkouts",
        _text("kind"),
        _text("reference"),
        _text("status"),
        sa.Column("purchase", JSONB, nullable=False),
        _text("return_url"),
        _amount(),
        _text("currency"),
        _text("session_id", nullable=True, unique=True),
        _text("url", nullable=True),
        sa.Column("expires_at", INSTANT, nullable=False),
        _one_of("kind", "payment", "subscription"),
        _one_of("status", "creating", "open", "processing", "complete", "failed", "expired", "abandoned"),
        rights=RIGHTS,
        owner_reads=True,
    )
    active = "status IN ('creating', 'open', 'processing')"
    index("payment_checkouts", "reference", unique=True, where=f"kind = 'payment' AND {active}")
    index("payment_checkouts", "kind", unique=True, where=f"kind = 'subscription' AND {active}")
    execute("CREATE UNIQUE INDEX payment_checkouts_id ON payment_checkouts (id)")
    tenant_table(
        "payment_subscriptions",
        _text("plan"),
        _text("stripe_id", unique=True),
        _text("status"),
        sa.Column("cancels", sa.Boolean, nullable=False),
        sa.Column("paid_until", INSTANT, nullable=False),
        sa.Column("read_at", INSTANT, nullable=False),
        rights=RIGHTS,
        owner_reads=True,
    )
    tenant_table(
        "payments",
        sa.Column("checkout_id", sa.Uuid),
        sa.Column("subscription_id", sa.Uuid),
        _text("reference"),
        _text("intent", unique=True),
        _amount(),
        _text("currency"),
        sa.Column("accepted", sa.Boolean, nullable=False),
        within_tenant("checkout_id", "payment_checkouts"),
        within_tenant("subscription_id", "payment_subscriptions"),
        rights=RIGHTS,
        owner_reads=True,
    )
    index("payments", "reference")
    tenant_table(
        "payment_refunds",
        sa.Column("payment_id", sa.Uuid, nullable=False),
        _amount(),
        _text("status"),
        _text("reason"),
        _text("request_key", nullable=True),
        _text("requested_by"),
        _text("decided_by", nullable=True),
        _text("stripe_id", nullable=True),
        sa.Column("sent_at", INSTANT),
        _text("error", nullable=True),
        within_tenant("payment_id", "payments"),
        sa.UniqueConstraint("tenant_id", "stripe_id"),
        sa.UniqueConstraint("tenant_id", "request_key"),
        _one_of("status", "waiting", "declined", "queued", "sending", "unknown", "pending", "succeeded", "failed"),
        rights=RIGHTS,
        owner_reads=True,
    )
    index("payment_refunds", "payment_id")
    tenant_table(
        "payment_disputes",
        sa.Column("payment_id", sa.Uuid, nullable=False),
        _text("stripe_id"),
        _amount(),
        _text("status"),
        within_tenant("payment_id", "payments"),
        sa.UniqueConstraint("tenant_id", "stripe_id"),
        _one_of("status", "inquiry", "open", "closed", "won", "lost"),
        rights=RIGHTS,
    )
    index("payment_disputes", "payment_id")
    global_table(
        "payment_reconciliations",
        _text("provider", unique=True),
        sa.Column("read_until", INSTANT, nullable=False),
        rights=RIGHTS,
    )
    looking_across_tenants()


def looking_across_tenants() -> None:
    """Whose an object of the provider is, by our own rows alone; and what of ours nobody has heard of for too long."""
    # The condition keeps the planner from casting what is no uuid.
    uuid = "CASE WHEN wanted ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN wanted::uuid END"
    definer_function(
        "payments_tenant(wanted text)",
        "uuid",
        f"""
        SELECT tenant_id FROM public.payment_checkouts WHERE session_id = wanted
        UNION ALL SELECT tenant_id FROM public.payment_checkouts WHERE id = {uuid}
        UNION ALL SELECT tenant_id FROM public.payments WHERE intent = wanted
        UNION ALL SELECT tenant_id FROM public.payment_customers WHERE stripe_id = wanted
        LIMIT 1
        """,
    )
    definer_function(
        "payments_overdue(before timestamptz)",
        "TABLE (type text, object_id text)",
        """
        SELECT 'checkout.session.overdue', session_id FROM public.payment_checkouts
        WHERE status IN ('open', 'processing') AND session_id IS NOT NULL AND expires_at < before
        UNION ALL
        SELECT 'refund.overdue', stripe_id FROM public.payment_refunds
        WHERE status = 'pending' AND stripe_id IS NOT NULL AND sent_at < before
        UNION ALL
        SELECT 'customer.subscription.overdue', stripe_id FROM public.payment_subscriptions
        WHERE status NOT IN ('canceled', 'incomplete_expired') AND paid_until < before
        """,
    )


def downgrade() -> None:
    drop_function("payments_overdue(timestamptz)")
    drop_function("payments_tenant(text)")
    for table in (*TABLES, "payment_customers", "payment_reconciliations"):
        drop_table(table)
