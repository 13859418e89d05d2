"""Materialised views: their definitions, refreshes, and how fresh they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the bookkeeping of materialised views."""
    op.create_table(
        "cqrs_materialized_views",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("fingerprint", sa.Text()),
        sa.Column("refreshes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("refreshed_at", _time()),
        sa.Column("seconds", sa.Double()),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("error", sa.Text()),
        sa.Column("retry_at", _time()),
        sa.PrimaryKeyConstraint("name", name="pk_cqrs_materialized_views"),
    )
    op.create_table(
        "cqrs_materialized_view_positions",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False, server_default=""),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "tenant_id", name="pk_cqrs_materialized_view_positions"),
    )


def _time() -> sa.DateTime:
    return sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
