"""Checkpoints of projections, their owners, the versions that serve, and parked events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_json: TypeEngine[Any] = sa.JSON().with_variant(JSONB(), "postgresql")
_time: TypeEngine[Any] = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Add the tables of projections."""
    _create_checkpoints()
    _create_parked_events()


def _create_checkpoints() -> None:
    op.create_table(
        "cqrs_projection_checkpoints",
        *_version_of_a_projection(),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("state", sa.Text(), nullable=False, server_default="running"),
        sa.Column("error", sa.Text()),
        sa.Column("owner", sa.Text()),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", _time),
        sa.Column("updated_at", _time, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "projection", "version", "partition", name="pk_cqrs_projection_checkpoints"
        ),
        sa.CheckConstraint(
            "state IN ('running', 'halted', 'paused', 'switching', 'inline', 'kept')",
            name="ck_cqrs_projection_checkpoints_state",
        ),
    )
    op.create_table(
        "cqrs_projection_owners",
        sa.Column("tenant_id", sa.Text(), nullable=False, server_default=""),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("wants", _json, nullable=False),
        sa.Column("here_until", _time, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "owner", name="pk_cqrs_projection_owners"),
    )
    op.create_table(
        "cqrs_projection_serving",
        *_version_of_a_projection(),
        sa.PrimaryKeyConstraint("tenant_id", "projection", name="pk_cqrs_projection_serving"),
    )


def _create_parked_events() -> None:
    op.create_table(
        "cqrs_parked_events",
        *_version_of_a_projection(),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("aggregate_type", sa.Text(), nullable=False),
        sa.Column("aggregate_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("parked_at", _time, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "projection",
            "version",
            "partition",
            "position",
            name="pk_cqrs_parked_events",
        ),
    )
    op.create_index(
        "ix_cqrs_parked_events_stream",
        "cqrs_parked_events",
        ["tenant_id", "projection", "version", "partition", "aggregate_type", "aggregate_id"],
    )


def _version_of_a_projection() -> list[sa.Column[Any]]:
    return [
        sa.Column("tenant_id", sa.Text(), nullable=False, server_default=""),
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
    ]
