"""product description, soft delete

Revision ID: 0003
Revises: 0002
"""
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.add_column("products", sa.Column("description", sa.Text(), nullable=False))
    op.add_column("products", sa.Column("deleted", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade():
    pass
