"""How far consumers have come in the streams they follow in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the places of consumers in streams."""
    op.create_table(
        "cqrs_inbox_places",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False, server_default=""),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "tenant_id", "stream", name="pk_cqrs_inbox_places"),
    )
