"""refunds, remember webhook events

Revision ID: 0002
Revises: 0001
"""
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.add_column("orders", sa.Column("refunded_cents", sa.Integer, nullable=False, server_default="0"))
    op.add_column("orders", sa.Column("stripe_payment_intent", sa.String(255)))


def downgrade():
    op.drop_column("orders", "refunded_cents")
    op.drop_table("webhook_events")
